"""Seeded bugs in the control code: each is a plausible mistake, and the simulator must catch each.

A mutant replaces one function or method of core, recovery, control or discovery by a careless version of it. The
simulator finds it with the mutant's `profile` within `budget` seeds, counted from seed 0.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from bench.patching import Patch
from vtorc.control.budget import FleetBudget, TurnRequest, TurnSlot
from vtorc.control.shard_loop import ShardLoop
from vtorc.core.decision import backoff, decisions
from vtorc.core.detection.findings import Finding
from vtorc.core.detection.lost_primary import LostPrimary
from vtorc.core.detection.primary_check import PrimaryCheck
from vtorc.core.detection.problems import Code
from vtorc.core.detection.replica_check import ReplicaCheck
from vtorc.core.detection.replica_evidence import ReplicaEvidence
from vtorc.core.election import (
    candidate_evidence,
    choice,
    errant,
    lost_writes,
    protection,
    revocation,
    unexplained_ackers,
)
from vtorc.core.election.candidates import CandidateSet, StoppedTablet
from vtorc.core.election.choice import Choice, Refusal
from vtorc.core.election.past_ackers import PastAckers
from vtorc.core.facts.durability import DurabilityPolicy, PromotionRule, policy
from vtorc.core.facts.fitness import FIT
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import ShardId, TabletAlias, TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.remembered import RememberedTablet, ShardMemory
from vtorc.core.facts.tablet_memory import TabletMemory
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.discovery.gaps import Gaps
from vtorc.discovery.lateness import OnTimeClock
from vtorc.discovery.memory_keeper import MemoryKeeper, ShardMemoryStore
from vtorc.discovery.shard_topology import ShardTopology
from vtorc.discovery.watch import ShardWatch
from vtorc.errors import TabletError
from vtorc.recovery import promotion
from vtorc.recovery.catch_up import CatchUp, _Turn
from vtorc.recovery.emergency import EmergencyReparent
from vtorc.recovery.locked_run import LockedRun, LockedWork
from vtorc.recovery.planned import PlannedReparent
from vtorc.recovery.promotion import Promotion, ReplicaToRepoint
from vtorc.recovery.record import BegunRecovery, Outcome, RecoveryRecord
from vtorc.recovery.repairs import Repairs
from vtorc.recovery.runner import Judgement, Runner
from vtorc.recovery.session import RecoverySession
from vtorc.recovery.stop import TabletStopper
from vtorc.topo.shard_lock import ShardLock


@dataclass(frozen=True, slots=True)
class Mutant:
    """One seeded bug."""

    name: str
    effect: str
    """The behaviour of vtorc with this bug."""
    apply: Callable[[Patch], None]
    """Puts the bug in place."""
    profile: str
    """The simulator's profile that must catch it."""
    budget: int
    """The number of seeds within which the profile must catch it."""
    kinds: tuple[str, ...] = ()
    """The kinds of faults that aim at this bug; empty: all kinds of the profile."""


MUTANTS: dict[str, Mutant] = {}


def mutant(
    name: str, effect: str, *, profile: str, budget: int, kinds: tuple[str, ...] = ()
) -> Callable[[Callable[[Patch], None]], None]:
    """Add a mutant to the list."""

    def add(apply: Callable[[Patch], None]) -> None:
        MUTANTS[name] = Mutant(name, effect, apply, profile, budget, kinds)

    return add


async def _nothing(*_: Any, **__: Any) -> None:
    return None


# --- election


@mutant(
    "skip-revoke-check",
    "promotes although the old primary can still commit",
    profile="failover",
    budget=30,
    kinds=("hide-acker",),
)
def _(patch: Patch) -> None:
    patch.everywhere(revocation.unrevoked, lambda candidates, policy: "")


@mutant(
    "count-unreached",
    "counts tablets that were not reached as stopped",
    profile="failover",
    budget=30,
    kinds=("hide-acker",),
)
def _(patch: Patch) -> None:
    def accounted_for(self: CandidateSet) -> frozenset[TabletAlias]:
        return frozenset(each.alias for each in self.members)

    patch.set(CandidateSet, "accounted_for", property(accounted_for))


