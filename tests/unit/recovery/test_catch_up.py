"""The wait for relay logs during a recovery: its one deadline, and what is not tried again."""

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from tests.unit.core.builders import alias, gtids, primary, replica, shard
from vtorc.core.election.candidates import StoppedTablet
from vtorc.core.election.choice import Choice
from vtorc.core.election.safety_argument import SafetyArgument
from vtorc.core.facts.durability import Member
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.status import ReplicationStatus
from vtorc.discovery.lateness import OnTimeClock
from vtorc.errors import TabletCallFailed
from vtorc.recovery.catch_up import CatchUp, ReadyToPromote
from vtorc.recovery.errors import RecoveryFailed, RecoveryRefused
from vtorc.recovery.session import RecoverySession, RecoveryTools
from vtorc.sim.cluster.vtorc import SimClock
from vtorc.sim.engine.loop import run
from vtorc.sim.engine.process import Host

P, A, B, C = (alias(name) for name in ("zone1-100", "zone1-101", "zone2-200", "zone3-300"))
BEHIND, ALL = gtids("100:1-50"), gtids("100:1-60")
NEVER = float("inf")
DEADLINE = 30.0
ARGUMENT = SafetyArgument(policy="semi_sync", stopped=(), unreached=(), required=ALL, sentence="")


class Tablets:
    """Tablet managers that apply relay logs in `applies` seconds, and fetch in `fetches` seconds; below 0 they fail."""

    def __init__(
        self, applies: Mapping[TabletAlias, float], fetches: Mapping[tuple[TabletAlias, TabletAlias], float]
    ) -> None:
        self._applies = dict(applies)
        self._fetches = fetches
        self.calls: list[tuple[str, TabletAlias]] = []

    async def wait_for_position(self, tablet: TabletRecord, position: GtidSet) -> None:
        self.calls.append(("apply", tablet.alias))
        await _take(self._applies.get(tablet.alias, 0.0))
        self._applies[tablet.alias] = 0.0

    async def set_replication_source(self, tablet: TabletRecord, source: TabletAlias, **_: object) -> None:
        self.calls.append((f"from {source.uid}", tablet.alias))
        await _take(self._fetches.get((tablet.alias, source), 0.1))

    async def stop_io_thread(self, tablet: TabletRecord) -> None:
        return

    async def replication_status(self, tablet: TabletRecord) -> ReplicationStatus:
        return ReplicationStatus(executed=BEHIND, received=ALL)


async def _take(seconds: float) -> None:
    """Answer after so many seconds, or with an error if they are negative."""
    if seconds < 0.0:
        raise TabletCallFailed("connection refused")
    await asyncio.sleep(min(seconds, 1e6))


class Lock:
    """A lock that is held."""

    async def check(self) -> None:
        return


def choice(*holders: TabletAlias, winner: TabletAlias | None = None, source: TabletAlias | None = None) -> Choice:
    """Return one way: any of `holders` wins, or `winner` fetches from `source`."""
    return Choice(winner=winner or holders[0], holders=holders, source=source, required=ALL, argument=ARGUMENT)


def catch_up(
    *ways: Choice,
    applies: Mapping[TabletAlias, float] = {},
    fetches: Mapping[tuple[TabletAlias, TabletAlias], float] = {},
    then: Choice | None = None,
) -> tuple[ReadyToPromote | Exception, RecoverySession, Tablets, float]:
    """Catch up in these ways, best first, or as elections after the first say (`then`).

    Returns what came of it, and the seconds that it took.
    """
    tablets = Tablets(applies, fetches)
    stopped = {
        each: StoppedTablet(member=Member(each, TabletType.REPLICA), server_uuid="", executed=BEHIND, received=ALL)
        for each in (P, A, B, C)
    }

    async def play() -> tuple[ReadyToPromote | Exception, RecoverySession, Tablets, float]:
        tools = RecoveryTools(
            topo=cast(Any, None), tablets=cast(Any, tablets), clock=OnTimeClock(SimClock(Host("vtorc", "zone1")))
        )
        session = RecoverySession(tools, cast(Any, Lock()), began=0.0)
        view = shard(primary(), *(replica(name) for name in ("zone1-101", "zone2-200", "zone3-300")))
        first = replace(ways[0], otherwise=ways[1:])
        elections = itertools.chain([first], itertools.repeat(then or first))
        try:
            result: ReadyToPromote | Exception = await CatchUp(session, view, lambda _: next(elections)).run(stopped)
        except (RecoveryFailed, RecoveryRefused) as error:
            result = error
        return result, session, tablets, session.elapsed()

    return run(play())


