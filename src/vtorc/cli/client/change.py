"""The commands that change the primary of a shard: the plan first, then the question, then the steps as they end."""

import argparse

from vtorc.cli.client.api import segment, shard_path
from vtorc.cli.client.errors import ServerUnreachable, WrongWords
from vtorc.cli.client.layout import wrapped
from vtorc.cli.client.recovery_text import ending_lines, plan_lines
from vtorc.cli.client.session import ExitCode, Session
from vtorc.cli.client.stream import Follower
from vtorc.forms.plan import PlanForm
from vtorc.server.v1.actions import AskedForm


def plan(session: Session, options: argparse.Namespace) -> ExitCode:
    """Show what a change of the primary would do; returns 1 if it is refused."""
    answer = session.client.post(f"{shard_path(options.shard)}/plans", {"kind": options.kind, "to": options.to})
    form = answer.read(PlanForm)
    session.tell(answer.body, plan_lines(form, session.width))
    return ExitCode.DONE if form.refusal is None else ExitCode.PROBLEMS


def change_primary(session: Session, options: argparse.Namespace, kind: str) -> ExitCode:
    """Make a plan, show it, ask, carry it out, and follow it to its end; returns 1 if it did not come to that."""
    path = shard_path(options.shard)
    if session.wants_json and not options.yes:
        raise WrongWords("--json: expected --yes with it, as no question can be asked between JSON")
    if not options.yes and (session.keyboard is None or not session.keyboard.isatty()):
        raise WrongWords("expected a terminal to ask on; with --yes nothing is asked")
    to = options.to if "to" in options else None
    answer = session.client.post(f"{path}/plans", {"kind": kind, "to": to})
    form = answer.read(PlanForm)
    if not session.wants_json:
        session.screen.say([*plan_lines(form, session.width), ""])
    if (why_not := _why_not(session, form, options)) is not None:
        session.tell(answer.body, wrapped(why_not, session.width))
        return ExitCode.PROBLEMS
    return _carry_out(session, form, options)


def _why_not(session: Session, form: PlanForm, options: argparse.Namespace) -> str | None:
    """Return why the plan is not carried out; None if it is to be."""
    if form.refusal is not None:
        return "nothing was changed: the plan is refused for the reason above"
    if form.risk and not options.accept_loss:
        return "nothing was changed: writes may be lost, as said above; to go on, add --accept-loss"
    if options.yes or _is_confirmed(session, form):
        return None
    return "nothing was changed, as the answer was not yes"


def _is_confirmed(session: Session, form: PlanForm) -> bool:
    session.notes.write(f"Carry this out in {form.shard}? Type yes: ")
    return session.keyboard is not None and session.keyboard.readline().strip().lower() == "yes"


def _carry_out(session: Session, form: PlanForm, options: argparse.Namespace) -> ExitCode:
    arguments = {"reason": options.reason, "accept_loss": options.accept_loss}
    try:
        answer = session.client.post(f"plans/{segment(form.id)}/execute", arguments)
    except ServerUnreachable as error:
        raise ServerUnreachable(f"{error}; the plan may be under way: see 'vtorc ctl why {form.shard}'") from error
    begun = answer.read(AskedForm).recovery
    tell = (lambda lines: None) if session.wants_json else session.screen.say
    follower = Follower(session.client, begun, tell, session.width)
    try:
        ended = follower.run()
    except KeyboardInterrupt:
        session.notes.say(
            ["", f"the recovery goes on; to end it while that is safe: vtorc ctl cancel {form.shard} --reason TEXT"]
        )
        raise
    session.tell_form(ended, ending_lines(ended, session.width))
    return ExitCode.DONE if ended.succeeded else ExitCode.PROBLEMS


def cancel(session: Session, options: argparse.Namespace) -> ExitCode:
    """End a recovery while that is safe; returns 0 as soon as that is promised."""
    answer = session.client.post(f"{shard_path(options.shard)}/cancel", {"reason": options.reason})
    session.tell(answer.body, [f"{options.shard}: the recovery is being undone; vtorc ctl recoveries shows its end"])
    return ExitCode.DONE