@mutant(
    "count-records-only",
    "takes the tablets with records for all that may have acknowledged",
    profile="failover",
    budget=30,
    kinds=("hide-acker-without-record",),
)
def _(patch: Patch) -> None:
    patch.everywhere(unexplained_ackers.unexplained_clients, lambda view, primary: 0)


@mutant(
    "believe-it-is-down",
    "takes the word of a vttablet that its MySQL is down, whatever the primary counts",
    profile="failover",
    budget=30,
    kinds=("lone-copy-without-socket",),
)
def _(patch: Patch) -> None:
    patch.everywhere(unexplained_ackers.counted_without, lambda view, tablet, primary, *, down_since: True)


@mutant(
    "promote-least-advanced",
    "promotes the tablet that has received least",
    profile="failover",
    budget=30,
    kinds=("lone-copy",),
)
def _(patch: Patch) -> None:
    choose = choice.choose

    def careless(candidates: CandidateSet, rule: DurabilityPolicy) -> Choice | Refusal:
        choice = choose(candidates, rule)
        if isinstance(choice, Refusal):
            return choice
        fit = [each for each in candidates.stopped.values() if each.alias not in choice.removed]
        worst = min(fit, key=lambda each: (each.received.count(), each.alias)).alias
        return replace(choice, winner=worst, holders=(worst,), source=None)

    patch.everywhere(choose, careless)


@mutant(
    "unremembered-is-never",
    "takes a tablet of which it remembers nothing for one that never acknowledged",
    profile="failover",
    budget=60,
    kinds=("last-acker-unremembered",),
)
def _(patch: Patch) -> None:
    is_past_acker = PastAckers._is_past_acker

    def careless(self: PastAckers, tablet: TabletView) -> bool:
        return is_past_acker(self, replace(tablet, memory=replace(tablet.memory, unknown_until=-math.inf)))

    patch.set(PastAckers, "_is_past_acker", careless)
    patch.set(CandidateSet, "bystanders", property(lambda self: {}))


@mutant(
    "age-memory-at-start",
    "takes what it remembers for as old as it was when vtorc started, however late a shard is watched",
    profile="blind",
    budget=30,
    kinds=("unseen-acker",),
)
def _(patch: Patch) -> None:
    begin, began = MemoryKeeper.__init__, dict[MemoryKeeper, float]()

    def start(self: MemoryKeeper, store: ShardMemoryStore, stored: Mapping[ShardId, ShardMemory]) -> None:
        begin(self, store, stored)
        began[self] = asyncio.get_running_loop().time()

    def careless(self: MemoryKeeper, shard: ShardId, clock: OnTimeClock) -> Mapping[TabletAlias, RememberedTablet]:
        memory, since = self._stored.pop(shard, None), clock.real() - began[self]
        wall = clock.wall() - round(since * 1e9)
        return memory.recalled(wall=wall, now=clock.now() - since, real=began[self]) if memory is not None else {}

    patch.set(MemoryKeeper, "__init__", start)
    patch.set(MemoryKeeper, "recall", careless)


@mutant(
    "see-no-gap",
    "takes tablets to have stayed as they were while it stood still or was cut off",
    profile="blind",
    budget=30,
    kinds=("unseen-acker",),
)
def _(patch: Patch) -> None:
    patch.set(Gaps, "note_reading", lambda self: None)


@mutant(
    "what-ended-has-ended",
    "takes a server that had ceased to acknowledge to have stayed so while it heard no tablet",
    profile="blind",
    budget=30,
    kinds=("unseen-acker-rebuilt",),
)
def _(patch: Patch) -> None:
    patch.set(TabletMemory, "after_silence", lambda self, now: self)


