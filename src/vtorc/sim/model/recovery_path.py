"""The order of a failover's steps in the model: stop under the lock, apply, check the lock again, promote.

The names of the steps are those that `vtorc.recovery` records.
"""

from collections.abc import Sequence
from dataclasses import dataclass

_STOPS = frozenset({"stop replication", "stop IO thread", "demote primary"})
_APPLIES = "apply relay log"
_LOCK = "check lock"
_PROMOTES = "promote"
_FOLLOWS = "replicate from "
_FETCHES = "fetch from "
_UNDOES = "undo: "


@dataclass(frozen=True, slots=True)
class PathViolation:
    """The reason why a run is not a path of the model."""

    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """One step of a failover: its name and target, its beginning and end, and whether it succeeded."""

    name: str
    target: str
    started: float
    ended: float
    succeeded: bool


def follows(steps: Sequence[Done]) -> PathViolation | None:
    """Return why the model lacks the order of a failover's steps, None if it has that order."""
    checks = [step for step in steps if step.name == _LOCK]
    stops = [step for step in steps if step.name in _STOPS]
    if stops and not _guarded(checks, min(step.started for step in stops), since=0.0):
        return PathViolation("tablets were stopped before the lock was checked")
    stopped = {step.target for step in stops if step.succeeded}
    promotion = next((step for step in steps if step.name == _PROMOTES), None)
    for step in steps:
        if step.name.startswith((_FOLLOWS, _FETCHES)) and step.target not in stopped:
            return PathViolation(f"{step.target} was re-pointed, and had not been stopped")
        if step.name.startswith(_FOLLOWS) and promotion is None:
            return PathViolation(f"{step.target} was re-pointed, and no tablet was promoted")
        if step.name.startswith(_UNDOES) and promotion is not None:
            return PathViolation(f"{step.name} on {step.target} although a promotion had been sent")
    return None if promotion is None else _promoted(steps, checks, stopped, promotion)


def _promoted(
    steps: Sequence[Done], checks: Sequence[Done], stopped: set[str], promotion: Done
) -> PathViolation | None:
    winner = promotion.target
    if winner not in stopped:
        return PathViolation(f"{winner} was promoted, and had not been stopped")
    ready = [
        step
        for step in steps
        if step.target == winner
        and step.succeeded
        and (step.name == _APPLIES or step.name.startswith(_FETCHES))
        and step.ended <= promotion.started
    ]
    if not ready:
        return PathViolation(f"{winner} was promoted before it had applied its relay log")
    since = max(step.ended for step in ready)
    if not _guarded(checks, promotion.started, since=since):
        return PathViolation(f"{winner} was promoted before the lock was checked again")
    early = [step for step in steps if step.name.startswith(_FOLLOWS) and step.started < since]
    if early:
        return PathViolation(f"{early[0].target} was re-pointed before {winner} held everything")
    return None


def _guarded(checks: Sequence[Done], before: float, *, since: float) -> bool:
    return any(step.succeeded and since <= step.started and step.ended <= before for step in checks)
