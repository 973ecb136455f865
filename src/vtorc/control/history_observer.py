"""Stores the decisions and recoveries of shard loops in the history."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace

import msgspec

from vtorc.control.hold_book import HoldChange, HoldNews
from vtorc.control.observer import Announcement, failure_sentence
from vtorc.core.decision.decisions import Decision
from vtorc.core.election.forced_promotion import DataLossEstimate
from vtorc.core.election.safety_argument import SafetyArgument
from vtorc.core.facts.clock import Clock
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.holds import ScopeKind
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.core.facts.rules import Rule
from vtorc.forms.audit import AuditForm
from vtorc.forms.findings import finding_form
from vtorc.forms.recovery import HookRunForm
from vtorc.forms.shard import shard_form
from vtorc.forms.tablet import Moment
from vtorc.forms.webhook_state import WebhookForm
from vtorc.history.store import CLEARED, DECIDED, StoredAudit, StoredDecision, StoredHook, StoredRecovery
from vtorc.history.writer import HistoryWriter
from vtorc.recovery.record import BegunRecovery, OperatorRequest, RecoveryRecord, StepRecord
from vtorc.recovery.runner import Judgement


class HistoryObserver:
    """An observer that stores what it hears in the history, and how long each decision was in force.

    A decision is stored together with the judgement that it was told of, which follows it at once.
    """

    def __init__(self, writer: HistoryWriter, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock
        self._untold: dict[ShardId, list[StoredDecision]] = {}
        self._in_force: dict[ShardId, dict[tuple[str, str, str, str], StoredDecision]] = {}

    def judged(self, judgement: Judgement) -> None:
        """Store the decisions that are new in the judgement, with what it saw."""
        shard = judgement.view.shard
        self._end_failure(shard)
        decisions = self._untold.pop(shard, None)
        if decisions is None:
            return
        at, now = self._clock.wall(), self._clock.now()
        for decision in decisions:
            self._store(shard, replace(decision, at=at))
        self._writer.add_seen(
            str(shard), at, lambda: msgspec.json.encode(shard_form(judgement, Moment(now, at), revision=0))
        )

    def decided(self, decision: Decision) -> None:
        """Keep the decision for the judgement that follows."""
        self._keep(decision, DECIDED)

    def cleared(self, decision: Decision) -> None:
        """Keep the end of the decision for the judgement that follows."""
        self._keep(decision, CLEARED)

    def started(self, begun: BegunRecovery) -> None:
        """Do nothing: a recovery is stored when it ends."""

    def stepped(self, shard: ShardId, step: StepRecord) -> None:
        """Do nothing: a recovery is stored with its steps."""

    def finished(self, record: RecoveryRecord) -> None:
        """Store the recovery."""
        self._writer.add_recovery(stored_recovery(record))

    def interrupted(self, begun: BegunRecovery) -> None:
        """Do nothing: what follows, another recovery or another vtorc, is stored by itself."""

    def audited(self, entry: AuditForm) -> None:
        """Store what an operator asked for, and what came of it."""
        self._writer.add_audit(
            StoredAudit(
                at=self._clock.wall(),
                shard=entry.shard or "",
                actor=entry.actor,
                action=entry.action,
                result=entry.result,
                sentence=entry.sentence,
                detail=msgspec.to_builtins(entry),
            )
        )

    def announced(self, announcement: Announcement) -> None:
        """Store the announcement, or its end, as a decision about no shard."""
        self._writer.add_decision(
            StoredDecision(
                at=self._clock.wall(),
                shard="",
                tablet="",
                code="",
                rule=announcement.rule.value,
                sentence=announcement.sentence,
                change=CLEARED if announcement.is_end else DECIDED,
            )
        )

    def held(self, news: HoldNews) -> None:
        """Store a change of the holds in force as a decision; one that was only read back is none."""
        if news.change is HoldChange.RESTORED:
            return
        kind, name = news.hold.scope.kind, news.hold.scope.name
        by = f", as {news.asked.actor} asked from {news.asked.origin}" if news.asked is not None else ""
        self._writer.add_decision(
            StoredDecision(
                at=self._clock.wall(),
                shard=name if kind is ScopeKind.SHARD else "",
                tablet=name if kind is ScopeKind.TABLET else "",
                code="",
                rule=Rule.HELD.value,
                sentence=f"{news.sentence}{by}",
            )
        )

    def failed(self, shard: ShardId, error: Exception, rest: float) -> None:
        """Store a mistake of vtorc's own as a decision about the shard, whose other decisions end with it."""
        self.gone(shard)
        self._store(
            shard,
            StoredDecision(
                at=self._clock.wall(),
                shard=str(shard),
                tablet="",
                code="",
                rule=Rule.OWN_ERROR.value,
                sentence=failure_sentence(shard, error, rest),
            ),
        )

    def found(self, shard: ShardId, *, tablets: int, controlled: bool) -> None:
        """Do nothing: the history has decisions."""

    def gone(self, shard: ShardId, *, watched_by: Sequence[str] = ()) -> None:
        """Store that the decisions about the shard are in force no more: vtorc does not watch it."""
        self._untold.pop(shard, None)
        for decision in self._in_force.pop(shard, {}).values():
            self._writer.add_decision(replace(decision, at=self._clock.wall(), change=CLEARED))

    def unread(self, failures: Sequence[str]) -> None:
        """Do nothing: decisions tell what follows for a shard."""

    def read(self, shards: Collection[ShardId]) -> None:
        """Do nothing: shards are told as they come and go."""

    def hook_ran(self, recovery: int, shard: str, run: HookRunForm) -> None:
        """Store the run of a command."""
        detail = msgspec.to_builtins(run)
        self._writer.add_hook(StoredHook(at=self._clock.wall(), recovery=recovery, shard=shard, detail=detail))

    def webhook_changed(self, state: WebhookForm) -> None:
        """Do nothing: undelivered events have a file of their own."""

    def _keep(self, decision: Decision, change: str) -> None:
        finding = decision.finding
        stored = StoredDecision(
            at=0,
            shard=str(finding.shard),
            tablet=str(finding.alias or ""),
            code=finding.code.value,
            rule=decision.rule.value,
            sentence=decision.sentence,
            change=change,
            finding=msgspec.to_builtins(finding_form(decision)),
        )
        self._untold.setdefault(finding.shard, []).append(stored)

    def _store(self, shard: ShardId, decision: StoredDecision) -> None:
        in_force = self._in_force.setdefault(shard, {})
        in_force.pop(decision.problem, None)
        if decision.change == DECIDED:
            in_force[decision.problem] = decision
        self._writer.add_decision(decision)

    def _end_failure(self, shard: ShardId) -> None:
        """Store the end of a mistake of vtorc's own once it judges the shard again."""
        for decision in list(self._in_force.get(shard, {}).values()):
            if not decision.code:
                self._store(shard, replace(decision, at=self._clock.wall(), change=CLEARED))


