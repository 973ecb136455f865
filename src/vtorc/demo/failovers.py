"""A series of failovers without anybody at hand: break the primary, measure, check the ledger, mend, and again."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import TypeVar

from vtorc.core.facts.durability import policy
from vtorc.demo.board import Replacement
from vtorc.demo.cells import CellWitness, alone_in_cell, executed, wrong_ackers
from vtorc.demo.health import has_executed, is_errant, why_not_well
from vtorc.demo.ledger import Gap
from vtorc.demo.report import DemoReport, Failover
from vtorc.demo.scene import Scene
from vtorc.demo.servers import DemoTablet
from vtorc.errors import MysqlError
from vtorc.lab.errors import LabError

T = TypeVar("T")

PROMOTION_DEADLINE = 60.0
"""Seconds after which a failover counts as failed if no other tablet has taken writes."""

CONVERGENCE_DEADLINE = 90.0
"""Seconds after which the shard counts as not converged if it still has problems."""

AT_REST = (0.5, 2.0)
"""Seconds that a healthy shard is left alone, at random: so that the fault comes at any moment between two probes."""


class Series:
    """Runs the failovers that the report asks for; `done` hears of each as soon as it is over."""

    def __init__(self, scene: Scene, report: DemoReport, done: Callable[[Failover], None]) -> None:
        self._scene = scene
        self._board = scene.board
        self._report = report
        self._done = done
        self._policy = policy(report.setup.durability)

    async def run(self) -> None:
        """Run the series; it ends early after a failover that did not come to its end."""
        while len(self._report.failovers) < self._report.setup.wanted:
            failover = await self._one()
            self._report.failovers.append(failover)
            self._done(failover)
            if not failover.converged:
                return

    async def _one(self) -> Failover:
        failover = Failover(fault=self._report.setup.fault, old_primary="none")
        try:
            old = await self._settled()
            failover.old_primary = str(old.alias)
            new = await self._break(old, failover)
            await self._check(new, failover)
            await self._mend(old, new, failover)
        except LabError as error:
            failover.problem = str(error)
        except (MysqlError, TimeoutError) as error:
            failover.problem = f"a server could not be asked: {error or 'no answer in time'}"
        return failover

    async def _settled(self) -> DemoTablet:
        """Wait for a shard without problems whose primary takes the writer's rows; returns the primary."""
        since = time.monotonic()

        def look() -> DemoTablet | None:
            primary = self._scene.primary
            well = not why_not_well(self._board.judgement, heard_since=since)
            return primary if well and primary is not None else None

        primary = await self._within(CONVERGENCE_DEADLINE, look, lambda: f"not begun: {self._why_not_well(since)}")
        ledger = self._scene.writer.ledger
        before = ledger.count

        def writing() -> bool | None:
            return True if ledger.count > before and ledger.last_from == primary.alias else None

        await self._within(PROMOTION_DEADLINE, writing, lambda: f"not begun: {primary.alias} acknowledges no rows")
        await asyncio.sleep(random.uniform(*AT_REST))
        return primary

    async def _break(self, old: DemoTablet, failover: Failover) -> DemoTablet:
        """Kill the primary's mysqld and wait until another acknowledges writes, and vtorc has done its work."""
        ledger = self._scene.writer.ledger
        judgement = self._board.judgement
        view = judgement.view.tablet(old.alias) if judgement is not None else None
        old_uuid = view.status.server_uuid if view is not None and view.status is not None else ""
        doubts = len(ledger.in_doubt)
        witness = CellWitness(old, self._scene.tablets) if self._policy.other_cell else None
        if witness is not None:
            await witness.look()
        fault_at = time.monotonic()
        await self._scene.kill(old)
        if witness is not None:
            await witness.remember()
        remembered_at = time.monotonic()
        gap = await self._within(
            PROMOTION_DEADLINE,
            lambda: ledger.handover_from(old.alias, fault_at),
            lambda: self._why_no_primary(fault_at),
        )
        replacement = await self._within(
            PROMOTION_DEADLINE, lambda: self._replaced(fault_at), lambda: self._why_no_primary(fault_at)
        )
        self._measure(failover, gap, replacement, fault_at)
        new = self._scene.cluster.tablets[gap.ended_by]
        if witness is not None:
            elected_at = replacement.marked_at("elected")
            if elected_at is None or remembered_at > elected_at:  # later, they may follow another primary
                raise LabError(
                    "the tablets in other cells answered too late to tell what they held when the primary died"
                )
            failover.one_cell += alone_in_cell(
                survived=await executed(new),
                held=witness.held,
                old_uuid=old_uuid,
                unpromised=await self._scene.writer.present(new, ledger.in_doubt[doubts:]),
            )
        return new

    def _measure(self, failover: Failover, gap: Gap, replacement: Replacement, fault_at: float) -> None:
        failover.new_primary = str(gap.ended_by)
        failover.write_gap_ms = _ms(gap.seconds)
        failover.detected_ms = _ms(replacement.decided_at - fault_at)
        promoted_at = replacement.marked_at("promoted")
        if promoted_at is not None:
            failover.promoted_ms = _ms(promoted_at - fault_at)
        record = replacement.record
        if record is not None and record.argument is not None:
            failover.argument = record.argument.sentence

    async def _check(self, new: DemoTablet, failover: Failover) -> None:
        failover.acked = self._scene.writer.ledger.count
        failover.lost = len(await self._scene.writer.missing(new))

    async def _mend(self, old: DemoTablet, new: DemoTablet, failover: Failover) -> None:
        """Restart the dead server and wait until it replicates again; rebuild it if it holds what nobody else has."""
        began = time.monotonic()
        await self._scene.mend(old)
        if await self._returned(old, new, errant_ends=True) == "errant":
            if (await executed(old)).difference(await executed(new)):
                failover.rebuilt = True
                await self._scene.rebuild(old)
            await self._returned(old, new, errant_ends=False)
        failover.returned_ms = _ms(time.monotonic() - began)
        if self._policy.other_cell:
            failover.one_cell += len(await wrong_ackers(self._policy, new, self._scene.tablets))

    async def _returned(self, old: DemoTablet, new: DemoTablet, *, errant_ends: bool) -> str:
        """Wait until the shard is well with `old` as a replica that has caught up; returns "well".

        With `errant_ends` it returns "errant" as soon as vtorc says that `old` has what nobody else has.
        """
        position = await executed(new)
        since = time.monotonic()

        def look() -> str | None:
            judgement = self._board.judgement
            if errant_ends and is_errant(judgement, old.alias):
                return "errant"
            well = not why_not_well(judgement, heard_since=since)
            return "well" if well and has_executed(judgement, old.alias, position) else None

        return await self._within(CONVERGENCE_DEADLINE, look, lambda: f"not converged: {self._why_not_well(since)}")

    def _replaced(self, since: float) -> Replacement | None:
        return next((each for each in self._board.replacements if each.started_at >= since and each.succeeded), None)

    def _why_not_well(self, since: float) -> str:
        return why_not_well(self._board.judgement, heard_since=since) or "a replica has not caught up"

    def _why_no_primary(self, since: float) -> str:
        """What vtorc said last about it."""
        tried = [each.record.sentence for each in self._board.replacements if each.started_at >= since and each.record]
        return f"no other tablet took writes in time: {tried[-1] if tried else self._why_not_well(since)}"

    async def _within(self, seconds: float, look: Callable[[], T | None], problem: Callable[[], str]) -> T:
        """Wait until `look` finds something; raises LabError with `problem` when it takes too long."""
        try:
            async with asyncio.timeout(seconds):
                return await self._board.wait_for(look)
        except TimeoutError:
            raise LabError(problem()) from None


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