@mutant(
    "unheard-is-lost",
    "takes a primary for lost while it hears no tablet, and so the deletion of an acker's record for a word",
    profile="blind",
    budget=30,
    kinds=("unseen-acker-deleted",),
)
def _(patch: Patch) -> None:
    def careless(view: ShardView, primary: TabletView) -> float | None:
        uuid, address = primary.memory.server_uuid, primary.record.mysql_address
        spans = [tablet.memory.client_span for tablet in view.tablets]
        received = [span.seen_to for span in spans if span is not None and span.is_of(uuid, address)]
        if primary.failing_since is None:
            return None
        return max([primary.failing_since, *(at + unexplained_ackers.SEEN_AT_WORK_WITHIN for at in received)])

    patch.everywhere(unexplained_ackers.lost_since, careless)


@mutant(
    "no-word-of-the-deleted",
    "forgets at a restart the tablets whose records were deleted meanwhile",
    profile="blind",
    budget=60,
    kinds=("unseen-acker-deleted",),
)
def _(patch: Patch) -> None:
    patch.set(ShardWatch, "_account_for_deleted", lambda self: None)


@mutant(
    "deleted-as-last-seen",
    "takes a tablet with a deleted record to have been until then as it was last seen",
    profile="blind",
    budget=60,
    kinds=("unseen-acker-deleted",),
)
def _(patch: Patch) -> None:
    patch.set(unexplained_ackers, "_may_ack_unseen", lambda memory, primary: False)


@mutant(
    "alias-is-server",
    "takes another server under the same alias for the one before",
    profile="failover",
    budget=30,
    kinds=("lone-copy-rebuilt",),
)
def _(patch: Patch) -> None:
    patch.set(PastAckers, "_how_replaced", lambda self, tablet: "")


@mutant(
    "policy-of-today",
    "applies the present policy to writes that were acknowledged under another",
    profile="failover",
    budget=30,
    kinds=("withdraw-policy",),
)
def _(patch: Patch) -> None:
    patch.everywhere(protection.earlier_protection, lambda view, policy, primary: None)
    patch.set(lost_writes, "_acknowledged_before", lambda candidates, required: None)


@mutant("promote-rdonly", "promotes RDONLY tablets too", profile="failover", budget=30)
def _(patch: Patch) -> None:
    patch.set(DurabilityPolicy, "promotion_rule", lambda self, tablet: PromotionRule.NEUTRAL)


@mutant(
    "keep-errant",
    "counts errant transactions as acknowledged ones",
    profile="outage",
    budget=30,
    kinds=("errant-then-crash",),
)
def _(patch: Patch) -> None:
    patch.everywhere(errant.proven_errant, lambda candidates, policy: {})


# --- emergency reparent


@mutant(
    "skip-relay-log-wait",
    "promotes before relay logs are applied",
    profile="failover",
    budget=30,
    kinds=("crash-while-applying",),
)
def _(patch: Patch) -> None:
    patch.set(CatchUp, "_apply_relay_log", _nothing)


@mutant(
    "give-up-relay-log-wait",
    "promotes after a second even if relay logs are not applied",
    profile="failover",
    budget=30,
    kinds=("crash-while-applying",),
)
def _(patch: Patch) -> None:
    wait = CatchUp._apply_relay_log

    async def careless(self: CatchUp, alias: TabletAlias, position: GtidSet, within: float) -> None:
        try:
            await wait(self, alias, position, min(within, 1.0))
        except (TabletError, TimeoutError):
            return

    patch.set(CatchUp, "_apply_relay_log", careless)


@mutant(
    "skip-fetch",
    "promotes without fetching transactions that only another tablet has",
    profile="failover",
    budget=30,
    kinds=("lone-copy",),
)
def _(patch: Patch) -> None:
    take = CatchUp._carry_out

    async def careless(
        self: CatchUp, turn: _Turn, stopped: Mapping[TabletAlias, StoppedTablet], *, ends: float
    ) -> tuple[TabletAlias, GtidSet]:
        if turn.choice.source is not None:
            return turn.choice.winner, stopped[turn.choice.winner].received
        return await take(self, turn, stopped, ends=ends)

    patch.set(CatchUp, "_carry_out", careless)


