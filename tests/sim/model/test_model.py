"""Every order of steps in small worlds: no acknowledged write is lost, and each mutant of the rules is found."""

from dataclasses import replace

import pytest

from vtorc.sim.model.explore import explore
from vtorc.sim.model.plan import ModelPlan, ModelRules, named_policy, shard

SEMI_SYNC = named_policy("semi_sync")
WITH_RDONLY = named_policy("semi_sync_with_rdonly_ack")
TWO_ACKS = named_policy("semi_sync", acks=2)
CROSS_CELL = named_policy("cross_cell")

THREE = ModelPlan(members=shard("z1", "z1", "z1"), policy=SEMI_SYNC, writes=1, crashes=1)
FOUR = ModelPlan(members=shard("z1", "z1", "z1", "z1"), policy=SEMI_SYNC, writes=1, crashes=0)
REPAIRS = replace(THREE, crashes=0, lock_losses=1, repairs=True)
CUTS = replace(REPAIRS, cuts=1)
RIVALS = replace(THREE, crashes=0, lock_losses=1, coordinators=2)
RDONLY = replace(THREE, members=shard("z1", "z1", "z1/rdonly"), policy=WITH_RDONLY)
CROSS = replace(THREE, members=shard("z1", "z1", "z2"), policy=CROSS_CELL)
MAJORITY = replace(FOUR, policy=TWO_ACKS)
AGAIN = replace(THREE, rounds=2, observes_primary=True)

FAILOVER = {"a write is acknowledged", "a failover completes", "the new primary is proven", "a failover is given up"}
CRASHED = FAILOVER | {"an unacknowledged write comes back"}

SOUND = {
    "three tablets": (THREE, 99, CRASHED),
    "four tablets": (FOUR, 99, FAILOVER),
    "repairs between failovers, a lock that is lost": (REPAIRS, 99, FAILOVER),
    "replication links that break": (CUTS, 12, FAILOVER),
    "two vtorcs": (RIVALS, 12, FAILOVER | {"two vtorcs are at work"}),
    "an acker that cannot win": (RDONLY, 12, CRASHED),
    "ackers in another cell": (CROSS, 12, FAILOVER),
    "two acknowledgements": (MAJORITY, 14, FAILOVER),
    "one failover after the other": (AGAIN, 11, FAILOVER),
}

MUTANTS = {
    "promotes although unstopped tablets may acknowledge": (FOUR, ModelRules(check_revoked=False)),
    "counts unreached tablets as stopped": (THREE, ModelRules(unreached_counts=False)),
    "counts only executed writes": (THREE, ModelRules(count_received=False)),
    "does not stop a connecting IO thread": (CUTS, ModelRules(stop_connecting=False)),
    "promotes before the relay log is applied": (THREE, ModelRules(wait_applied=False)),
    "re-points before the winner holds everything": (RDONLY, ModelRules(hold_before_repoint=False)),
    "ignores that the lock was lost": (REPAIRS, ModelRules(heed_lock=False)),
    "undoes without the lock": (RIVALS, ModelRules(undo_under_lock=False)),
    "undoes after a promotion was sent": (REPAIRS, ModelRules(no_way_back=False)),
}


@pytest.mark.parametrize("name", SOUND)
def test_no_order_of_events_breaks_a_property(name: str) -> None:
    """Every property holds in every state up to the depth, and every goal is reached."""
    plan, depth, goals = SOUND[name]
    report = explore(plan, depth=depth)
    assert report.counterexample is None, f"\n{report.counterexample}"
    assert report.complete == (depth == 99)
    assert report.reached.keys() >= goals
    assert "ackers-unreached" in report.refusals


@pytest.mark.parametrize("name", MUTANTS)
def test_every_mutant_is_found(name: str) -> None:
    """A failover without one of its rules breaks a property, and the model has a counterexample."""
    plan, rules = MUTANTS[name]
    report = explore(replace(plan, rules=rules))
    assert report.counterexample is not None


def test_a_counterexample_reads_as_a_story() -> None:
    """The shortest counterexample is a list of steps, with one name for each tablet."""
    report = explore(replace(THREE, rules=ModelRules(wait_applied=False)))
    assert str(report.counterexample).splitlines() == [
        "  1. a client writes to z1-100",
        "  2. z1-101 receives from z1-100",
        "  3. an acknowledgement of z1-101 reaches z1-100",
        "  4. vtorc 1 takes the lock to replace z1-100",
        "  5. vtorc 1 demotes z1-100",
        "  6. vtorc 1 stops z1-101",
        "  7. vtorc 1 elects z1-101 and promotes it",
        "  8. z1-101 is primary",
        "  => acknowledged-write-lost",
    ]


def test_the_promise_ends_where_a_crash_takes_a_relay_log() -> None:
    """A write is lost with an acker that loses its relay log in a crash, if the primary is lost too."""
    report = explore(replace(THREE, crashes=1, durable_relay=False))
    assert report.counterexample is not None
    assert report.counterexample.rule == "acknowledged-write-lost"


def test_the_promise_ends_where_a_call_outlives_its_lock() -> None:
    """A write is lost by a promotion that arrives when its lock was lost and another vtorc has repaired the shard."""
    report = explore(replace(REPAIRS, prompt_calls=False))
    assert report.counterexample is not None
    assert report.counterexample.rule == "acknowledged-write-lost"
