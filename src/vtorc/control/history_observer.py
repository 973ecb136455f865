"""Stores the decisions and recoveries of shard loops in the history."""

from collections.abc import Mapping
from dataclasses import asdict

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
from vtorc.history.store import StoredDecision, StoredRecovery
from vtorc.history.writer import HistoryWriter
from vtorc.recovery.record import BegunRecovery, OperatorRequest, RecoveryRecord, StepRecord
from vtorc.recovery.runner import Judgement


class HistoryObserver:
    """An observer that stores what it hears in the history."""

    def __init__(self, writer: HistoryWriter, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock

    def judged(self, judgement: Judgement) -> None:
        """Do nothing: what is new in a judgement comes as decisions."""

    def decided(self, decision: Decision) -> None:
        """Store the decision."""
        finding = decision.finding
        self._writer.add_decision(
            StoredDecision(
                at=self._clock.wall(),
                shard=str(finding.shard),
                tablet=str(finding.alias or ""),
                code=finding.code.value,
                rule=decision.rule.value,
                sentence=decision.sentence,
            )
        )

    def cleared(self, decision: Decision) -> None:
        """Do nothing: the history has decisions only."""

    def started(self, begun: BegunRecovery) -> None:
        """Do nothing: a recovery is stored when it ends."""

    def stepped(self, shard: ShardId, step: StepRecord) -> None:
        """Do nothing: a recovery is stored with its steps."""

    def finished(self, record: RecoveryRecord) -> None:
        """Store the recovery."""
        self._writer.add_recovery(stored_recovery(record))

    def interrupted(self, begun: BegunRecovery) -> None:
        """Do nothing: what follows, another recovery or another vtorc, is stored by itself."""

    def announced(self, announcement: Announcement) -> None:
        """Store the announcement as a decision about no shard."""
        self._writer.add_decision(
            StoredDecision(
                at=self._clock.wall(),
                shard="",
                tablet="",
                code="",
                rule=announcement.rule.value,
                sentence=announcement.sentence,
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
        """Store a mistake of vtorc's own as a decision about the shard."""
        self._writer.add_decision(
            StoredDecision(
                at=self._clock.wall(),
                shard=str(shard),
                tablet="",
                code="",
                rule=Rule.OWN_ERROR.value,
                sentence=failure_sentence(shard, error, rest),
            )
        )


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
        "brings": str(estimate.brings),
    }


def _sets(sets: Mapping[TabletAlias, GtidSet]) -> Mapping[str, str]:
    return {str(name): str(gtids) for name, gtids in sets.items()}