@mutant(
    "leave-connecting-io",
    "does not stop IO threads that are connecting",
    profile="failover",
    budget=30,
    kinds=("return-amid-failover",),
)
def _(patch: Patch) -> None:
    patch.set(TabletStopper, "_stop_connecting", _nothing)


@mutant("stop-no-tablet", "elects by the last statuses instead of stopping tablets", profile="failover", budget=30)
def _(patch: Patch) -> None:
    async def careless(self: TabletStopper, tablet: TabletView) -> StoppedTablet:
        status = tablet.status
        if status is None:
            raise TimeoutError
        replication = status.replication
        return StoppedTablet(
            member=tablet.member,
            server_uuid=status.server_uuid,
            executed=status.executed,
            received=status.received,
            source_uuid=replication.source_uuid if replication is not None else "",
            was_primary=replication is None,
        )

    patch.set(TabletStopper, "_stop_replica", careless)


@mutant(
    "undo-after-promotion",
    "lets replicas follow the old primary again after a promotion was sent",
    profile="failover",
    budget=30,
    kinds=("lose-promotion",),
)
def _(patch: Patch) -> None:
    forget = RecoverySession.forget_undo

    def careless(self: RecoverySession, target: TabletAlias | None = None) -> None:
        if target is not None:
            forget(self, target)

    patch.set(RecoverySession, "forget_undo", careless)


@mutant("promote-without-acks", "promotes with semi-sync off", profile="failover", budget=20)
def _(patch: Patch) -> None:
    make_primary = promotion._make_primary

    async def careless(session: RecoverySession, wanted: Promotion) -> None:
        await make_primary(session, replace(wanted, policy=policy("none")))

    patch.everywhere(make_primary, careless)


@mutant(
    "repoint-at-once",
    "re-points replicas before they have applied the relay log that they drop",
    profile="failover",
    budget=30,
    kinds=("heir-dies",),
)
def _(patch: Patch) -> None:
    repoint = promotion._repoint

    async def careless(
        session: RecoverySession, what: Promotion, replica: ReplicaToRepoint, grace: promotion._RepointGrace
    ) -> None:
        await repoint(session, what, ReplicaToRepoint(replica.record), grace)

    patch.everywhere(repoint, careless)


# --- the lock


class _NoLock:
    """A shard lock that does not exist in the topology."""

    def __init__(self) -> None:
        self.key = ""
        self.lost = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def check(self) -> None:
        """Return as if the lock were held."""

    def check_clock(self) -> None:
        """Return as if the lease lasted."""


@mutant("take-no-lock", "acts without the shard's lock", profile="failover", budget=5)
def _(patch: Patch) -> None:
    run = LockedRun.run

    async def careless(self: LockedRun, begun: BegunRecovery, lock: Any, work: LockedWork) -> RecoveryRecord:
        return await run(self, begun, _NoLock(), work)  # type: ignore[arg-type]

    patch.set(LockedRun, "run", careless)


@mutant(
    "ignore-lock-loss",
    "does not check the lock before steps that cannot be undone",
    profile="failover",
    budget=30,
    kinds=("lose-lock-while-applying",),
)
def _(patch: Patch) -> None:
    patch.set(RecoverySession, "check_lock", _nothing)


@mutant(
    "roll-back-without-lock",
    "undoes its changes although the lock is lost",
    profile="failover",
    budget=30,
    kinds=("lose-lock-while-applying",),
)
def _(patch: Patch) -> None:
    async def careless(self: LockedRun, session: RecoverySession) -> None:
        await session.roll_back()

    patch.set(LockedRun, "_roll_back", careless)


@mutant("judge-once", "does not judge again once it has the lock", profile="failover", budget=30, kinds=("late-vtorc",))
def _(patch: Patch) -> None:
    async def careless(self: Runner, session: RecoverySession, action: decisions.Action) -> Judgement:
        return replace(self.judge(), decisions=action.decisions, action=action)

    patch.set(Runner, "_judge_again", careless)


# --- detection


