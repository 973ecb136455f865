"""Makes the events of the webhook from the news of shard loops, and of operators' requests."""

import itertools
from collections.abc import Callable, Collection

import msgspec

from vtorc.control.observer import Announcement, failure_sentence
from vtorc.core.decision.decisions import Decision
from vtorc.core.facts.clock import Clock
from vtorc.core.facts.ids import ShardId
from vtorc.core.facts.rules import Rule
from vtorc.forms.audit import AuditForm
from vtorc.forms.findings import finding_form
from vtorc.forms.recovery import recovery_form
from vtorc.forms.times import rfc3339
from vtorc.forms.webhook import EventForm
from vtorc.recovery.record import BegunRecovery, RecoveryRecord, StepRecord
from vtorc.recovery.runner import Judgement

SendEvent = Callable[[str, str, int, msgspec.Raw], None]
"""Sends an event: its id, its kind, when it happened in nanoseconds since the Unix epoch, and its JSON."""


class WebhookObserver:
    """An observer that sends an event of each kind that the operator wants."""

    def __init__(self, send: SendEvent, kinds: Collection[str], clock: Clock) -> None:
        self._send = send
        self._kinds = frozenset(kinds)
        self._clock = clock
        self._began = clock.wall()
        self._numbers = itertools.count(1)

    def judged(self, judgement: Judgement) -> None:
        """Do nothing: what is new in a judgement comes as decisions."""

    def decided(self, decision: Decision) -> None:
        """Send the decision."""
        self._send_decision(decision, is_over=False)

    def cleared(self, decision: Decision) -> None:
        """Send that the problem is gone."""
        self._send_decision(decision, is_over=True)

    def started(self, begun: BegunRecovery) -> None:
        """Do nothing: a recovery is sent when it ends."""

    def stepped(self, shard: ShardId, step: StepRecord) -> None:
        """Do nothing: a recovery is sent with its steps."""

    def finished(self, record: RecoveryRecord) -> None:
        """Send the recovery; one that found all done, or done by another vtorc, is left out."""
        if not record.outcome.was_attempt or "recovery" not in self._kinds:
            return
        id_, at = self._name()
        self._send_form(
            EventForm(
                id=id_,
                kind="recovery",
                at=rfc3339(at),
                shard=str(record.shard),
                sentence=record.sentence,
                is_over=True,
                recovery=recovery_form(record),
            ),
            at,
        )

    def interrupted(self, begun: BegunRecovery) -> None:
        """Do nothing: what follows, another recovery or another vtorc, is sent by itself."""

    def announced(self, announcement: Announcement) -> None:
        """Send the news."""
        self._send_news(None, announcement.sentence, announcement.rule, is_over=announcement.is_end)

    def failed(self, shard: ShardId, error: Exception, rest: float) -> None:
        """Send a mistake of vtorc's own as news about its shard."""
        self._send_news(shard, failure_sentence(shard, error, rest), Rule.OWN_ERROR, is_over=False)

    def audited(self, entry: AuditForm) -> None:
        """Send what an operator asked for, and what came of it."""
        if "request" not in self._kinds:
            return
        id_, at = self._name()
        self._send_form(
            EventForm(
                id=id_,
                kind="request",
                at=rfc3339(at),
                shard=entry.shard,
                sentence=entry.sentence,
                is_over=True,
                request=entry,
            ),
            at,
        )

    def _send_decision(self, decision: Decision, *, is_over: bool) -> None:
        if "problem" not in self._kinds:
            return
        id_, at = self._name()
        finding = finding_form(decision)
        sentence = f"gone: {finding.problem}" if is_over else finding.sentence
        self._send_form(
            EventForm(
                id=id_,
                kind="problem",
                at=rfc3339(at),
                shard=finding.shard,
                sentence=sentence,
                is_over=is_over,
                problem=finding,
            ),
            at,
        )

    def _send_news(self, shard: ShardId | None, sentence: str, rule: Rule, *, is_over: bool) -> None:
        if "news" not in self._kinds:
            return
        id_, at = self._name()
        name = str(shard) if shard is not None else None
        self._send_form(
            EventForm(
                id=id_, kind="news", at=rfc3339(at), shard=name, sentence=sentence, is_over=is_over, news=rule.value
            ),
            at,
        )

    def _name(self) -> tuple[str, int]:
        """Return the name of a new event, which no event of another run of vtorc has, and the time."""
        return f"{self._began}-{next(self._numbers)}", self._clock.wall()

    def _send_form(self, form: EventForm, at: int) -> None:
        self._send(form.id, form.kind, at, msgspec.Raw(msgspec.json.encode(form)))
