"""Owns all that is known of one shard, keeps it fresh, and notices when it changes."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from vtorc.core.election.unexplained_ackers import (
    client_count_after,
    client_count_without,
    clients_without_count,
    given_up,
)
from vtorc.core.facts.client_count import ClientCount, tells_more
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.holds import NO_HOLDS, Hold, HoldsOnShard
from vtorc.core.facts.ids import ShardId, TabletAlias, TabletType
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.remembered import RememberedTablet, ShardMemory
from vtorc.core.facts.repeats import repeats
from vtorc.core.facts.tablet_memory import TabletMemory
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.discovery.direct import ask_while_silent
from vtorc.discovery.gaps import Aging, Gaps
from vtorc.discovery.lateness import OnTimeClock
from vtorc.discovery.memory_keeper import KeepTime, MemoryKeeper, keep_time
from vtorc.discovery.probe import TabletProbe
from vtorc.discovery.probe_budget import Lane, ProbeBudget
from vtorc.discovery.probe_pace import SLOWEST_HURRY_AT, ProbePace
from vtorc.discovery.shard_topology import ShardTopology
from vtorc.discovery.signals import Sentinel, watch_signals
from vtorc.tablet.api import TabletManager
from vtorc.tablet.sending import context_without_checks

HoldsSource = Callable[[ShardId, Collection[TabletAlias]], HoldsOnShard]
"""Returns the holds that are in force on a shard with these tablets."""


def hold_nothing(shard: ShardId, aliases: Collection[TabletAlias]) -> HoldsOnShard:
    """Return that no operator holds anything."""
    return NO_HOLDS


StandingSource = Callable[[Iterable[TabletRecord]], tuple[Hold, ...]]
"""Returns what the settings keep vtorc from, for tablets with these records."""


def nothing_stands(records: Iterable[TabletRecord]) -> tuple[Hold, ...]:
    """Return that the settings name no tablet to leave alone."""
    return ()


@dataclass(slots=True)
class _Watched:
    probe: TabletProbe
    tasks: tuple[asyncio.Task[None], ...]
    found_at: float
    """When the last reading of the topology began that found its record, readable or not."""


class ShardWatch:
    """Observes the tablets of one shard: run it, pass it readings of the topology, and wait for changes."""

    def __init__(
        self,
        shard: ShardId,
        topology: ShardTopology,
        tablets: TabletManager,
        clock: OnTimeClock,
        pace: Callable[[], ProbePace],
        *,
        sentinel: Sentinel | None = None,
        budget: ProbeBudget | None = None,
        keeper: MemoryKeeper | None = None,
        remembered: Mapping[TabletAlias, RememberedTablet] | None = None,
        holds: HoldsSource = hold_nothing,
        standing: StandingSource = nothing_stands,
    ) -> None:
        """Ask within the fleet's `budget`; without one the shard has a budget of its own.

        Without a `keeper` nothing outlives this process. `remembered` is what an earlier watch of this process left, as
        it is worth now. If it is None, what the keeper recalls counts. `holds` is asked for each view; `note_holds`
        tells that its answer has changed.
        """
        self.shard = shard
        self._keeper = keeper
        if remembered is None:
            remembered = keeper.recall(shard, clock) if keeper is not None else {}
        self._remembered = dict(remembered)
        self._has_begun = False
        self._topology = topology
        self._cells_read_once = topology.cells - topology.unreachable_cells.keys()
        self._tablets = tablets
        self._clock = clock
        self._pace = pace
        self._sentinel = sentinel
        self._holds = holds
        self._standing = standing
        self._budget = budget if budget is not None else ProbeBudget(clock.now)
        self._watched: dict[TabletAlias, _Watched] = {}  # ordered by alias, as views are
        self._group: asyncio.TaskGroup | None = None
        self._changed = asyncio.Event()
        self._hurried_since: float | None = None
        self._suspected = asyncio.Event()
        self._client_count: ClientCount | None = None
        self._gaps = Gaps(clock, pace, self._age)
        self._view: ShardView | None = None  # the answer of `view` until something changes
        self.revision = 0
        """The number of probes that ended, of readings that were taken over, and of changes of holds; while it stays,
        `view` stays the same."""
        self.changes = 0
        """The same without the probes that brought the same answer once more; while it stays, only moments in `view`
        change."""

    async def run(self) -> None:
        """Observe until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                self.update(self._topology)
                self._has_begun = True
                await asyncio.get_running_loop().create_future()
            finally:
                for watched in self._watched.values():
                    for task in watched.tasks:
                        task.cancel()
                self._group = None

    def update(self, topology: ShardTopology) -> None:
        """Take over a newer reading; one that began earlier than the present one is ignored.

        Tablets of a cell that could not be read, and tablets with unreadable records, are kept as they were.
        """
        if topology.read_at < self._topology.read_at:
            return
        self._gaps.note_reading()
        self._topology = topology
        # The tablets of a removed cell are forgotten: if the cell is added again, it counts as new.
        self._cells_read_once = (self._cells_read_once & topology.cells) | (
            topology.cells - topology.unreachable_cells.keys()
        )
        self._note_change()
        self._changed.set()
        if self._group is None:
            return
        seen = {record.alias for record in topology.tablets}
        gone = [
            alias
            for alias in sorted(self._watched.keys() - seen)
            if alias.cell not in topology.unreachable_cells and alias not in topology.bad_records
        ]
        count = self._client_count
        if gone:
            self._gaps.note_deletion()
            # Each has a moment of its own: a reading that missed the cell of a record did not find it.
            last_found, view = {alias: self._watched[alias].found_at for alias in gone}, self.view()
            count = client_count_without(count, view, last_found)
            gone_for_good = given_up(view, view.primary, last_found)
            for alias in gone:
                self._end_watch(alias, is_accounted_for=alias in gone_for_good)
        for record in topology.tablets:
            self._update_tablet(self._group, record)
        for alias in seen | topology.bad_records.keys() & self._watched.keys():
            self._watched[alias].found_at = topology.read_at
        self._view = None
        self._note_clients(count)
        self._account_for_deleted()

    def _account_for_deleted(self) -> None:
        """Remember of the primary how many tablets may acknowledge its writes that have no record any more.

        A count tells of them by itself. Some are known from an earlier process only, or an earlier watch. Without that,
        a vtorc that was restarted did not know the last acker any more, whose record was deleted meanwhile. They wait
        for a reading that has a primary.
        """
        topology = self._topology
        deleted = {
            alias: each
            for alias, each in sorted(self._remembered.items())
            if not (each.record_is_gone or alias in topology.bad_records)
            and alias.cell not in topology.unreachable_cells
        }
        primary = self.view().primary if deleted else None
        if primary is None:
            return
        self._remembered.update({alias: replace(each, record_is_gone=True) for alias, each in deleted.items()})
        if self._client_count is not None:
            return
        if clients := clients_without_count([each.memory for each in deleted.values()], primary):
            before, probe = primary.memory, self._watched[primary.alias].probe
            probe.note_unknown_clients(before.unknown_clients + clients, explained=before.clients_explained)
            self._view = None
            self._keep(before, probe.view.memory)

    def _age(self, aging: Aging) -> None:
        """Let what is remembered of all tablets be worth less from now on, over a restart too."""
        for watched in self._watched.values():
            watched.probe.note_memory(aging(watched.probe.view.memory, self._clock.now()))
        self._note_change()
        if self._keeper is not None:
            self._keeper.note(self.shard, self.memory, KeepTime.AT_ONCE)

    def _note_change(self) -> None:
        self.revision += 1
        self.changes += 1
        self._view = None

    def _end_watch(self, alias: TabletAlias, *, is_accounted_for: bool) -> None:
        """Watch a tablet no more, and remember it: an alias that comes back may be another server."""
        watched = self._watched.pop(alias)
        for task in watched.tasks:
            task.cancel()
        self._remembered[alias] = replace(watched.probe.remembered, record_is_gone=is_accounted_for)

    def memory(self) -> ShardMemory:
        """Return all that is remembered of the shard's tablets, and of those that it had."""
        present = {alias: watched.probe.remembered for alias, watched in self._watched.items()}
        clock = self._clock
        tablets = {**self._remembered, **present}
        return ShardMemory(wall=clock.wall(), now=clock.now(), real=clock.real(), tablets=tablets)

    def _keep(self, before: TabletMemory, after: TabletMemory) -> None:
        if self._keeper is not None and before is not after:
            self._keeper.note(self.shard, self.memory, keep_time(before, after))

    def _update_tablet(self, group: asyncio.TaskGroup, record: TabletRecord) -> None:
        watched = self._watched.get(record.alias)
        if watched is not None:
            before = watched.probe.view.memory
            watched.probe.update_record(record, read_at=self._topology.read_at)
            self._keep(before, watched.probe.view.memory)
            return
        probe = TabletProbe(
            record,
            self._tablets,
            self._clock,
            self._on_probe,
            slot=self._budget.new_slot(),
            read_at=self._topology.read_at,
            remembered=self._recalled(record.alias),
            told_by_others=lambda: self._told_by_others(record.alias),
            is_slow=self.suspect,
            is_asked_directly=self._sentinel is not None,
            hears=self._gaps.note_answer,
        )
        probe.set_lane(self._urgency())
        probe.hurry(since=self._hurried_since)
        signals = watch_signals(probe, self._tablets, lambda: self._hinted_at(probe), sentinel=self._sentinel)
        work = {"probe": probe.run(self._pace), "signals": signals}
        if self._sentinel is not None:
            work["direct"] = ask_while_silent(probe, self._sentinel, self._clock, self._note_direct)
        tasks = tuple(
            group.create_task(each, name=f"{kind} {record.alias}", context=context_without_checks())
            for kind, each in work.items()
        )
        self._watched = dict(
            sorted([*self._watched.items(), (record.alias, _Watched(probe, tasks, self._topology.read_at))])
        )

    def _recalled(self, alias: TabletAlias) -> RememberedTablet | None:
        """Return what is remembered of a tablet that appears; after the first reading, it was unseen for a while."""
        remembered = self._remembered.pop(alias, None)
        return remembered.after_gap(self._clock.now()) if remembered is not None and self._has_begun else remembered

    def _told_by_others(self, alias: TabletAlias) -> tuple[GtidSet, ...]:
        """Return all that the other tablets have told so far to have, or to have had.

        A tablet whose server has run under the same UUID is left out, as what it wrote itself has that UUID, too. For a
        write on the copy of its host, a replica counted as one that went back in time. Once it has replicated from
        this server, it counts: MySQL lets no replica do that which has more of its source's transactions.
        """
        watched = self._watched.get(alias)
        own = watched.probe.view.memory.server_uuid if watched is not None else ""
        others = [each.probe.view.memory for each in self._watched.values() if each is not watched]
        return tuple(
            [
                told
                for memory in others
                if not memory.may_have_written_as(own)
                for told in (memory.received, memory.lost_after_receipt)
            ]
        )

    def _on_probe(self, before: TabletView, after: TabletView) -> None:
        self.revision += 1
        self.changes += not repeats(after, before)
        self._view = None
        self._keep(before.memory, after.memory)
        kept_for = 2 * self._pace().calm  # the primary is asked more often than those that must answer after it
        self._note_clients(client_count_after(self._client_count, self.view(), kept_for=kept_for))
        if (before.failure is None) is not (after.failure is None):
            self._set_lanes()
        if after.is_news_after(before) or self._is_first_since_failure(before, after):
            self._changed.set()
        if _receives(before) and not _receives(after):
            self._look_at_primary_first()
            self.suspect()
        elif after.failures_in_row == 1 and after.failure is not ProbeFailure.SHUT_DOWN:
            self._began_to_fail(after)

    def _note_direct(self, is_news: bool) -> None:
        """Let the shard be judged again if the MySQL of a silent tablet has told something else than before."""
        self._note_change()
        if is_news:
            self._changed.set()

    def _note_clients(self, count: ClientCount | None) -> None:
        """Take over what is known of the primary's semi-sync clients; its tablet's memory outlives this process."""
        if count is not self._client_count:
            self.changes += tells_more(count, self._client_count)
            self._client_count, self._view = count, None
        counter = self._watched.get(count.primary) if count is not None else None
        if count is None or counter is None:
            return
        before = counter.probe.view.memory
        counter.probe.note_unknown_clients(count.unseen, explained=count.explained_at is not None)
        if counter.probe.view.memory is not before:
            self._view = None
            self._keep(before, counter.probe.view.memory)

    def _is_first_since_failure(self, before: TabletView, after: TabletView) -> bool:
        """Return whether this is the tablet's first answer since a primary began to fail: evidence, even if nothing
        changed.
        """
        views = (watched.probe.view for watched in self._watched.values())
        moments = [
            v.failing_since for v in views if v.failing_since is not None and v.record.type is TabletType.PRIMARY
        ]
        return any(_answered_since(after, moment) and not _answered_since(before, moment) for moment in moments)

    def _began_to_fail(self, tablet: TabletView) -> None:
        """Ask all tablets in a hurry, unless the one that failed comes and goes.

        A replica that answered every other question had its whole shard asked every 150 ms, for ever, and a dozen lines
        a second logged. Such a replica concerns no other tablet. Such a primary has all tablets asked once a second
        while it fails, so that its real loss is found all the same.
        """
        now = self._clock.now()
        if not tablet.memory.is_unstable(now):
            self.suspect()
        elif tablet.record.type is TabletType.PRIMARY:
            self.hurry(since=now - SLOWEST_HURRY_AT)
            self._ask_all_now()

    def _hinted_at(self, probe: TabletProbe) -> None:
        """Take a hint that something happened to a tablet; a replica that comes and goes is asked, and it alone."""
        view = probe.view
        probe.look_first()
        if view.memory.is_unstable(self._clock.now()) and view.record.type is not TabletType.PRIMARY:
            probe.ask_now()
        else:
            self.suspect()

    def _look_at_primary_first(self) -> None:
        """Ask the primary before others: a replica that no longer receives tells of its source first of all."""
        for watched in self._watched.values():
            if watched.probe.record.type is TabletType.PRIMARY:
                watched.probe.look_first()

    def suspect(self) -> None:
        """Ask all tablets now and in a hurry, because something happened to one of them.

        The hurry begins here, not when the shard is judged next. The question that follows at once would otherwise have
        the calm deadline, and a hang would be found that much later.
        """
        self._suspected.set()
        self._changed.set()
        self.hurry(since=self._clock.now())
        self._ask_all_now()

    def _ask_all_now(self) -> None:
        for watched in self._watched.values():
            watched.probe.ask_now()

    def wake(self) -> None:
        """Let `wait_changed` return for a change that concerns no tablet."""
        self._changed.set()

    @property
    def aliases(self) -> Collection[TabletAlias]:
        """The tablets that are watched."""
        return self._watched.keys()

    def note_holds(self) -> None:
        """Let the shard be judged again, as other holds are in force on it or on one of its tablets."""
        self._note_change()
        self._changed.set()

    def take_suspicion(self) -> bool:
        """Return whether a hint came since the last call."""
        suspected = self._suspected.is_set()
        self._suspected.clear()
        return suspected

    def hurry(self, *, since: float | None) -> None:
        """Ask all tablets at the hurried pace for something that happened at `since`; at the calm pace if None."""
        if since == self._hurried_since:
            return
        self._hurried_since = since
        for watched in self._watched.values():
            watched.probe.hurry(since=since)
        self._set_lanes()

    def _set_lanes(self) -> None:
        """Give all questions of the shard the urgency of what is suspected."""
        lane = self._urgency()
        for watched in self._watched.values():
            watched.probe.set_lane(lane)

    def _urgency(self) -> Lane:
        if self._hurried_since is None:
            return Lane.CALM
        views = (watched.probe.view for watched in self._watched.values())
        fails = any(view.failure is not None and view.record.type is TabletType.PRIMARY for view in views)
        return Lane.LOST_PRIMARY if fails else Lane.SUSPECTED

    async def wait_changed(self, longest: float) -> None:
        """Wait until anything changed, at most `longest` seconds."""
        timer = asyncio.get_running_loop().call_later(longest, self._changed.set)
        try:
            await self._changed.wait()
        finally:
            timer.cancel()
        self._changed.clear()

    async def refresh(self, deadline: float, *, leave_out: Collection[TabletAlias] = ()) -> None:
        """Ask every tablet afresh and wait for the answers, at most `deadline` seconds.

        The view of a tablet that stays silent keeps its last answer.
        """
        moment = self._clock.now()
        probes = [watched.probe for alias, watched in self._watched.items() if alias not in leave_out]
        try:
            async with self._clock.timeout(deadline), asyncio.TaskGroup() as group:
                for probe in probes:
                    group.create_task(probe.wait_for_probe(moment), name=f"refresh {probe.view.alias}")
        except TimeoutError:
            return

    def silent_tablets(self) -> tuple[TabletAlias, ...]:
        """Return the tablets that did not answer their last probe in time: waiting for them again would cost the whole
        deadline.
        """
        return tuple(alias for alias, each in self._watched.items() if _is_silent(each.probe.view))

    def view(self) -> ShardView:
        """Return all that is known at this moment; the same object until something changes."""
        holds = self._holds_now()  # that of a hold with an end depends on the time
        if self._view is None or self._view.holds != holds:
            self._view = self._new_view(holds)
        return self._view

    def _new_view(self, holds: HoldsOnShard) -> ShardView:
        return ShardView(
            shard=self.shard,
            keyspace_record=self._topology.keyspace_record,
            shard_record=self._topology.shard_record,
            tablets=tuple([watched.probe.view for watched in self._watched.values()]),
            unreachable_cells=self._topology.unreachable_cells,
            bad_records=self._topology.bad_records,
            never_read_cells=frozenset(self._topology.unreachable_cells) - self._cells_read_once,
            client_count=self._client_count,
            holds=holds,
        )

    def _holds_now(self) -> HoldsOnShard:
        kept, standing = self._holds(self.shard, self._watched.keys()), self._standing(self._topology.tablets)
        return HoldsOnShard(self.shard, (*kept.holds, *standing)) if standing else kept


def _is_silent(tablet: TabletView) -> bool:
    return tablet.failure is not None and tablet.failure.is_silence


def _receives(tablet: TabletView) -> bool:
    replication = tablet.status.replication if tablet.status is not None else None
    return replication is not None and replication.is_receiving


def _answered_since(tablet: TabletView, moment: float) -> bool:
    return tablet.status_at is not None and tablet.status_at >= moment