@mutant(
    "ask-no-replica",
    "takes an unreachable primary for dead without asking replicas",
    profile="harmless",
    budget=30,
    kinds=("cut-vtorc-from-tablet",),
)
def _(patch: Patch) -> None:
    look = ReplicaEvidence.of

    def careless(view: ShardView, primary: TabletView, *, heard_since: float = float("-inf")) -> ReplicaEvidence:
        return replace(look(view, primary, heard_since=heard_since), receiving=())

    patch.set(ReplicaEvidence, "of", staticmethod(careless))


@mutant(
    "silence-is-a-stop",
    "takes a steady primary that is silent for one that has stopped, whatever its replicas get",
    profile="harmless",
    budget=30,
    kinds=("cut-vtorc-from-tablet",),
)
def _(patch: Patch) -> None:
    patch.set(ReplicaEvidence, "quiet", lambda self, *, within: self.receiving)
    patch.set(LostPrimary, "_outlives_its_failure", lambda self, primary, evidence: False)


@mutant(
    "never-hurry",
    "asks tablets at the calm pace when something is wrong",
    profile="outage",
    budget=30,
    kinds=("kill-mysqld", "kill-both"),
)
def _(patch: Patch) -> None:
    patch.set(ShardWatch, "hurry", lambda self, *, since: None)
    patch.set(ShardWatch, "suspect", lambda self: None)


@mutant("oldest-primary", "takes the primary of the oldest term for the present one", profile="outage", budget=10)
def _(patch: Patch) -> None:
    def primary(self: ShardView) -> TabletView | None:
        primaries = [tablet for tablet in self.tablets if tablet.record.type is TabletType.PRIMARY]
        return min(primaries, key=lambda tablet: (tablet.record.primary_term_start, tablet.alias), default=None)

    patch.set(ShardView, "_find_primary", primary)


@mutant("missing-is-zero", "takes an unreported heartbeat interval for 0", profile="old-tablets", budget=20)
def _(patch: Patch) -> None:
    misconfigured = ReplicaCheck._misconfigured

    def careless(self: ReplicaCheck, tablet: TabletView) -> Any:
        status = tablet.status
        if status is not None:
            completed = replace(
                status,
                heartbeat_interval=status.heartbeat_interval or 0.0,
                replica_net_timeout=status.replica_net_timeout or 60,
            )
            tablet = replace(tablet, last_probe=replace(tablet.last_probe, status=completed))
        return misconfigured(self, tablet)

    patch.set(ReplicaCheck, "_misconfigured", careless)


@mutant("missing-is-false", "takes an unreported tablet type for a wrong one", profile="old-tablets", budget=20)
def _(patch: Patch) -> None:
    wrong = PrimaryCheck._primary

    def careless(self: PrimaryCheck, primary: TabletView) -> Any:
        status = primary.current_status
        if status is not None and status.tablet_type is not TabletType.PRIMARY:
            yield self.found(Code.PRIMARY_CURRENT_TYPE_MISMATCH, primary, "does not run as PRIMARY")
        yield from wrong(self, primary)

    patch.set(PrimaryCheck, "_primary", careless)


# --- discovery


def _update_with(patch: Patch, change: Callable[[ShardTopology], ShardTopology]) -> None:
    update = ShardWatch.update
    patch.set(ShardWatch, "update", lambda self, topology: update(self, change(topology)))


@mutant(
    "unreachable-cell-is-empty",
    "takes the tablets of an unreachable cell for deleted",
    profile="harmless",
    budget=30,
    kinds=("cell-topo-down", "cell-topo-hangs"),
)
def _(patch: Patch) -> None:
    _update_with(patch, lambda topology: replace(topology, unreachable_cells={}))


@mutant(
    "forget-unreachable-cell",
    "leaves out the tablets of an unreachable cell",
    profile="failover",
    budget=30,
    kinds=("hide-cell",),
)
def _(patch: Patch) -> None:
    view = ShardWatch.view

    def careless(self: ShardWatch) -> ShardView:
        seen = view(self)
        return replace(seen, tablets=tuple(t for t in seen.tablets if t.alias.cell not in seen.unreachable_cells))

    patch.set(ShardWatch, "view", careless)


