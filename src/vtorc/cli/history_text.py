"""The entries of a history as text for operators, and as lines of JSON for programs."""

import datetime
import json
from collections.abc import Mapping
from dataclasses import asdict

from vtorc.history.store import DECIDED, StoredAudit, StoredDecision, StoredRecovery

Entry = StoredRecovery | StoredDecision | StoredAudit


def happened(entry: Entry) -> int:
    """Return when an entry happened, or began, in nanoseconds since the Unix epoch."""
    return entry.began if isinstance(entry, StoredRecovery) else entry.at


def json_line(entry: Entry) -> str:
    """Return an entry as one JSON object, in ASCII."""
    return json.dumps(asdict(entry))


def entry_lines(entry: Entry) -> list[str]:
    """Return an entry as lines of text."""
    match entry:
        case StoredRecovery():
            return recovery_lines(entry)
        case StoredDecision():
            return [decision_line(entry)]
        case StoredAudit():
            return [audit_line(entry)]


def decision_line(decision: StoredDecision) -> str:
    """Return a decision with its time, its rule and its sentence."""
    told = decision.sentence if decision.change == DECIDED else f"gone: {decision.sentence}"
    return f"  {shown_time(decision.at)}  [{decision.rule}] {told}"


def audit_line(entry: StoredAudit) -> str:
    """Return what an operator asked for, with its time, and what came of it."""
    detail = entry.detail
    times, reason = detail.get("times"), detail.get("reason")
    often = f" {times} times" if isinstance(times, int) and times > 1 else ""
    because = f" (reason: {reason})" if reason else ""
    known = f"{entry.actor}, known by {detail.get('means')}, from {detail.get('origin')}"
    return f"  {shown_time(entry.at)}  {entry.action} {entry.result}{often}: {known}: {entry.sentence}{because}"


def recovery_lines(recovery: StoredRecovery) -> list[str]:
    """Return a recovery with its steps and, if it has one, its safety argument."""
    detail = recovery.detail
    lines = [
        f"{shown_time(recovery.began)}  {recovery.shard}  {recovery.recovery} for {recovery.code or 'an operator'}"
        f" ({recovery.outcome})",
        f"  {recovery.sentence}",
    ]
    asked = detail.get("asked")
    if isinstance(asked, Mapping):
        lines.append(f"  asked for by {asked.get('actor')} from {asked.get('origin')}: {asked.get('reason')}")
    argument = detail.get("argument")
    if isinstance(argument, Mapping):
        lines.append(f"  why it was safe: {argument.get('sentence')}")
    steps = detail.get("steps")
    for step in steps if isinstance(steps, list) else []:
        on = f" on {step['target']}" if step["target"] else ""
        lines.append(f"  {step['started']:8.3f} s  {step['duration']:7.3f} s  {step['name']}{on}: {step['result']}")
    for hook in recovery.hooks:
        lines.append(f"  hook {hook.get('hook')} {hook.get('number')}: {hook.get('result')}")
    return [*lines, ""]


def shown_time(nanoseconds: int) -> str:
    """Return a time in nanoseconds since the Unix epoch as operators read it."""
    at = datetime.datetime.fromtimestamp(nanoseconds / 1e9, tz=datetime.UTC)
    return at.isoformat(timespec="milliseconds")