def stored_recovery(record: RecoveryRecord) -> StoredRecovery:
    """Return a recovery in the form that is stored."""
    return StoredRecovery(
        id=0,
        began=record.began,
        shard=str(record.shard),
        code=record.code.value if record.code else "",
        recovery=record.recovery.value,
        tablet=str(record.alias or ""),
        outcome=record.outcome.value,
        sentence=record.sentence,
        detail={
            "seconds": record.duration,
            "rule": record.rule.value if record.rule else "",
            "asked": _asked(record.asked),
            "data_loss": _data_loss(record.data_loss),
            "marks": dict(record.marks),
            "winner": str(record.winner or ""),
            "argument": _argument(record.argument),
            "removed": {str(alias): why for alias, why in record.removed.items()},
            "errant": _sets(record.errant),
            "steps": [asdict(step) | {"target": str(step.target or "")} for step in record.steps],
        },
    )


def _asked(asked: OperatorRequest | None) -> Mapping[str, str] | None:
    return asdict(asked) if asked is not None else None


def _argument(argument: SafetyArgument | None) -> Mapping[str, object] | None:
    if argument is None:
        return None
    return {
        "policy": argument.policy,
        "sentence": argument.sentence,
        "stopped": [str(alias) for alias in argument.stopped],
        "unreached": [str(alias) for alias in argument.unreached],
        "required": str(argument.required),
    }


def _data_loss(estimate: DataLossEstimate | None) -> Mapping[str, object] | None:
    if estimate is None:
        return None
    return {
        "named": str(estimate.named),
        "sentence": estimate.sentence,
        "left": _sets(estimate.left),
        "gone": str(estimate.gone),
        "unreached": sorted(map(str, estimate.unreached)),
        "never_read_cells": sorted(estimate.never_read_cells),
        "unknown_ackers": estimate.unknown_ackers,
        "is_elsewhere": estimate.is_elsewhere,
        "unproven": estimate.unproven,
        "brings": str(estimate.brings),
    }


def _sets(sets: Mapping[TabletAlias, GtidSet]) -> Mapping[str, str]:
    return {str(name): str(gtids) for name, gtids in sets.items()}
