"""An unattended series of failovers: break the primary, measure, check the ledger, mend it, and again."""

import asyncio
import math
import random
import time
from collections.abc import Callable
from typing import TypeVar

from vtorc.core.facts.durability import policy
from vtorc.demo.cross_cell_check import CrossCellWitness, executed, one_cell_writes, wrong_ackers
from vtorc.demo.demo_observer import Replacement
from vtorc.demo.faults import Consequence, fault_named
from vtorc.demo.health import has_executed, is_errant, why_unhealthy
from vtorc.demo.ledger import Gap
from vtorc.demo.report import DemoReport, Failover
from vtorc.demo.running_demo import RunningDemo
from vtorc.demo.servers import DemoTablet
from vtorc.errors import MysqlError
from vtorc.lab.errors import LabError
from vtorc.recovery.outage_marks import OutageMark

T = TypeVar("T")

PROMOTION_DEADLINE = 60.0
"""Seconds within which another tablet must take writes, or the failover counts as failed."""

CONVERGENCE_DEADLINE = 90.0
"""Seconds within which the shard must be free of problems, or it counts as not converged."""

STANDS_FOR = 15.0
"""Seconds for which a primary that must stay is watched once vtorc has told what is wrong with it.

That is longer than a primary that hangs gets to recover (`core.detection.thresholds.HUNG_AFTER`).
"""

AT_REST = (6.0, 8.0)
"""Seconds, drawn at random, for which a healthy shard is left alone.

The fault then comes at any moment between two probes of the primary. It has been at work for as long as vtorc needs to
know it (`core.detection.thresholds.STEADY_FOR`). So have the primaries of real clusters.
"""


