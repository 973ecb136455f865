"""Logs what the shard loops see, decide and do: each decision is one sentence."""

import math
from collections.abc import Collection, Sequence

import structlog

from vtorc.control.hold_book import HoldNews
from vtorc.control.observer import Announcement, failure_sentence
from vtorc.core.decision.decisions import Decision
from vtorc.core.detection.recoveries import Recovery, Reparent
from vtorc.core.election.last_primary import observed_term_of
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.core.facts.rules import Rule
from vtorc.forms.audit import AuditForm
from vtorc.forms.shard import healthy_sentence, shard_state
from vtorc.forms.shard_states import ShardState
from vtorc.recovery.record import BegunRecovery, Outcome, RecoveryRecord, StepRecord
from vtorc.recovery.runner import Judgement


class LogObserver:
    """An observer that writes to the log."""

    def __init__(self) -> None:
        self._log = structlog.get_logger("vtorc")
        self._unread: frozenset[str] = frozenset()
        self._told_well: set[ShardId] = set()
        self._warned_of_timeout: dict[ShardId, tuple[TabletAlias, int]] = {}

    def found(self, shard: ShardId, *, tablets: int, controlled: bool) -> None:
        """Log that a shard is watched."""
        but = "" if controlled else " without acting on them, because clusters_to_watch leaves them out"
        count = "1 tablet" if tablets == 1 else f"{tablets} tablets"
        self._log.info(f"{shard}: watching {count}{but}", shard=str(shard))

    def gone(self, shard: ShardId, *, watched_by: Sequence[str] = ()) -> None:
        """Log that a shard is not watched any more, and why."""
        self._told_well.discard(shard)
        if watched_by:
            self._log.info(f"{shard}: watched by {' and '.join(watched_by)} from now on", shard=str(shard))
            return
        self._log.warning(f"{shard}: not watched any more, as it has left the topology server", shard=str(shard))

    def unread(self, failures: Sequence[str]) -> None:
        """Log each failure once while it lasts, and the end of the last one."""
        for failure in failures:
            if failure not in self._unread:
                self._log.error(f"the topology server could not be read completely: {failure}")
        if self._unread and not failures:
            self._log.info("the topology server can be read completely again")
        self._unread = frozenset(failures)

    def read(self, shards: Collection[ShardId]) -> None:
        """Do nothing: shards are logged as they come and go."""

    def judged(self, judgement: Judgement) -> None:
        """Say once of each shard that all is well, and once a term that its primary may tell clients OK too early.

        All else that is new in a judgement comes as decisions.
        """
        self._tell_once_that_all_is_well(judgement)
        self._warn_of_timeout(judgement)

    def _tell_once_that_all_is_well(self, judgement: Judgement) -> None:
        shard = judgement.view.shard
        if shard in self._told_well or shard_state(judgement) is not ShardState.HEALTHY:
            return
        if all(tablet.probed for tablet in judgement.view.tablets):
            self._told_well.add(shard)
            self._log.info(healthy_sentence(judgement.view), shard=str(shard))

    def _warn_of_timeout(self, judgement: Judgement) -> None:
        """Warn of a primary that stops waiting for acknowledgements after a timeout."""
        primary = judgement.view.primary
        term = observed_term_of(judgement.view, primary)
        if primary is None or term is None or math.isinf(term.ack_timeout) or not term.wait_count:
            return
        shard = judgement.view.shard
        if self._warned_of_timeout.get(shard) == (named := (primary.alias, primary.record.primary_term_start)):
            return
        self._warned_of_timeout[shard] = named
        self._log.warning(
            f"{shard}: {primary.alias} waits {term.ack_timeout:g} s for acknowledgements and then tells clients "
            f"OK without any; vtorc replaces it only if it can be reached, or if its MySQL is seen to end before that; "
            f"set rpl_semi_sync_source_timeout to 1000000000000000000 on all tablets, as Vitess does",
            shard=str(shard),
            tablet=str(primary.alias),
        )

    def decided(self, decision: Decision) -> None:
        """Log the decision.

        It is a warning if a primary is lost, or if vtorc does not act on a problem of the whole shard. It is an error
        if an operator is needed. A hold that silences the problem leaves it a piece of information, unless vtorc acts.
        """
        level = "info"
        if _is_emergency(decision.recovery) or (not decision.acts and decision.finding.problem.warns):
            level = "warning"
        if decision.escalated:
            level = "error"
        if decision.silenced_by is not None and not decision.acts:
            level = "info"
        getattr(self._log, level)(
            decision.sentence,
            shard=str(decision.finding.shard),
            tablet=str(decision.finding.alias or ""),
            code=decision.finding.code.value,
            rule=decision.rule.value,
        )

    def cleared(self, decision: Decision) -> None:
        """Log that a problem is gone."""
        finding = decision.finding
        self._log.info(
            f"{finding.shard}: {finding.code.value}{f' of {finding.alias}' if finding.alias else ''} is gone",
            shard=str(finding.shard),
            tablet=str(finding.alias or ""),
            code=finding.code.value,
        )

    def started(self, begun: BegunRecovery) -> None:
        """Warn of a recovery that an operator asked for; of any other, the decision said what is done."""
        if begun.asked is not None:
            self._log.warning(
                begun.sentence,
                shard=str(begun.shard),
                recovery=begun.recovery.value,
                actor=begun.asked.actor,
                origin=begun.asked.origin,
                reason=begun.asked.reason,
            )

    def stepped(self, shard: ShardId, step: StepRecord) -> None:
        """Do nothing: the record of the recovery has its steps."""

    def finished(self, record: RecoveryRecord) -> None:
        """Log how a recovery ended; the replacement of a primary is a warning, as writes stood still."""
        level = "error" if record.outcome.is_failure else "info"
        if record.outcome is Outcome.SUCCEEDED and _is_emergency(record.recovery):
            level = "warning"
        getattr(self._log, level)(
            record.sentence,
            shard=str(record.shard),
            recovery=record.recovery.value,
            code=record.code.value if record.code else "",
            outcome=record.outcome.value,
            seconds=round(record.duration, 3),
            marks={name: round(at, 3) for name, at in record.marks.items()},
        )

    def interrupted(self, begun: BegunRecovery) -> None:
        """Log that a recovery was broken off."""
        self._log.warning(
            f"{begun.shard}: {begun.recovery.value} was broken off, and its changes were put back",
            shard=str(begun.shard),
            recovery=begun.recovery.value,
        )

    def audited(self, entry: AuditForm) -> None:
        """Log what operators ask for; refusals are warnings."""
        tell = self._log.warning if entry.result == "refused" else self._log.info
        often = f" ({entry.times} times)" if entry.times > 1 else ""
        tell(
            f"{entry.action} {entry.result}{often}: {entry.sentence}",
            actor=entry.actor,
            means=entry.means.value,
            origin=entry.origin,
            **({"shard": entry.shard} if entry.shard is not None else {}),
        )

    def announced(self, announcement: Announcement) -> None:
        """Log an announcement: an error while its cause lasts, a warning at its end."""
        fields: dict[str, object] = {"rule": announcement.rule.value}
        if announcement.late_seconds is not None:
            fields["late_seconds"] = announcement.late_seconds
        (self._log.warning if announcement.is_end else self._log.error)(announcement.sentence, **fields)

    def held(self, news: HoldNews) -> None:
        """Warn of each change of the holds in force, with the operator who asked for it."""
        hold, asked = news.hold, news.asked
        self._log.warning(
            news.sentence,
            hold=hold.number,
            scope=str(hold.scope),
            effects=hold.effect_words,
            actor=asked.actor if asked is not None else "",
            origin=asked.origin if asked is not None else "",
            reason=asked.reason if asked is not None else hold.reason,
            rule=Rule.HELD.value,
        )

    def failed(self, shard: ShardId, error: Exception, rest: float) -> None:
        """Log a mistake of vtorc's own with its traceback."""
        self._log.error(
            failure_sentence(shard, error, rest), shard=str(shard), rule=Rule.OWN_ERROR.value, exc_info=error
        )


def _is_emergency(recovery: Recovery | None) -> bool:
    return recovery is not None and recovery.traits.reparent is Reparent.EMERGENCY
