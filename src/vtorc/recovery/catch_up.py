"""Lets the tablet to be promoted apply all transactions that must survive; after a failure it tries the next choice."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from vtorc.core.election.candidates import StoppedTablet
from vtorc.core.election.choice import Choice
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.views import ShardView
from vtorc.errors import TabletError
from vtorc.recovery.errors import RecoveryFailed
from vtorc.recovery.session import RecoverySession

Choose = Callable[[Mapping[TabletAlias, StoppedTablet]], Choice]
"""Holds the election among stopped tablets; raises RecoveryRefused if the election refuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyToPromote:
    """A tablet that may be promoted now."""

    winner: TabletAlias
    """The tablet that has applied `position`."""
    position: GtidSet
    choice: Choice
    """The choice of the election that was carried out."""
    stopped: Mapping[TabletAlias, StoppedTablet]
    """The stopped tablets, each with the transactions that it holds by now."""


@dataclass(frozen=True, slots=True)
class CatchUp:
    """Catches up the shard that `view` shows, once."""

    session: RecoverySession
    view: ShardView
    choose: Choose

    async def run(self, stopped: Mapping[TabletAlias, StoppedTablet]) -> ReadyToPromote:
        """Carry out the choices of the election one after the other until one succeeds; raises RecoveryFailed if none
        does.

        The election is held again after each failure, because a tablet that failed to fetch everything may have
        received some of it.
        """
        tried: set[tuple[object, ...]] = set()
        failures: list[str] = []
        while True:
            elected = self.choose(stopped)
            choice = next((c for c in (elected, *elected.otherwise) if _key(c) not in tried), None)
            if choice is None:
                raise self.session.fail("; ".join(failures))
            if not failures:
                self.session.mark("elected")
            tried.add(_key(choice))
            record_choice(self.session, choice)
            try:
                winner, position = await self._carry_out(choice, stopped)
                return ReadyToPromote(winner=winner, position=position, choice=choice, stopped=stopped)
            except (TabletError, TimeoutError, RecoveryFailed) as error:
                failures.append(_failure_text(choice, error))
                if choice.source is not None:
                    stopped = await self._stop_again(choice.winner, stopped)

    async def _carry_out(
        self, choice: Choice, stopped: Mapping[TabletAlias, StoppedTablet]
    ) -> tuple[TabletAlias, GtidSet]:
        if choice.source is None:
            winner = await self._first_to_apply(choice, stopped)
            return winner, stopped[winner].received
        await self._apply_relay_log(choice.source, choice.required)
        await self._fetch(choice.winner, choice.source, choice.required)
        return choice.winner, choice.required

    async def _fetch(self, alias: TabletAlias, source: TabletAlias, position: GtidSet) -> None:
        """Let a tablet replicate from `source` until it has applied `position`; an abort restores its old source."""
        await self.session.check_lock()
        self._restore_source_on_abort(alias)
        await self.session.step(
            f"fetch from {source}",
            alias,
            self.session.tablets.set_replication_source(
                self._record_of(alias), source, semi_sync=False, force_start=True, wait_position=position
            ),
            deadline=self.session.tools.deadlines.catch_up,
        )

    def _restore_source_on_abort(self, alias: TabletAlias) -> None:
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

    async def _stop_again(
        self, alias: TabletAlias, stopped: Mapping[TabletAlias, StoppedTablet]
    ) -> Mapping[TabletAlias, StoppedTablet]:
        """Stop the tablet that failed to fetch, and read how far it came.

        A tablet that does not answer is dropped from the stopped ones.
        """
        record, tablets = self._record_of(alias), self.session.tablets
        rest = {each: it for each, it in stopped.items() if each != alias}
        try:
            await self.session.step("stop IO thread", alias, tablets.stop_io_thread(record))
            status = await self.session.step("read position", alias, tablets.replication_status(record))
        except (TabletError, TimeoutError):
            return rest
        if status is None:
            return rest
        before = stopped[alias]
        received = status.executed.union(status.received)
        return {**rest, alias: replace(before, executed=status.executed, received=received)}

    async def _apply_relay_log(self, alias: TabletAlias, position: GtidSet) -> None:
        await self.session.step(
            "apply relay log",
            alias,
            self.session.tablets.wait_for_position(self._record_of(alias), position),
            deadline=self.session.tools.deadlines.catch_up,
        )

    async def _first_to_apply(self, choice: Choice, stopped: Mapping[TabletAlias, StoppedTablet]) -> TabletAlias:
        """Return the best holder that applies its relay log in time.

        The best one wins at once. Any other wins only after a grace in which the better ones did not finish.
        """
        ranks = {
            asyncio.create_task(self._apply_relay_log(alias, stopped[alias].received), name=f"apply {alias}"): rank
            for rank, alias in enumerate(choice.holders)
        }
        try:
            best, errors = await self._best_rank(ranks, choice.holders)
        finally:
            for task in ranks:
                task.cancel()
            await asyncio.gather(*ranks, return_exceptions=True)
        if best is None:
            raise self.session.fail("no candidate applied its relay log: " + "; ".join(errors))
        return choice.holders[best]

    async def _best_rank(
        self, ranks: Mapping[asyncio.Task[None], int], holders: Sequence[TabletAlias]
    ) -> tuple[int | None, list[str]]:
        best: int | None = None
        errors: list[str] = []
        pending = set(ranks)
        while any(best is None or ranks[task] < best for task in pending):
            grace = None if best is None else self.session.tools.deadlines.grace
            done, pending = await asyncio.wait(pending, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
            for task in done:
                error = task.exception()
                if error is None:
                    best = ranks[task] if best is None else min(best, ranks[task])
                elif isinstance(error, TabletError | TimeoutError):
                    errors.append(f"{holders[ranks[task]]}: {str(error) or 'no answer in time'}")
                else:
                    raise error
        return best, errors

    def _record_of(self, alias: TabletAlias) -> TabletRecord:
        tablet = self.view.tablet(alias)
        if tablet is None:
            raise self.session.fail(f"{alias} has left the shard")
        return tablet.record


def record_choice(session: RecoverySession, choice: Choice) -> None:
    """Copy into the record why this choice is safe, and which tablets were removed and why."""
    session.argument = choice.argument
    session.removed = choice.removed
    session.errant = choice.errant


def _key(choice: Choice) -> tuple[object, ...]:
    return choice.winner, choice.source, choice.holders


def _failure_text(choice: Choice, error: Exception) -> str:
    reason = str(error) or "no answer in time"
    if choice.source is None:
        return reason
    return f"{choice.winner} could not fetch transactions from {choice.source}: {reason}"