class FailoverSeries:
    """Runs the failovers that the report asks for, and calls `on_failover` with each as soon as it is over."""

    def __init__(self, demo: RunningDemo, report: DemoReport, on_failover: Callable[[Failover], None]) -> None:
        self._demo = demo
        self._observer = demo.observer
        self._report = report
        self._on_failover = on_failover
        self._policy = policy(report.setup.durability)
        self._fault = fault_named(report.setup.fault)

    async def run(self) -> None:
        """Run the series; it ends early after a failover that did not converge."""
        while len(self._report.failovers) < self._report.setup.wanted:
            failover = await self._run_one()
            self._report.failovers.append(failover)
            self._on_failover(failover)
            if not failover.converged:
                return

    async def _run_one(self) -> Failover:
        failover = Failover(fault=self._report.setup.fault, old_primary="none")
        try:
            old = await self._wait_healthy()
            failover.old_primary = str(old.alias)
            match self._fault.primary:
                case Consequence.REPLACED:
                    new = await self._fail_over(old, failover)
                    await self._check_ledger(new, failover)
                    await self._rejoin(old, new, failover)
                case Consequence.MOVED:
                    new = await self._move(old, failover)
                    await self._check_ledger(new, failover)
                    await self._wait_returned(old, new, failover)
                case Consequence.STAYS:
                    await self._outlast(old, failover)
                    await self._check_ledger(old, failover)
        except LabError as error:
            failover.problem = str(error)
        except (MysqlError, TimeoutError) as error:
            failover.problem = f"a query of a server failed: {error or 'no answer in time'}"
        return failover

    async def _wait_healthy(self) -> DemoTablet:
        """Wait for a shard without problems where the primary takes the writer's rows; returns the primary."""
        since = self._observer.clock()

        def healthy_primary() -> DemoTablet | None:
            primary = self._demo.primary
            healthy = not why_unhealthy(self._observer.judgement, heard_since=since)
            return primary if healthy and primary is not None else None

        primary = await self._wait_for(
            CONVERGENCE_DEADLINE, healthy_primary, lambda: f"not begun: {self._why_unhealthy(since)}"
        )
        ledger = self._demo.writer.ledger
        before = ledger.count

        def writing() -> bool | None:
            return True if ledger.count > before and ledger.last_from == primary.alias else None

        await self._wait_for(PROMOTION_DEADLINE, writing, lambda: f"not begun: {primary.alias} acknowledges no rows")
        await asyncio.sleep(random.uniform(*AT_REST))
        return primary

    async def _fail_over(self, old: DemoTablet, failover: Failover) -> DemoTablet:
        """Break `old`, and wait until another tablet takes writes and vtorc's recovery has ended.

        Returns the new primary.
        """
        ledger = self._demo.writer.ledger
        judgement = self._observer.judgement
        view = judgement.view.tablet(old.alias) if judgement is not None else None
        old_uuid = view.status.server_uuid if view is not None and view.status is not None else ""
        doubts = len(ledger.in_doubt)
        witness = CrossCellWitness(old, self._demo.tablets) if self._policy.other_cell else None
        if witness is not None:
            await witness.open_sessions()
        self._observer.noticed_at = None
        fault_at = time.monotonic()
        await self._demo.bring_about(self._fault, str(old.alias))
        if witness is not None:
            await witness.record_received()
        recorded_at = time.monotonic()
        gap = await self._wait_for(
            PROMOTION_DEADLINE,
            lambda: ledger.handover_from(old.alias, fault_at),
            lambda: self._why_no_primary(fault_at),
        )
        replacement = await self._wait_for(
            PROMOTION_DEADLINE, lambda: self._replaced(fault_at), lambda: self._why_no_primary(fault_at)
        )
        self._measure(failover, gap, replacement, fault_at)
        new = self._demo.cluster.tablets[gap.ended_by]
        if witness is not None:
            elected_at = replacement.marked_at(OutageMark.ELECTED)
            if elected_at is None or recorded_at > elected_at:  # from then on they may follow another primary
                raise LabError(
                    "the tablets in other cells answered after the election, too late to tell which writes they had "
                    "received when the primary died"
                )
            failover.one_cell += one_cell_writes(
                survived=await executed(new),
                held=witness.held,
                old_uuid=old_uuid,
                in_doubt=await self._demo.writer.present(new, ledger.in_doubt[doubts:]),
            )
        return new

    async def _move(self, old: DemoTablet, failover: Failover) -> DemoTablet:
        """Have an operator move the primary, and wait until the new one takes writes; returns it."""
        asked_at = time.monotonic()
        await self._demo.bring_about(self._fault, str(old.alias))
        gap = await self._wait_for(
            PROMOTION_DEADLINE,
            lambda: self._demo.writer.ledger.handover_from(old.alias, asked_at),
            lambda: self._why_no_primary(asked_at),
        )
        replacement = await self._wait_for(
            PROMOTION_DEADLINE, lambda: self._replaced(asked_at), lambda: self._why_no_primary(asked_at)
        )
        began = replacement.started_at
        failover.new_primary = str(gap.ended_by)
        failover.write_gap_ms = _ms(gap.seconds)
        moments = {
            "locked": replacement.locked_at,
            "elected": replacement.marked_at(OutageMark.ELECTED),
            "stopped": replacement.marked_at(OutageMark.DEMOTED),
            "promoted": replacement.marked_at(OutageMark.PROMOTED),
            "acknowledged": replacement.marked_at(OutageMark.ACKNOWLEDGED),
        }
        failover.phases_ms = {name: _ms(at - began) for name, at in moments.items() if at is not None}
        failover.promoted_ms = failover.phases_ms.get("promoted")
        return self._demo.cluster.tablets[gap.ended_by]

    async def _wait_returned(self, old: DemoTablet, new: DemoTablet, failover: Failover) -> None:
        """Wait until the former primary replicates."""
        began = time.monotonic()
        await self._wait_rejoined(old, new, errant_ends=False)
        failover.returned_ms = _ms(time.monotonic() - began)

    async def _outlast(self, old: DemoTablet, failover: Failover) -> None:
        """Break what is no reason to replace `old`, see that vtorc says so and leaves it primary, and mend it."""
        ledger, before = self._demo.writer.ledger, len(self._observer.replacements)
        self._observer.noticed_at = None
        fault_at = time.monotonic()
        await self._demo.bring_about(self._fault, str(old.alias))
        noticed_at = await self._wait_for(
            PROMOTION_DEADLINE,
            lambda: self._observer.noticed_at,
            lambda: f"vtorc has told of nothing for {PROMOTION_DEADLINE:g} s",
        )
        failover.phases_ms = {"noticed": _ms(noticed_at - fault_at)}
        await asyncio.sleep(STANDS_FOR)
        if len(self._observer.replacements) > before:
            raise LabError(f"{old.alias} was replaced, which cannot help against {self._fault.name}")
        mended_at, heard_since = time.monotonic(), self._observer.clock()
        await self._demo.start_or_resume(old)

        def writing() -> bool | None:
            return True if ledger.last_at is not None and ledger.last_at > mended_at else None

        await self._wait_for(PROMOTION_DEADLINE, writing, lambda: f"{old.alias} acknowledges no rows any more")
        failover.write_gap_ms = _ms(max((each.seconds for each in ledger.gaps if each.ended_at >= fault_at), default=0))
        await self._wait_for(
            CONVERGENCE_DEADLINE,
            lambda: not why_unhealthy(self._observer.judgement, heard_since=heard_since) or None,
            lambda: f"not converged: {self._why_unhealthy(heard_since)}",
        )
        failover.returned_ms = _ms(time.monotonic() - mended_at)

    def _measure(self, failover: Failover, gap: Gap, replacement: Replacement, fault_at: float) -> None:
        failover.new_primary = str(gap.ended_by)
        failover.write_gap_ms = _ms(gap.seconds)
        failover.detected_ms = _ms(replacement.decided_at - fault_at)
        moments = {
            "noticed": self._observer.noticed_at,
            "confirmed": replacement.decided_at,
            "locked": replacement.locked_at,
            "stopped": replacement.marked_at(OutageMark.STOPPED),
            "elected": replacement.marked_at(OutageMark.ELECTED),
            "promoted": replacement.marked_at(OutageMark.PROMOTED),
            "acknowledged": replacement.marked_at(OutageMark.ACKNOWLEDGED),
        }
        failover.phases_ms = {name: _ms(at - fault_at) for name, at in moments.items() if at is not None}
        failover.promoted_ms = failover.phases_ms.get("promoted")
        record = replacement.record
        if record is not None and record.argument is not None:
            failover.argument = record.argument.sentence

    async def _check_ledger(self, new: DemoTablet, failover: Failover) -> None:
        failover.acked = self._demo.writer.ledger.count
        failover.lost = len(await self._demo.writer.missing(new))

    async def _rejoin(self, old: DemoTablet, new: DemoTablet, failover: Failover) -> None:
        """Restart the dead server and wait until it replicates; rebuild it first if it has errant transactions."""
        began = time.monotonic()
        await self._demo.start_or_resume(old)
        if await self._wait_rejoined(old, new, errant_ends=True) == "errant":
            if (await executed(old)).difference(await executed(new)):
                failover.rebuilt = True
                await self._demo.rebuild(old)
            await self._wait_rejoined(old, new, errant_ends=False)
        failover.returned_ms = _ms(time.monotonic() - began)
        if self._policy.other_cell:
            failover.one_cell += len(await wrong_ackers(self._policy, new, self._demo.tablets))

    async def _wait_rejoined(self, old: DemoTablet, new: DemoTablet, *, errant_ends: bool) -> str:
        """Wait until the shard is healthy with `old` as a replica that has caught up; returns "healthy".

        With `errant_ends` it returns "errant" as soon as vtorc finds errant transactions on `old`.
        """
        position = await executed(new)
        since = self._observer.clock()

        def state() -> str | None:
            judgement = self._observer.judgement
            if errant_ends and is_errant(judgement, old.alias):
                return "errant"
            healthy = not why_unhealthy(judgement, heard_since=since)
            return "healthy" if healthy and has_executed(judgement, old.alias, position) else None

        return await self._wait_for(CONVERGENCE_DEADLINE, state, lambda: f"not converged: {self._why_unhealthy(since)}")

    def _replaced(self, since: float) -> Replacement | None:
        return next((each for each in self._observer.replacements if each.started_at >= since and each.succeeded), None)

    def _why_unhealthy(self, since: float) -> str:
        return why_unhealthy(self._observer.judgement, heard_since=since) or "a replica has not caught up"

    def _why_no_primary(self, since: float) -> str:
        """Say that writes have no primary, with the sentence of the last recovery or the first problem."""
        tried = [
            each.record.sentence for each in self._observer.replacements if each.started_at >= since and each.record
        ]
        why = tried[-1] if tried else self._why_unhealthy(-math.inf)
        return f"no other tablet took writes in time: {why}"

    async def _wait_for(self, seconds: float, condition: Callable[[], T | None], problem: Callable[[], str]) -> T:
        """Wait until `condition` returns something; raises LabError with `problem` after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                return await self._observer.wait_for(condition)
        except TimeoutError:
            raise LabError(problem()) from None


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