@mutant(
    "unreadable-is-deleted",
    "takes a tablet with an unreadable record for deleted",
    profile="harmless",
    budget=30,
    kinds=("corrupt-record",),
)
def _(patch: Patch) -> None:
    _update_with(patch, lambda topology: replace(topology, bad_records={}))


# --- repairs


@mutant(
    "repair-by-repointing",
    "restarts replication with SetReplicationSource",
    profile="failover",
    budget=30,
    kinds=("crash-at-repair",),
)
def _(patch: Patch) -> None:
    async def careless(self: Repairs, alias: TabletAlias, codes: set[Code], primary: TabletView) -> None:
        replica = self.session.tablet_in(self.view, alias)
        semi_sync = self.policy.may_ack(primary.member, replica.member)
        net_timeout = replica.status.replica_net_timeout if replica.status is not None else None
        work = self.session.tablets.set_replication_source(
            replica.record,
            primary.alias,
            semi_sync=semi_sync,
            force_start=True,
            # vttablet does not touch a source that stays the same, unless an interval is to be set.
            heartbeat_interval=(net_timeout or 60) / 2,
        )
        await self.session.step("replicate", alias, work)

    patch.set(Repairs, "_fix_replica", careless)


@mutant(
    "leave-replica-writable",
    "does not repair writable replicas",
    profile="repairs",
    budget=30,
    kinds=("make-replica-writable",),
)
def _(patch: Patch) -> None:
    fix = Repairs._fix_replica

    async def careless(self: Repairs, alias: TabletAlias, codes: set[Code], primary: TabletView) -> None:
        await fix(self, alias, codes - {Code.REPLICA_IS_WRITABLE}, primary)

    patch.set(Repairs, "_fix_replica", careless)


@mutant(
    "fix-primary-without-acks",
    "makes the primary writable with semi-sync off",
    profile="repairs",
    budget=30,
    kinds=("make-read-only", "kill-mysqld"),
)
def _(patch: Patch) -> None:
    fix = Repairs.fix_primary

    async def careless(self: Repairs, codes: Set[Code]) -> None:
        await fix(replace(self, policy=policy("none")), codes)

    patch.set(Repairs, "fix_primary", careless)


@mutant(
    "overlook-a-new-policy",
    "leaves semi-sync of the primary off when the policy asks for acknowledgements",
    profile="repairs",
    budget=30,
    kinds=("change-durability",),
)
def _(patch: Patch) -> None:
    check = PrimaryCheck._semi_sync

    def careless(self: PrimaryCheck, primary: TabletView) -> Iterator[Finding]:
        return (each for each in check(self, primary) if each.code is not Code.PRIMARY_SEMI_SYNC_MUST_BE_SET)

    patch.set(PrimaryCheck, "_semi_sync", careless)


@mutant("forget-attempts", "does not remember its attempts", profile="repairs", budget=30)
def _(patch: Patch) -> None:
    patch.set(ShardLoop, "_remember", lambda self, action, record: None)


@mutant("no-backoff", "repeats failed repairs at once", profile="repairs", budget=20, kinds=("fill-disk-failing",))
def _(patch: Patch) -> None:
    patch.set(backoff.AttemptHistory, "why_wait", lambda self, finding, recovery: None)


# --- the fleet

_ALL = ("kill-all-primaries",)


@mutant("budget-without-limit", "lets any number of recoveries begin at once", profile="fleet", budget=5, kinds=_ALL)
def _(patch: Patch) -> None:
    def careless(self: FleetBudget, *, repairs: bool) -> TurnSlot | None:
        return next(iter(self._waiting[repairs]), None)

    patch.set(FleetBudget, "_next", careless)