def test_a_relay_log_that_is_not_applied_is_waited_for_once() -> None:
    """No other choice that needs the same relay log is tried, and the refusal names the tablet and what is left."""
    ways = [choice(B), choice(winner=A, source=B), choice(winner=C, source=B)]
    error, session, tablets, took = catch_up(*ways, applies={B: NEVER})
    assert isinstance(error, RecoveryRefused)
    assert error.rule is Rule.APPLIER_BEHIND
    assert "zone2-0000000200 has 10 transactions left to apply" in str(error)
    assert tablets.calls == [("apply", B)]
    assert session.waits_for == {B: ALL}
    assert took == pytest.approx(DEADLINE)


def test_all_choices_together_have_one_deadline() -> None:
    """Sources that each take for ever do not add up."""
    ways = [choice(A), choice(winner=A, source=B), choice(winner=B, source=C), choice(winner=C, source=P)]
    error, session, tablets, took = catch_up(*ways, applies=dict.fromkeys((A, B, C, P), NEVER))
    assert isinstance(error, RecoveryRefused)
    assert [name for _, name in tablets.calls] == [A, B, C, P]
    assert took == pytest.approx(DEADLINE)
    assert session.waits_for.keys() == {A, B, C, P}


def test_a_fetch_leaves_half_of_the_time_to_the_other_choices() -> None:
    """A fetch that hangs does not keep the next tablet from winning."""
    ways = [choice(winner=A, source=P), choice(winner=B, source=P), choice(B, C)]
    ready, _, _, took = catch_up(*ways, fetches={(A, P): NEVER, (B, P): NEVER}, applies={B: 5.0, C: 5.0})
    assert isinstance(ready, ReadyToPromote)
    assert ready.winner == B
    assert took == pytest.approx(DEADLINE / 2 + DEADLINE / 4 + 5.0)


def test_the_time_for_a_relay_log_counts_for_the_fetch_after_it() -> None:
    """A source that needs 10 of 30 s leaves 10 s for the first fetch from it, and 10 s for the second."""
    ways = [choice(winner=A, source=B), choice(winner=C, source=B)]
    error, _, tablets, took = catch_up(*ways, fetches={(A, B): NEVER, (C, B): NEVER}, applies={B: 10.0})
    assert isinstance(error, RecoveryFailed)
    assert tablets.calls == [("apply", B), ("from 200", A), ("apply", B), ("from 200", C)]
    assert took == pytest.approx(DEADLINE)


def test_a_relay_log_that_cannot_be_applied_is_not_tried_again() -> None:
    """An error ends all choices that need that tablet, although time is left."""
    ways = [choice(winner=A, source=B), choice(winner=C, source=B), choice(winner=A, source=P)]
    ready, _, tablets, took = catch_up(*ways, applies={B: -1.0})
    assert isinstance(ready, ReadyToPromote)
    assert tablets.calls == [("apply", B), ("apply", P), ("from 100", A)]
    assert took < 1.0


def test_nothing_is_asked_once_the_time_is_over() -> None:
    """A choice that the election finds too late is not begun: its call would be sent and cancelled at once."""
    _, _, tablets, took = catch_up(choice(B), applies={B: NEVER}, then=choice(winner=A, source=C))
    assert tablets.calls == [("apply", B)]
    assert took == pytest.approx(DEADLINE)


def test_the_only_relay_log_gets_all_of_the_time() -> None:
    """A relay log that every choice needs may take the whole deadline."""
    ready, _, _, took = catch_up(choice(B), choice(winner=A, source=B), applies={B: DEADLINE - 1.0})
    assert isinstance(ready, ReadyToPromote)
    assert took == pytest.approx(DEADLINE - 1.0)


def test_a_fetch_that_fails_is_no_word_on_its_source() -> None:
    """Another tablet fetches from the same source, as it may be reachable from there."""
    ready, _, tablets, _ = catch_up(choice(winner=A, source=B), choice(winner=C, source=B), fetches={(A, B): -1.0})
    assert isinstance(ready, ReadyToPromote)
    assert ready.winner == C
    assert [call for call in tablets.calls if call[0] != "apply"] == [("from 200", A), ("from 200", C)]


def test_fetches_that_all_fail_are_a_failure() -> None:
    """The sentence says which tablet could not fetch from which, and no relay log is blamed."""
    error, session, _, _ = catch_up(
        choice(winner=A, source=B), choice(winner=C, source=B), fetches={(A, B): -1.0, (C, B): NEVER}
    )
    assert isinstance(error, RecoveryFailed)
    assert "zone1-0000000101 could not fetch transactions from zone2-0000000200: connection refused" in str(error)
    assert "zone3-0000000300 could not fetch transactions from zone2-0000000200: no answer in time" in str(error)
    assert session.waits_for == {}
