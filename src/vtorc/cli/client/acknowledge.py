"""The command that acknowledges recoveries."""

import argparse

from vtorc.cli.client.api import segment, shard_path
from vtorc.cli.client.errors import WrongWords
from vtorc.cli.client.layout import wrapped
from vtorc.cli.client.session import ExitCode, Session
from vtorc.forms.fleet import ListForm
from vtorc.forms.notes import AcknowledgedForm
from vtorc.forms.recovery import RecoveryForm

LATEST = 500
"""How many of the latest recoveries are looked at."""


def ack(session: Session, options: argparse.Namespace) -> ExitCode:
    """Acknowledge one recovery, or all that did not succeed; returns 0 once that is kept."""
    if (options.id is not None) + (options.shard is not None) + options.all != 1:
        raise WrongWords("ack: expected one of ID, --shard KEYSPACE/SHARD and --all")
    chosen = [options.id] if options.id is not None else _unacknowledged(session, options.shard)
    if options.id is not None:
        session.client.get(f"recoveries/{segment(options.id)}")  # an unknown one would be acknowledged in vain
    if not chosen:
        session.tell_form(AcknowledgedForm(acknowledged=[]), ["no recovery waits for an acknowledgement"])
        return ExitCode.DONE
    answer = session.client.post("acknowledgements", {"recoveries": chosen, "comment": options.comment})
    count = len(answer.read(AcknowledgedForm).acknowledged)
    done = f"acknowledged {count} {'recovery' if count == 1 else 'recoveries'}"
    session.tell(answer.body, wrapped(done, session.width))
    return ExitCode.DONE


def _unacknowledged(session: Session, shard: str | None) -> list[str]:
    """Return the latest recoveries that wait for an acknowledgement, of all shards or of one."""
    if shard is not None:
        session.client.get(shard_path(shard))  # a misspelt name would only find nothing
    answer = session.client.get("recoveries", {"shard": shard, "limit": str(LATEST)})
    return [each.id for each in answer.read(ListForm[RecoveryForm]).items if each.wants_acknowledgement]
