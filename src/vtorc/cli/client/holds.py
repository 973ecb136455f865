"""The commands about holds: to list them, to hold vtorc back, and to lift a hold."""

import argparse

from vtorc.cli.client.errors import WrongWords
from vtorc.cli.client.hold_text import holds_lines
from vtorc.cli.client.layout import wrapped
from vtorc.cli.client.session import ExitCode, Session
from vtorc.core.facts.holds import Effect, HoldScope, parse_length
from vtorc.errors import HoldParseError
from vtorc.forms.fleet import ListForm
from vtorc.forms.hold import HoldAnswerForm, HoldForm


def holds(session: Session, options: argparse.Namespace) -> ExitCode:
    """List the holds in force; returns 0."""
    found = session.client.items("holds", {}, ListForm[HoldForm])
    session.tell_form(found, holds_lines(found.items, session.width))
    return ExitCode.DONE


def hold(session: Session, options: argparse.Namespace) -> ExitCode:
    """Hold vtorc back; returns 0 once that is in force."""
    try:
        scope = HoldScope.parse(_with_kind(options.scope))
        effects = [Effect.parse(each.strip()).value for each in options.effect.split(",")]
        seconds = parse_length(getattr(options, "for")) if getattr(options, "for") is not None else None
    except HoldParseError as error:
        raise WrongWords(str(error)) from error
    arguments = {
        "scope": str(scope),
        "effects": effects,
        "reason": options.reason,
        "owner": options.owner,
        "seconds": seconds,
    }
    answer = session.client.post("holds", arguments)
    kept = answer.read(HoldAnswerForm)
    lines = wrapped(f"in force: {kept.hold.sentence}", session.width)
    if not kept.outlives_vtorc:
        lines += wrapped("it ends with vtorc, which has no -log_dir to keep it in", session.width)
    lines += wrapped(f"to lift it: vtorc ctl lift {kept.hold.number} --reason TEXT", session.width)
    session.tell(answer.body, lines)
    return ExitCode.DONE


def lift(session: Session, options: argparse.Namespace) -> ExitCode:
    """Lift a hold; returns 0 once it is in force no more."""
    if not (options.number.isascii() and options.number.isdigit()):
        raise WrongWords(f"number {options.number!r}: expected that of a hold, as vtorc ctl holds shows it")
    answer = session.client.delete(f"holds/{options.number}", {"reason": options.reason})
    lifted = answer.read(HoldAnswerForm).hold
    session.tell(answer.body, wrapped(f"not in force any more: {lifted.sentence}", session.width))
    return ExitCode.DONE


def _with_kind(text: str) -> str:
    """Return a scope with its kind; the name of a shard alone stands for the shard."""
    return f"shard:{text}" if "/" in text and ":" not in text else text
