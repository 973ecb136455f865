"""Lets the tablet to be promoted apply all transactions that must survive; after a failure it tries the next choice.

All choices together get one deadline. When each of them had its own, five choices waited in turn for the same relay log
that a metadata lock held up. All replicas stood still for 150 s under the shard lock, again and again.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from vtorc.core.election.candidates import StoppedTablet
from vtorc.core.election.choice import Choice, Refusal
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.views import ShardView
from vtorc.errors import TabletCallFailed, TabletError
from vtorc.recovery.errors import RecoveryFailed, RecoveryRefused
from vtorc.recovery.outage_marks import OutageMark
from vtorc.recovery.session import RecoverySession
from vtorc.recovery.stop import CONFIRM_STOPPED_AFTER, is_still_stopped

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


class _Unapplied(Exception):
    """No tablet that a choice needs has applied its relay log; `errors` says why, for each of them."""

    def __init__(self, errors: Mapping[TabletAlias, str]) -> None:
        super().__init__("; ".join(f"{alias}: {text}" for alias, text in errors.items()))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class _Turn:
    """One choice to carry out, and its shares of the time that is left: half, where others are left to be tried."""

    choice: Choice
    apply_share: float
    """The share for relay logs; half only if another choice needs none of these."""
    fetch_share: float
    """The share of the rest for a fetch."""


class _Untried:
    """The choices that are left: not tried yet, and in need of a tablet that may still apply its relay log."""

    def __init__(self) -> None:
        self._tried: set[tuple[object, ...]] = set()
        self.unapplied: dict[TabletAlias, str] = {}  # tablets that did not apply their relay logs, each with the error

    def next(self, elected: Choice) -> _Turn | None:
        """Return the best choice that is left, None if none is."""
        left = [c for c in (elected, *elected.otherwise) if _key(c) not in self._tried and _may_do(c, self.unapplied)]
        if not left:
            return None
        self._tried.add(_key(left[0]))
        stuck = {*self.unapplied, *_appliers(left[0])}
        return _Turn(
            left[0],
            apply_share=0.5 if any(_may_do(c, stuck) for c in left[1:]) else 1.0,
            fetch_share=0.5 if left[1:] else 1.0,
        )


@dataclass(frozen=True, slots=True)
class CatchUp:
    """Catches up the shard that `view` shows, once."""

    session: RecoverySession
    view: ShardView
    choose: Choose
    stopped_at: float | None = None
    """When the tablets began to be stopped, in seconds since the recovery began; None if none were."""

    async def run(self, stopped: Mapping[TabletAlias, StoppedTablet]) -> ReadyToPromote:
        """Carry out the choices of the election one after the other until one succeeds.

        The election is held again after each failure, because a tablet that failed to fetch everything may have
        received some of it. Raises RecoveryFailed if no choice succeeds, or RecoveryRefused if relay logs were not
        applied in time.
        """
        ends = self.session.elapsed() + self.session.tools.deadlines.catch_up
        untried = _Untried()
        failures: list[str] = []
        while True:
            turn = untried.next(self.choose(stopped))
            if turn is None or ends <= self.session.elapsed():
                raise await self._give_up(untried.unapplied, failures, stopped)
            if OutageMark.ELECTED.value not in self.session.marks:
                self.session.mark(OutageMark.ELECTED)
            choice = turn.choice
            record_choice(self.session, choice)
            try:
                winner, position = await self._carry_out(turn, stopped, ends=ends)
                return ReadyToPromote(winner=winner, position=position, choice=choice, stopped=stopped)
            except _Unapplied as error:
                untried.unapplied.update(error.errors)
            except (TabletError, TimeoutError) as error:
                failures.append(_failure_text(choice, error))
                stopped = await self._stop_again(choice.winner, stopped)

    async def _carry_out(
        self, turn: _Turn, stopped: Mapping[TabletAlias, StoppedTablet], *, ends: float
    ) -> tuple[TabletAlias, GtidSet]:
        """Return the tablet that has applied a position, and that position.

        Raises _Unapplied, TabletError or TimeoutError at `ends` at the latest, in seconds since the recovery began.
        """
        choice = turn.choice
        within = turn.apply_share * (ends - self.session.elapsed())
        if choice.source is None:
            winner = await self._first_to_apply(choice, stopped, within)
            return winner, stopped[winner].received
        try:
            await self._apply_relay_log(choice.source, choice.required, within)
        except (TabletError, TimeoutError) as error:
            raise _Unapplied({choice.source: _text(error)}) from error
        within = turn.fetch_share * (ends - self.session.elapsed())
        await self.session.check_lock()
        await self._check_still_stopped(stopped[choice.winner])
        await self._fetch(choice.winner, choice.source, choice.required, within)
        return choice.winner, choice.required

    async def _check_still_stopped(self, stopped: StoppedTablet) -> None:
        """Raise TabletCallFailed if a tablet was stopped some time ago and has moved since.

        A fetch drops its relay log. A vttablet that has started anew resumes replication, and what its MySQL has
        acknowledged since may stand in that log alone.
        """
        if self.stopped_at is None or self.session.elapsed() - self.stopped_at <= CONFIRM_STOPPED_AFTER:
            return
        if not await is_still_stopped(self.session, self.session.tablet_in(self.view, stopped.alias).record, stopped):
            raise TabletCallFailed("it has moved since it was stopped")

    async def _fetch(self, alias: TabletAlias, source: TabletAlias, position: GtidSet, within: float) -> None:
        """Let a tablet replicate from `source` until it has applied `position`; an abort restores its old source."""
        self._restore_source_on_abort(alias)
        await self.session.step(
            f"fetch from {source}",
            alias,
            self.session.tablets.set_replication_source(
                self.session.tablet_in(self.view, alias).record,
                source,
                semi_sync=False,
                force_start=True,
                wait_position=position,
            ),
            deadline=within,
        )

    async def _give_up(
        self,
        unapplied: Mapping[TabletAlias, str],
        failures: Sequence[str],
        stopped: Mapping[TabletAlias, StoppedTablet],
    ) -> RecoveryFailed | RecoveryRefused:
        """Return the error to raise: it names the relay logs that hold up the promotion, and how far they came."""
        if not unapplied:
            return self.session.fail("; ".join(failures))
        waits_for = {alias: stopped[alias].received for alias in unapplied if alias in stopped}
        self.session.waits_for = waits_for
        states = await asyncio.gather(
            *(self._applier_state(stopped[alias], unapplied[alias]) for alias in sorted(waits_for))
        )
        advice = (
            "see what the SQL thread waits for there (SHOW PROCESSLIST: a lock, a huge transaction, a slow disk); "
            "vtorc tries again as soon as one of them has applied it; --wait-replicas-timeout allows more time"
        )
        what = f"not promoting: the relay log that must be applied first was not: {'; '.join([*states, *failures])}"
        return self.session.refuse(
            Refusal(rule=Rule.APPLIER_BEHIND, sentence=f"{what}; {advice}", removed=self.session.removed)
        )

    async def _applier_state(self, stopped: StoppedTablet, error: str) -> str:
        """Return how far a tablet has come with its relay log since it was stopped."""
        alias = stopped.alias
        status = await self.session.try_step(
            "read position",
            alias,
            self.session.tablets.replication_status(self.session.tablet_in(self.view, alias).record),
            deadline=self.session.tools.deadlines.grace,
        )
        if status is None:
            return f"{alias}: {error}"
        rest = stopped.received.difference(status.executed)
        applied = stopped.received.difference(stopped.executed).count() - rest.count()
        why = f" ({status.last_sql_error})" if status.last_sql_error else ""
        return (
            f"{alias} has {rest.count()} transactions left to apply and applied {applied} transactions meanwhile{why}"
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
        record, tablets = self.session.tablet_in(self.view, alias).record, self.session.tablets
        rest = {each: it for each, it in stopped.items() if each != alias}
        try:
            within = self.session.tools.deadlines.stop
            await self.session.step("stop IO thread", alias, tablets.stop_io_thread(record), deadline=within)
            status = await self.session.step(
                "read position", alias, tablets.replication_status(record), deadline=within
            )
        except (TabletError, TimeoutError):
            return rest
        if status is None:
            return rest
        before = stopped[alias]
        received = status.executed.union(status.received)
        return {**rest, alias: replace(before, executed=status.executed, received=received)}

    async def _apply_relay_log(self, alias: TabletAlias, position: GtidSet, within: float) -> None:
        await self.session.step(
            "apply relay log",
            alias,
            self.session.tablets.wait_for_position(self.session.tablet_in(self.view, alias).record, position),
            deadline=within,
        )

    async def _first_to_apply(
        self, choice: Choice, stopped: Mapping[TabletAlias, StoppedTablet], within: float
    ) -> TabletAlias:
        """Return the best holder that applies its relay log within so many seconds; raises _Unapplied.

        The best one wins at once. Any other wins only after a grace in which the better ones did not finish.
        """
        ranks = {
            asyncio.create_task(
                self._apply_relay_log(alias, stopped[alias].received, within), name=f"apply {alias}"
            ): rank
            for rank, alias in enumerate(choice.holders)
        }
        try:
            best, errors = await self._best_rank(ranks, choice.holders)
        finally:
            for task in ranks:
                task.cancel()
            await asyncio.gather(*ranks, return_exceptions=True)
        if best is None:
            raise _Unapplied(errors)
        return choice.holders[best]

    async def _best_rank(
        self, ranks: Mapping[asyncio.Task[None], int], holders: Sequence[TabletAlias]
    ) -> tuple[int | None, dict[TabletAlias, str]]:
        best: int | None = None
        errors: dict[TabletAlias, str] = {}
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
                    errors[holders[ranks[task]]] = _text(error)
                else:
                    raise error
        return best, errors


def record_choice(session: RecoverySession, choice: Choice) -> None:
    """Copy into the record why this choice is safe, and which tablets were removed and why."""
    session.argument = choice.argument
    session.removed = choice.removed
    session.errant = choice.errant


def _key(choice: Choice) -> tuple[object, ...]:
    return choice.winner, choice.source, choice.holders


def _appliers(choice: Choice) -> tuple[TabletAlias, ...]:
    """Return the tablets of which one has to apply its relay log."""
    return choice.holders if choice.source is None else (choice.source,)


def _may_do(choice: Choice, stuck: Collection[TabletAlias]) -> bool:
    """Return whether a choice needs none of the `stuck` tablets, which do not apply their relay logs."""
    return not all(alias in stuck for alias in _appliers(choice))


def _failure_text(choice: Choice, error: Exception) -> str:
    return f"{choice.winner} could not fetch transactions from {choice.source}: {_text(error)}"


def _text(error: BaseException) -> str:
    return str(error) or "no answer in time"
