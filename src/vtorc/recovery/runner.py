"""Carries out one action: takes the lock, reads the shard again, judges again, acts, and rolls back what broke off."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from vtorc.core.decision.decisions import Action, Decision, DecisionLimits
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.views import ShardView
from vtorc.discovery.topology import read_shard
from vtorc.discovery.watch import ShardWatch
from vtorc.recovery.emergency import EmergencyReparent
from vtorc.recovery.first_election import FirstElection
from vtorc.recovery.hooks import Hook
from vtorc.recovery.locked_run import LockedRun
from vtorc.recovery.pre_hooks import occasion_of, run_pre_hooks
from vtorc.recovery.record import BegunRecovery, Outcome, RecoveryRecord
from vtorc.recovery.repairs import Repairs
from vtorc.recovery.session import RecoverySession, RecoveryTools, StepListener, hear_nothing


@dataclass(frozen=True, slots=True)
class Judgement:
    """The result of analysing a view and deciding on it."""

    view: ShardView
    policy: DurabilityPolicy | None
    """The durability policy in force; None if it is missing or unknown."""
    decisions: tuple[Decision, ...]
    action: Action | None
    """The action to carry out next, if any."""
    controlled: bool = True
    """Whether vtorc acts on the shard; the others are only watched."""
    limits: DecisionLimits = field(default_factory=DecisionLimits)
    """The limits by which it was decided."""


class Judge(Protocol):
    """Analyses what is known at this moment and decides on it."""

    def __call__(self, *, heard_since: float = ...) -> Judgement:
        """Judge the shard; a replica is evidence against the primary only if it answered after `heard_since`.

        `heard_since` is in seconds on the clock.
        """
        ...


@dataclass(frozen=True, slots=True)
class Runner:
    """Carries out the actions of one shard."""

    tools: RecoveryTools
    watch: ShardWatch
    judge: Judge
    """The function that called for the action; it must call for it again under the lock."""
    heard: StepListener = hear_nothing
    """Hears of each step as it ends."""

    async def run(self, action: Action, begun: BegunRecovery) -> RecoveryRecord:
        """Carry out one action and return its record; the only error raised is CancelledError, after the rollback."""

        async def work(session: RecoverySession) -> tuple[Outcome, str]:
            judgement = await self._judge_again(session, action)
            if judgement is not None and await self._ask_hooks(session, judgement, begun):
                judgement = await self._judge_again(session, action)
            if judgement is None or judgement.action is None or judgement.policy is None:
                gone = f"{action.code.value} is gone or calls for no action any more; nothing was changed"
                return Outcome.GONE, f"{self.watch.shard}: {gone}"
            return Outcome.SUCCEEDED, await self._act(session, judgement, judgement.action)

        return await LockedRun(self.tools, self.watch, self.heard).run(
            begun,
            self.tools.topo.try_lock_shard(self.watch.shard, _lock_text(action)),
            work,
        )

    async def _judge_again(self, session: RecoverySession, action: Action) -> Judgement | None:
        """Read the shard again under the lock and judge it; returns None if the action has become needless."""
        locked_at = self.tools.clock.now()
        self.watch.update(
            await session.step("read topology", None, read_shard(self.tools.topo, self.tools.clock, self.watch.shard))
        )
        await session.step(
            "ask all tablets",
            None,
            self.watch.refresh(self.tools.deadlines.refresh, leave_out=self.watch.silent_tablets()),
            deadline=self.tools.deadlines.refresh + 1.0,
        )
        judgement = self.judge(heard_since=locked_at)
        again = judgement.action
        if again is None or again.recovery is not action.recovery:
            return None
        if again.recovery.replaces_primary and again.alias != action.alias:
            return None
        return judgement

    async def _ask_hooks(self, session: RecoverySession, judgement: Judgement, begun: BegunRecovery) -> bool:
        """Run the operator's commands before a lost primary is replaced; returns whether there was one."""
        if not begun.recovery.replaces_primary:
            return False
        return await run_pre_hooks(session, Hook.PRE_FAILOVER, occasion_of(begun, judgement.view))

    async def _act(self, session: RecoverySession, judgement: Judgement, action: Action) -> str:
        assert judgement.policy is not None
        view, policy = judgement.view, judgement.policy
        session.expect_primary(view)
        repairs = Repairs(session, view, policy)
        aliases = [d.finding.alias for d in action.decisions if d.finding.alias is not None]
        match action.recovery:
            case Recovery.RECOVER_DEAD_PRIMARY | Recovery.RECOVER_PRIMARY_TABLET_DELETED:
                await EmergencyReparent(session, view, policy).run()
                return (
                    f"{view.shard}: promoted {session.winner}. {session.argument.sentence if session.argument else ''}"
                )
            case Recovery.ELECT_NEW_PRIMARY:
                await FirstElection(session, view, policy).run()
                return f"{view.shard}: elected {session.winner} as the first primary"
            case Recovery.FIX_PRIMARY:
                await repairs.fix_primary({d.finding.code for d in action.decisions})
                return f"{view.shard}: repaired {aliases[0]} ({_codes(action)})"
            case Recovery.RECOVER_PRIMARY_HAS_PRIMARY:
                await repairs.reset_primary_replication()
                return f"{view.shard}: {aliases[0]} has no replication source any more"
            case Recovery.FIX_REPLICA:
                await repairs.fix_replicas(_codes_by_tablet(action))
                return f"{view.shard}: repaired {_names(aliases)} ({_codes(action)})"
            case Recovery.RECONCILE_STALE_TOPO_PRIMARY:
                await repairs.reconcile_stale_primaries(aliases)
                return f"{view.shard}: made {_names(aliases)} replicate from the present primary"
            case Recovery.CORRECT_PRIMARY_RECORD:
                await repairs.correct_primary_record(aliases[0])
                return f"{view.shard}: the record of {aliases[0]} says again that it is primary"
            case Recovery.DRAIN_ERRANT_TABLET:
                await repairs.drain(aliases[0])
                return f"{view.shard}: {aliases[0]} is DRAINED, because of its errant transactions"
            case Recovery.RESTART_DIRECT_REPLICA:
                await repairs.restart_one_replica()
                return f"{view.shard}: made one replica of {aliases[0]} reconnect"
            case (
                Recovery.PLANNED_REPARENT
                | Recovery.EMERGENCY_REPARENT
                | Recovery.REPARENT_TABLET
                | Recovery.START_REPLICATION
                | Recovery.RESTART_REPLICATION
                | Recovery.STOP_REPLICATION
                | Recovery.STOP_REPLICATION_NICELY
                | Recovery.SET_READ_ONLY
                | Recovery.FLUSH_BINARY_LOGS
            ):
                raise session.fail("no problem calls for what only operators ask for")


def begun_with(action: Action, *, began: int) -> BegunRecovery:
    """Return the recovery that an action begins at `began`, in nanoseconds since the Unix epoch."""
    return BegunRecovery(
        shard=action.decisions[0].finding.shard,
        recovery=action.recovery,
        code=action.code,
        alias=action.alias,
        began=began,
        sentence=action.decisions[0].sentence,
    )


def _lock_text(action: Action) -> str:
    """Return what others read in the lock, in Vitess' words (`topology_recovery.go`)."""
    on = f" on {action.alias}" if action.alias is not None else ""
    return f"VTOrc Recovery for {action.code.value}{on}"


def _names(aliases: Iterable[TabletAlias]) -> str:
    return ", ".join(map(str, sorted(set(aliases))))


def _codes(action: Action) -> str:
    return ", ".join(dict.fromkeys(d.finding.code.value for d in action.decisions))


def _codes_by_tablet(action: Action) -> dict[TabletAlias, set[Code]]:
    codes: dict[TabletAlias, set[Code]] = {}
    for decision in action.decisions:
        if decision.finding.alias is not None:
            codes.setdefault(decision.finding.alias, set()).add(decision.finding.code)
    return codes
