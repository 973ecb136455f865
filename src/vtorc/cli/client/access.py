"""The commands about access: what operators asked for, and bearer tokens."""

import argparse
from collections.abc import Sequence

from vtorc.cli.client.api import segment, shard_path
from vtorc.cli.client.errors import WrongWords
from vtorc.cli.client.layout import clock_time, wrapped
from vtorc.cli.client.session import ExitCode, Session
from vtorc.core.facts.holds import parse_length
from vtorc.errors import HoldParseError
from vtorc.forms.access import NewTokenForm, RevokedTokenForm, TokenForm
from vtorc.forms.audit import AuditForm
from vtorc.forms.fleet import ListForm


def audit(session: Session, options: argparse.Namespace) -> ExitCode:
    """Show what operators asked for; returns 0."""
    if options.shard is not None:
        shard_path(options.shard)  # a malformed name would only find nothing
    query = {
        "shard": options.shard,
        "actor": options.actor,
        "result": options.result,
        "limit": options.limit,
    }
    found = session.client.items("audit", query, ListForm[AuditForm])
    session.tell_form(found, _audit_lines(found.items, session.width))
    return ExitCode.DONE


def token(session: Session, options: argparse.Namespace) -> ExitCode:
    """Make, list or revoke bearer tokens; returns 0."""
    if options.action == "list":
        return _list(session, options)
    if options.name is None:
        raise WrongWords(f"token {options.action}: expected the name of a token")
    return _add(session, options) if options.action == "add" else _revoke(session, options)


def _list(session: Session, options: argparse.Namespace) -> ExitCode:
    found = session.client.items("tokens", {}, ListForm[TokenForm])
    items = [item for item in found.items if options.name in (None, item.name)]
    lines = [line for item in items for line in _token_lines(item, session.width)]
    session.tell_form(ListForm(items=items, revision=found.revision, cursor=None), lines or ["there are no tokens"])
    return ExitCode.DONE


def _add(session: Session, options: argparse.Namespace) -> ExitCode:
    if options.role is None:
        raise WrongWords("token add: expected --role read, --role operate or --role admin")
    keyspaces = [each for each in options.keyspace.split(",") if each] if options.keyspace is not None else None
    if keyspaces == []:
        raise WrongWords("--keyspace: expected names of keyspaces with commas between them")
    asked = {
        "name": options.name,
        "role": options.role,
        "keyspaces": keyspaces,
        "seconds": _seconds(options.expires) if options.expires is not None else None,
    }
    answer = session.client.post("tokens", asked)
    made = answer.read(NewTokenForm)
    note = "Keep it now: vtorc does not show it again. vtorc ctl takes it in VTORC_TOKEN."
    if not made.outlives_vtorc:
        note += " It ends with this vtorc, which has no place to keep it: start vtorc with -log_dir."
    session.tell(answer.body, [*wrapped(f"{made.token.sentence}.", session.width), made.secret])
    if not session.wants_json:
        session.notes.say(wrapped(note, session.width))  # apart from the secret, which a script reads
    return ExitCode.DONE


def _revoke(session: Session, options: argparse.Namespace) -> ExitCode:
    answer = session.client.delete(f"tokens/{segment(options.name)}", {})
    revoked = answer.read(RevokedTokenForm)
    session.tell(answer.body, [f"{revoked.token.name} is revoked: its owner is refused from now on"])
    return ExitCode.DONE


def _seconds(text: str) -> int:
    """Return how long a token is to be valid; raises WrongWords."""
    try:
        return parse_length(text)
    except HoldParseError as error:
        raise WrongWords(f"--expires: {error}") from error


def _token_lines(item: TokenForm, width: int) -> Sequence[str]:
    return wrapped(f"{item.sentence}; made by {item.created_by} at {item.created}", width)


def _audit_lines(items: Sequence[AuditForm], width: int) -> list[str]:
    if not items:
        return ["no request of an operator is known"]
    lines: list[str] = []
    for item in items:
        times = f" {item.times} times" if item.times > 1 else ""
        is_told = item.sentence.endswith(f": {item.reason}")
        reason = f" (reason: {item.reason})" if item.reason and not is_told else ""
        lines += [
            f"{clock_time(item.at)}  {item.action} {item.result}{times}",
            *wrapped(
                f"{item.actor}, known by {item.means.value}, from {item.origin or 'a socket'}", width, indent="  "
            ),
            *wrapped(f"{item.sentence}{reason}", width, indent="  "),
        ]
    return lines
