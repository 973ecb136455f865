"""The commands of `vtorc ctl`."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping

from vtorc.cli.client.access import audit, token
from vtorc.cli.client.acknowledge import ack
from vtorc.cli.client.address import DEFAULT_ADDRESS, VARIABLE, ServerAddress
from vtorc.cli.client.api import ApiClient, segment, shard_path
from vtorc.cli.client.change import cancel, change_primary, plan
from vtorc.cli.client.completion import bash_script
from vtorc.cli.client.credentials import Credentials
from vtorc.cli.client.errors import RequestRefused, WrongWords
from vtorc.cli.client.events import ServerEvent
from vtorc.cli.client.fleet_text import has_problems, problems_lines, shards_lines, status_lines
from vtorc.cli.client.holds import hold, holds, lift
from vtorc.cli.client.layout import counted
from vtorc.cli.client.live import LiveLines
from vtorc.cli.client.recovery_text import recoveries_lines, recovery_lines
from vtorc.cli.client.screen import Screen
from vtorc.cli.client.session import ExitCode, Session, document
from vtorc.cli.client.shard_text import topology_lines, why_lines
from vtorc.cli.client.stream import RESET, lasting_events, read_event
from vtorc.cli.client.when import point_in_time
from vtorc.errors import VtorcError
from vtorc.forms.findings import FindingForm
from vtorc.forms.fleet import ListForm, ShardRowForm, StatusForm, WhyForm
from vtorc.forms.recovery import RecoveryForm
from vtorc.forms.shard import ShardForm
from vtorc.forms.times import rfc3339


def run(options: argparse.Namespace) -> int:
    """Carry out the command of parsed options; returns the exit code, after telling what went wrong if it did."""
    notes = Screen(sys.stderr)
    try:
        session = Session(
            client=ApiClient(
                ServerAddress.parse(options.server or os.environ.get(VARIABLE) or DEFAULT_ADDRESS),
                Credentials.of_user(
                    options.user or "", ca=options.ca or "", cert=options.cert or "", key=options.key or ""
                ),
            ),
            screen=Screen(sys.stdout),
            notes=notes,
            wants_json=options.json,
            keyboard=sys.stdin,
        )
        try:
            return COMMANDS[options.command](session, options)
        except RequestRefused as refused:
            if session.wants_json:
                session.screen.write(document(refused.body))
            else:
                notes.say([f"vtorc ctl: {refused}"])
            return ExitCode.PROBLEMS if refused.is_refusal else ExitCode.ERROR
    except VtorcError as error:
        notes.say([f"vtorc ctl: {error}"])
        return ExitCode.ERROR


def status(session: Session, options: argparse.Namespace) -> ExitCode:
    """Show the state of all shards at a glance, those that are not ready, and the last recovery.

    Returns 1 if a shard is not healthy.
    """
    answer = session.client.get("status")
    form = answer.read(StatusForm)
    has_trouble = any(count for state, count in form.states.items() if state != "healthy")
    if session.wants_json:
        session.screen.write(document(answer.body))
    else:
        rows = _rows(session, {}).items
        last = _last_recovery(session)
        session.screen.say(status_lines(form, rows, session.client.address.text, session.width, last=last))
    return ExitCode.PROBLEMS if has_trouble else ExitCode.DONE


def _last_recovery(session: Session) -> RecoveryForm | None:
    """Return the recovery that ended last; None if there was none, or if the history is out of order just now."""
    try:
        ended = session.client.get("recoveries", {"limit": "1"}).read(ListForm[RecoveryForm]).items
    except RequestRefused:
        return None
    return next(iter(ended), None)


def shards(session: Session, options: argparse.Namespace) -> ExitCode:
    """Show a table of shards; returns 1 if one of them has problems."""
    rows = _rows(session, {"state": options.state, "keyspace": options.keyspace})
    items = [row for row in rows.items if not options.problems or has_problems(row)]
    session.tell_form(ListForm(items=items, revision=rows.revision, cursor=None), shards_lines(items, session.width))
    return ExitCode.PROBLEMS if any(has_problems(row) for row in items) else ExitCode.DONE


def _rows(session: Session, query: Mapping[str, str | None]) -> ListForm[ShardRowForm]:
    """Return the rows of shards, those with problems first."""
    return session.client.items("shards", {**query, "sort": "state"}, ListForm[ShardRowForm])


def topology(session: Session, options: argparse.Namespace) -> ExitCode:
    """Show the tablets of a shard as a tree; returns 1 if the shard is not healthy."""
    answer = session.client.get(shard_path(options.shard))
    form = answer.read(ShardForm)
    session.tell(answer.body, topology_lines(form, session.width))
    return ExitCode.DONE if form.state == "healthy" else ExitCode.PROBLEMS


def why(session: Session, options: argparse.Namespace) -> ExitCode:
    """Show why vtorc does for a shard what it does, or did; returns 1 if the shard is not healthy, or was not."""
    answer = session.client.get(f"{shard_path(options.shard)}/why", {"at": _time(options.as_of, "--as-of")})
    form = answer.read(WhyForm)
    session.tell(answer.body, why_lines(form, session.width))
    return ExitCode.DONE if form.state == "healthy" else ExitCode.PROBLEMS


def problems(session: Session, options: argparse.Namespace) -> ExitCode:
    """Show all that is wrong; returns 1 if anything is."""
    found = session.client.items("findings", {}, ListForm[FindingForm])
    session.tell_form(found, problems_lines(found.items, session.width))
    return ExitCode.PROBLEMS if found.items else ExitCode.DONE


def recoveries(session: Session, options: argparse.Namespace) -> ExitCode:
    """Show the recoveries that ended; returns 0."""
    if options.shard is not None:
        shard_path(options.shard)  # a malformed name would only find nothing
    query = {"shard": options.shard, "since": _time(options.since, "--since"), "limit": options.limit}
    found = session.client.get("recoveries", query).read(ListForm[RecoveryForm])
    session.tell_form(found, recoveries_lines(found.items, session.width))
    return ExitCode.DONE


def recovery(session: Session, options: argparse.Namespace) -> ExitCode:
    """Show one recovery; returns 0."""
    answer = session.client.get(f"recoveries/{segment(options.id)}")
    session.tell(answer.body, recovery_lines(answer.read(RecoveryForm), session.width))
    return ExitCode.DONE


def _time(text: str | None, option: str) -> str | None:
    """Return a time of the command line as the API takes it; None if it is not given. Raises WrongWords."""
    if text is None:
        return None
    try:
        return rfc3339(point_in_time(text))
    except argparse.ArgumentTypeError as error:
        raise WrongWords(f"{option}: {error}") from error


def watch(session: Session, options: argparse.Namespace) -> ExitCode:
    """Show what happens until Ctrl-C, or until nothing is read any more; returns 0."""
    if options.shard is not None:
        session.client.get(shard_path(options.shard))  # an unknown one would be watched in vain
    rows = _rows_of(session, options.shard)
    live = LiveLines(rows)
    if not session.wants_json:
        session.screen.say(shards_lines(rows, session.width) if options.shard else _heading(rows, session.width))
    try:
        for event in _told_of_breaks(session, options.shard):
            if event is not None and session.wants_json:
                session.screen.write(document(event.data, indent=None))
            elif event is not None and event.name == RESET:
                session.screen.say(live.missed(_rows_of(session, options.shard), session.width))
            elif event is not None and (frame := read_event(event)) is not None:
                session.screen.say(live.lines(frame, session.width))
            if session.screen.is_closed:
                return ExitCode.DONE
    except KeyboardInterrupt:
        session.notes.say([""])
    return ExitCode.DONE


def _told_of_breaks(session: Session, shard: str | None) -> Iterator[ServerEvent | None]:
    """Yield the events, and tell of each break of the connection and of its end."""
    is_lost = False

    def lost(reason: str) -> None:
        nonlocal is_lost
        is_lost = True
        session.notes.say([f"{reason}; trying again"])

    for event in lasting_events(session.client, shard, lost):
        if event is not None and is_lost:
            is_lost = False
            session.notes.say([f"vtorc at {session.client.address.text} answers again"])
        yield event


def _rows_of(session: Session, shard: str | None) -> list[ShardRowForm]:
    """Return the row of one shard, or those of all."""
    return [row for row in _rows(session, {}).items if shard in (None, row.name)]


def _heading(rows: list[ShardRowForm], width: int) -> list[str]:
    """Return the shards with problems, which all news is about, and how many others there are."""
    troubled = [row for row in rows if has_problems(row)]
    healthy = len(rows) - len(troubled)
    return [*(shards_lines(troubled, width) if troubled else []), f"watching; {counted(healthy, 'healthy shard')}"]


def api(session: Session, options: argparse.Namespace) -> ExitCode:
    """Show the answer of a path of the API as it is; returns 0."""
    path = options.path.removeprefix("/").removeprefix("api/v1/")
    if options.path.startswith("/") and not options.path.startswith("/api/v1/"):
        raise WrongWords(f"path {options.path!r}: expected one below /api/v1, such as status or /api/v1/status")
    arguments = _json_object(options.data) if options.data is not None else None
    answer = session.client.get(path) if arguments is None else session.client.post(path, arguments)
    session.screen.write(document(answer.body))
    return ExitCode.DONE


def _json_object(text: str) -> dict[str, object]:
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WrongWords(f"--data {text[:200]!r}: expected a JSON object ({error})") from error
    if not isinstance(given, dict):
        raise WrongWords(f'--data {text!r}: expected a JSON object, such as \'{{"reason": "upgrade"}}\'')
    return given


def completion(session: Session, options: argparse.Namespace) -> ExitCode:
    """Write the script that completes the words in a shell; returns 0."""
    session.screen.write(bash_script())
    return ExitCode.DONE


COMMANDS: Mapping[str, Callable[[Session, argparse.Namespace], ExitCode]] = {
    "status": status,
    "shards": shards,
    "topology": topology,
    "why": why,
    "problems": problems,
    "recoveries": recoveries,
    "recovery": recovery,
    "plan": plan,
    "promote": lambda session, options: change_primary(session, options, "planned"),
    "emergency": lambda session, options: change_primary(session, options, "emergency"),
    "force": lambda session, options: change_primary(session, options, "forced"),
    "cancel": cancel,
    "ack": ack,
    "holds": holds,
    "hold": hold,
    "lift": lift,
    "audit": audit,
    "token": token,
    "watch": watch,
    "api": api,
    "completion": completion,
}
"""The commands by their names in `vtorc.cli.client.words`; each returns its exit code."""
