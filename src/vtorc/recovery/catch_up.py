"""Brings a tablet that may win to where it has applied everything it must not lose; tries the next when one fails."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from vtorc.core.election.choice import Choice, StoppedTablet
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.views import ShardView
from vtorc.errors import TabletError
from vtorc.recovery.errors import RecoveryFailed
from vtorc.recovery.session import RecoverySession

Choose = Callable[[Mapping[TabletAlias, StoppedTablet]], Choice]
"""Elects among stopped tablets; raises RecoveryRefused if nobody can be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaughtUp:
    """Who has applied `position`, by which `way`, and what the stopped tablets hold by now."""

    winner: TabletAlias
    position: GtidSet
    way: Choice
    stopped: Mapping[TabletAlias, StoppedTablet]


@dataclass(frozen=True, slots=True)
class CatchUp:
    """One catching up of the shard as `view` shows it."""

    session: RecoverySession
    view: ShardView
    choose: Choose

    async def run(self, stopped: Mapping[TabletAlias, StoppedTablet]) -> CaughtUp:
        """Take the ways of the election one after the other, and elect anew after each that failed, because a tablet
        that fetched in vain may have fetched some; raises RecoveryFailed if none leads to an end.
        """
        tried: set[tuple[object, ...]] = set()
        failures: list[str] = []
        while True:
            choice = self.choose(stopped)
            way = next((each for each in (choice, *choice.otherwise) if _key(each) not in tried), None)
            if way is None:
                raise self.session.fail("; ".join(failures))
            if not failures:
                self.session.mark("elected")
            tried.add(_key(way))
            record_way(self.session, way)
            try:
                winner, position = await self._take(way, stopped)
                return CaughtUp(winner=winner, position=position, way=way, stopped=stopped)
            except (TabletError, TimeoutError, RecoveryFailed) as error:
                failures.append(_told(way, error))
                if way.source is not None:
                    stopped = await self._stopped_again(way.winner, stopped)

    async def _take(self, way: Choice, stopped: Mapping[TabletAlias, StoppedTablet]) -> tuple[TabletAlias, GtidSet]:
        if way.source is None:
            winner = await self._first_to_apply(way, stopped)
            return winner, stopped[winner].received
        await self._wait(way.source, stopped[way.source].received)
        await self.fetch(way.winner, way.source, way.required)
        return way.winner, way.required

    async def fetch(self, alias: TabletAlias, source: TabletAlias, position: GtidSet) -> None:
        """Let a tablet replicate from another one until it has applied `position`; its source is put back on abort."""
        await self.session.guard()
        self._put_back_source(alias)
        await self.session.step(
            f"fetch from {source}",
            alias,
            self.session.tablets.set_replication_source(
                self._record_of(alias), source, semi_sync=False, force_start=True, wait_position=position
            ),
            deadline=self.session.tools.deadlines.catch_up,
        )

    def _put_back_source(self, alias: TabletAlias) -> None:
        tablet = self.view.tablet(alias)
        status = tablet.status if tablet is not None else None
        source = next(
            (t for t in self.view.tablets if tablet is not None and self.view.replicates_from(tablet, t)), None
        )
        if tablet is None or status is None or source is None:
            return
        self.session.on_abort(
            "fetch",
            alias,
            lambda: self.session.tablets.set_replication_source(
                tablet.record, source.alias, semi_sync=status.semi_sync.replica_enabled, force_start=False
            ),
        )

    async def _stopped_again(
        self, alias: TabletAlias, stopped: Mapping[TabletAlias, StoppedTablet]
    ) -> Mapping[TabletAlias, StoppedTablet]:
        """Stop who fetched in vain, and read how far it came; who does not tell is not counted among the stopped."""
        record, tablets = self._record_of(alias), self.session.tablets
        rest = {each: it for each, it in stopped.items() if each != alias}
        try:
            await self.session.step("stop IO thread", alias, tablets.stop_io_thread(record))
            status = await self.session.step("read what it holds", alias, tablets.replication_status(record))
        except (TabletError, TimeoutError):
            return rest
        if status is None:
            return rest
        before = stopped[alias]
        received = status.executed.union(status.received)
        return {**rest, alias: replace(before, executed=status.executed, received=received)}

    async def _wait(self, alias: TabletAlias, position: GtidSet) -> None:
        await self.session.step(
            "apply relay log",
            alias,
            self.session.tablets.wait_for_position(self._record_of(alias), position),
            deadline=self.session.tools.deadlines.catch_up,
        )

    async def _first_to_apply(self, choice: Choice, stopped: Mapping[TabletAlias, StoppedTablet]) -> TabletAlias:
        """The best holder that applies in time: the best at once, another only after a grace for the better ones."""
        waiting = {
            asyncio.create_task(self._wait(alias, stopped[alias].received), name=f"apply {alias}"): rank
            for rank, alias in enumerate(choice.holders)
        }
        pending: set[asyncio.Task[None]] = set(waiting)
        best: int | None = None
        errors: list[str] = []
        try:
            while pending:
                better = [task for task in pending if best is None or waiting[task] < best]
                if not better:
                    break
                grace = None if best is None else self.session.tools.deadlines.grace
                done, pending = await asyncio.wait(pending, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    break
                for task in done:
                    error = task.exception()
                    if error is None:
                        best = waiting[task] if best is None else min(best, waiting[task])
                    elif isinstance(error, TabletError | TimeoutError):
                        errors.append(f"{choice.holders[waiting[task]]}: {str(error) or 'no answer in time'}")
                    else:
                        raise error
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        if best is None:
            raise self.session.fail("no candidate applied its relay log: " + "; ".join(errors))
        return choice.holders[best]

    def _record_of(self, alias: TabletAlias) -> TabletRecord:
        tablet = self.view.tablet(alias)
        if tablet is None:
            raise self.session.fail(f"{alias} has left the shard")
        return tablet.record


def record_way(session: RecoverySession, way: Choice) -> None:
    """Take into the record why this way is safe, and who was passed over."""
    session.argument = way.argument
    session.removed = way.removed
    session.errant = way.errant


def _key(way: Choice) -> tuple[object, ...]:
    return way.winner, way.source, way.holders


def _told(way: Choice, error: Exception) -> str:
    why = str(error) or "no answer in time"
    return why if way.source is None else f"{way.winner} could not fetch from {way.source}: {why}"