@mutant(
    "keep-slot-after-failure",
    "releases its slot only after a success",
    profile="fleet",
    budget=10,
    kinds=("lose-cell",),
)
def _(patch: Patch) -> None:
    remember = ShardLoop._remember

    def careless(self: ShardLoop, action: decisions.Action, record: RecoveryRecord) -> None:
        remember(self, action, record)
        if record.outcome is not Outcome.SUCCEEDED:
            self._slot = self._slot._budget.new_slot(self.watch.wake)

    patch.set(ShardLoop, "_remember", careless)


@mutant("shortest-outage-first", "gives turns to the shortest outage first", profile="fleet", budget=15, kinds=_ALL)
def _(patch: Patch) -> None:
    def order(self: TurnRequest) -> tuple[int, int, float, str]:
        return (self.urgency, self.tries, -self.since, str(self.shard))

    patch.set(TurnRequest, "order", property(order))


@mutant(
    "skip-last-look-at-the-lock",
    "sends calls without a look at the clock of its lock",
    profile="failover",
    budget=30,
    kinds=("stand-still-amid-failover",),
)
def _(patch: Patch) -> None:
    def careless(self: ShardLock) -> None:
        return

    patch.set(ShardLock, "check_clock", careless)


@mutant(
    "old-look-at-the-stopped",
    "promotes long after it looked at the stopped tablets",
    profile="failover",
    budget=30,
    kinds=("restart-amid-failover",),
)
def _(patch: Patch) -> None:
    async def careless(self: EmergencyReparent, stopped: Any, choice: Any, *_: Any) -> tuple[Any, Any]:
        return stopped, choice

    patch.set(EmergencyReparent, "_confirm_stopped", careless)


# --- planned reparent


class _Tablets:
    """A tablet manager with some calls replaced."""

    def __init__(self, real: Any, **replaced: Callable[..., Awaitable[Any]]) -> None:
        self._real = real
        self._replaced = replaced

    def __getattr__(self, name: str) -> Any:
        return self._replaced.get(name) or getattr(self._real, name)


def _planned_with(patch: Patch, replaced: Callable[[Any], Mapping[str, Callable[..., Awaitable[Any]]]]) -> None:
    run = PlannedReparent.run

    async def careless(self: PlannedReparent) -> None:
        tools = self.session.tools
        self.session.tools = replace(tools, tablets=_Tablets(tools.tablets, **replaced(tools.tablets)))
        await run(self)

    patch.set(PlannedReparent, "run", careless)


@mutant(
    "plan-without-demotion",
    "moves the primary while it takes writes",
    profile="failover",
    budget=30,
    kinds=("command-planned",),
)
def _(patch: Patch) -> None:
    def replaced(tablets: Any) -> dict[str, Callable[..., Awaitable[Any]]]:
        async def position(record: TabletRecord, *, force: bool) -> GtidSet:
            found: GtidSet = await tablets.primary_position(record)
            return found

        return {"demote_primary": position}

    _planned_with(patch, replaced)


@mutant(
    "plan-without-waiting",
    "promotes before the last writes are applied on the new primary",
    profile="failover",
    budget=30,
    kinds=("command-planned",),
)
def _(patch: Patch) -> None:
    _planned_with(patch, lambda tablets: {"wait_for_position": _nothing})


@mutant(
    "overlook-fitness",
    "elects servers by their GTIDs, whatever their filters leave out",
    profile="unfit",
    budget=60,
    kinds=("filter-replica", "kill-mysqld"),
)
def _(patch: Patch) -> None:
    patch.set(CandidateSet, "fitness_of", lambda self, alias: FIT)


# --- holds


@mutant(
    "overlook-holds",
    "replaces and repairs what operators hold",
    profile="held",
    budget=30,
)
def _(patch: Patch) -> None:
    patch.set(decisions._Decider, "_held", lambda self, finding, recovery: None)


@mutant(
    "promote-the-held",
    "elects tablets that operators keep from promotion",
    profile="held",
    budget=60,
    kinds=("hold", "kill-mysqld"),
)
def _(patch: Patch) -> None:
    patch.set(candidate_evidence, "held_back", lambda view: {})
