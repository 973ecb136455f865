"""A run is a path of the model, or its first event that the model lacks is named."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from vtorc.sim.model.conformance import (
    Applied,
    Committed,
    Crashed,
    Event,
    Path,
    Pointed,
    Received,
    Recovered,
    Restarted,
    Restored,
    Writable,
    Wrote,
)
from vtorc.sim.model.plan import ModelPlan, named_policy, shard
from vtorc.sim.model.recovery_path import Done, PathViolation, follows

PLAN = ModelPlan(members=shard("z1", "z1", "z1"), policy=named_policy("semi_sync"))

BEGIN: tuple[Event, ...] = (Pointed(1, 0), Pointed(2, 0), Writable(0, True))
"""Tablet 0 is primary, the others follow it."""

WRITE: tuple[Event, ...] = (Wrote(0, "a"), Received(1, "a"), Committed(0, "a", True), Applied(1, "a"))


def conforms(plan: ModelPlan, events: Sequence[Event]) -> PathViolation | None:
    """Return the violation of the first event that the model does not have, None if it has them all."""
    path = Path(plan)
    return next((violation for event in events if (violation := path.follow(event))), None)


def test_a_failover_is_a_path() -> None:
    """An acknowledged write, a primary that crashes, and a winner that has applied and that the others follow."""
    events = (*BEGIN, *WRITE, Crashed(0), Pointed(1, -1), Writable(1, True), Pointed(2, 1), Received(2, "a"))
    assert conforms(PLAN, (*events, Applied(2, "a"), Wrote(1, "b"), Received(2, "b"), Committed(1, "b", True))) is None


def test_an_unacknowledged_write_comes_back_with_its_server() -> None:
    """After a crash a server has all writes of its binary log, acknowledged or not."""
    assert conforms(PLAN, (*BEGIN, Wrote(0, "a"), Crashed(0), Restarted(0, 1))) is None


@pytest.mark.parametrize(("shows_waiting", "held"), [(False, 1), (True, 2)])
def test_a_rebuilt_server_has_what_the_other_showed(shows_waiting: bool, held: int) -> None:
    """A copy of another server's data replaces the writes that a server held, by what the other one shows."""
    events = (*BEGIN, *WRITE, Crashed(2), Wrote(0, "b"), Restored(2, 0, shows_waiting), Restarted(2, held))
    assert conforms(PLAN, events) is None


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ((Wrote(1, "b"),), "although it is read-only"),
        ((Crashed(0), Wrote(0, "b")), "is down"),
        ((Received(2, "b"),), "a write that its source lacks"),
        ((Pointed(2, -1), Received(2, "a")), "a write that its source lacks"),
        ((Applied(2, "a"),), "a write that it did not receive"),
        ((Received(2, "a"), Pointed(2, 1), Applied(2, "a")), "a write that it did not receive"),
        ((Wrote(0, "b"), Committed(0, "b", True)), "that only 0 replicas ever received"),
        ((Crashed(0), Restarted(0, 0)), "has 0 writes after its start, not 1"),
        ((Pointed(2, -1), Writable(2, True)), "lacks 1 acknowledged"),
        ((Recovered((Done("promote", "z1-101", 1.0, 2.0, True),)),), "had not been stopped"),
    ],
)
def test_the_first_event_that_the_model_lacks_is_named(events: Sequence[Event], why: str) -> None:
    """The first event that no step of the model explains is a violation, with its reason."""
    violation = conforms(PLAN, (*BEGIN, *WRITE, *events))
    assert violation is not None
    assert why in violation.text


def test_a_crash_keeps_a_relay_log_only_where_it_is_durable() -> None:
    """The plan says whether a server keeps its relay log over a crash."""
    events = (*BEGIN, Wrote(0, "a"), Received(1, "a"), Crashed(1))
    assert conforms(PLAN, (*events, Restarted(1, 1))) is None
    assert conforms(replace(PLAN, durable_relay=False), (*events, Restarted(1, 0))) is None


def step(name: str, on: str, at: float, *, succeeded: bool = True) -> Done:
    """A step of a second's length."""
    return Done(name, on, at, at + 1.0, succeeded)


FAILOVER = (
    step("check lock", "", 0.0),
    step("stop replication", "a", 1.0),
    step("stop replication", "b", 1.0),
    step("apply relay log", "a", 2.0),
    step("check lock", "", 3.0),
    step("promote", "a", 4.0),
    step("replicate from a", "b", 4.0),
)


def test_the_order_of_a_failover_is_a_path() -> None:
    """Stop under the lock, apply, check the lock again, promote and re-point."""
    assert follows(FAILOVER) is None


def test_a_failover_that_breaks_off_is_a_path() -> None:
    """Stopped tablets are started again, and none was promoted."""
    assert follows((*FAILOVER[:3], step("undo: stop replication", "a", 2.0))) is None


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        (FAILOVER[1:], "before the lock was checked"),
        ((*FAILOVER[:4], *FAILOVER[5:]), "before the lock was checked again"),
        ((*FAILOVER[:4], step("check lock", "", 3.0, succeeded=False), *FAILOVER[5:]), "checked again"),
        ((*FAILOVER[:3], *FAILOVER[4:]), "before it had applied"),
        ((FAILOVER[0], *FAILOVER[2:]), "a was promoted, and had not been stopped"),
        ((*FAILOVER, step("replicate from a", "c", 4.0)), "c was re-pointed, and had not been stopped"),
        ((*FAILOVER[:5], FAILOVER[6]), "no tablet was promoted"),
        ((*FAILOVER[:6], step("replicate from a", "b", 1.5)), "before a held everything"),
        ((*FAILOVER, step("undo: stop replication", "b", 6.0)), "although a promotion had been sent"),
    ],
)
def test_a_failover_in_another_order_is_none(steps: Sequence[Done], why: str) -> None:
    """Each order that the model lacks is refused with its own reason."""
    violation = follows(steps)
    assert violation is not None
    assert why in violation.text
