"""When the record of a tablet that takes writes is believed although it does not say PRIMARY."""

import asyncio
from dataclasses import replace
from typing import cast

from tests.unit.core.builders import changed, of_old_version, primary, record, replica, shard
from tests.unit.discovery.clocks import LoopClock
from tests.unit.discovery.test_lost import Answering
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.status import TabletStatus
from vtorc.core.facts.tablet_memory import RECORD_IS_LATE_AT_MOST
from vtorc.discovery.probe import TabletProbe
from vtorc.discovery.probe_pace import ProbePace
from vtorc.sim.engine.loop import run
from vtorc.tablet.api import TabletManager

R1, R2 = "zone1-101", "zone2-200"
RECORD = record(R1, TabletType.REPLICA)
ALONE = replica(R1, of=None, read_only=False).status
ATTACHED = replica(R1).status


def stands(*readings: tuple[float, TabletType], answers: tuple[TabletStatus | None, ...] = (ALONE,)) -> bool:
    """Return whether the record is confirmed after the answers and readings; a reading's time is seconds after the last
    answer.
    """

    async def main() -> bool:
        left = [len(answers)]
        enough = asyncio.Event()

        def changed(*_: object) -> None:
            left[0] -= 1
            if not left[0]:
                enough.set()

        probe = TabletProbe(RECORD, cast(TabletManager, Answering(*answers)), LoopClock(), changed)
        probing = asyncio.create_task(probe.run(ProbePace))
        await enough.wait()
        probing.cancel()
        assert probe.view.last_probe.ended_at is not None
        for after, type_ in readings:
            probe.update_record(replace(RECORD, type=type_), read_at=probe.view.last_probe.ended_at + after)
        return probe.view.memory.record_confirmed

    return run(main(), seed=1)


def test_a_record_stands_that_was_read_long_after_the_tablet_took_writes() -> None:
    """A reading that began a minute later is believed; an earlier one is not, nor one that says PRIMARY."""
    late = RECORD_IS_LATE_AT_MOST
    assert not stands((late - 1, TabletType.REPLICA))
    assert stands((late, TabletType.REPLICA))
    assert not stands((late, TabletType.PRIMARY))
    assert not stands((late, TabletType.REPLICA), (late + 1, TabletType.PRIMARY), (late + 2, TabletType.REPLICA))
    assert not stands((late, TabletType.REPLICA), answers=(ALONE, ATTACHED))


def test_so_does_that_of_one_that_was_primary_by_its_own_account() -> None:
    """A read-only tablet that calls itself primary counts too: if it died so, it must not be waited for for ever."""
    claims = replica(R1, of=None, tablet_type=TabletType.PRIMARY).status
    assert not stands((RECORD_IS_LATE_AT_MOST - 1, TabletType.REPLICA), answers=(claims,))
    assert stands((RECORD_IS_LATE_AT_MOST, TabletType.REPLICA), answers=(claims,))
    assert not stands((RECORD_IS_LATE_AT_MOST, TabletType.REPLICA), answers=(replica(R1, of=None).status,))


def test_a_tablet_without_a_type_is_no_rival_once_its_record_stands() -> None:
    """A writable tablet of an old version with replicas counts as self-declared primary until its record is
    confirmed.
    """
    alone = of_old_version(replica(R1, of=None, read_only=False))
    follower = replica(R2, of=R1)
    assert shard(primary(), alone, follower).self_declared_primaries == (alone,)
    assert shard(primary(), changed(alone, record_confirmed=True), follower).self_declared_primaries == ()
