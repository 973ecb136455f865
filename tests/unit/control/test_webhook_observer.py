"""Which events the webhook gets."""

from typing import Any

import msgspec
import pytest

from tests.unit.core.builders import NOW
from tests.unit.demo.shards import A, B, C, cut_off, failing, judge, primary, replica
from vtorc.config.notify_kinds import EVENT_KINDS
from vtorc.control.observer import Announcement
from vtorc.control.webhook_observer import WebhookObserver
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.rules import Rule
from vtorc.forms.access import Means, Role
from vtorc.forms.audit import AuditForm
from vtorc.forms.webhook import EventForm
from vtorc.recovery.record import Outcome, RecoveryRecord

LOST = judge(failing(primary()), cut_off(replica(B)), cut_off(replica(C)))
SHARD = LOST.view.shard
REQUEST = AuditForm(
    id="7-1",
    at="2026-11-29T20:00:00Z",
    action="cancel",
    shard="commerce/0",
    tablet=None,
    actor="ann",
    means=Means.PASSWORD,
    role=Role.ADMIN,
    origin="10.0.0.7",
    arguments={},
    reason=None,
    result="refused",
    recovery=None,
    sentence="no recovery is in progress",
)


class Clock:
    """A clock that stands still."""

    def now(self) -> float:
        return NOW

    def wall(self) -> int:
        return 1_772_323_200_000_000_000


def record(outcome: Outcome) -> RecoveryRecord:
    """Return a recovery that ended so."""
    return RecoveryRecord(
        shard=SHARD,
        recovery=Recovery.RECOVER_DEAD_PRIMARY,
        code=Code.DEAD_PRIMARY,
        alias=A,
        began=17,
        duration=0.5,
        outcome=outcome,
        sentence="it is over",
    )


def events(*kinds: str) -> list[EventForm]:
    """Return the events that an operator gets that wants these kinds."""
    sent: list[EventForm] = []

    def send(id_: str, kind: str, at: int, body: Any) -> None:
        form = msgspec.json.decode(bytes(body), type=EventForm)
        assert (form.id, form.kind) == (id_, kind)
        sent.append(form)

    observer = WebhookObserver(send, kinds, Clock())
    observer.decided(LOST.decisions[0])
    observer.cleared(LOST.decisions[0])
    for outcome in Outcome:
        observer.finished(record(outcome))
    observer.announced(Announcement("late", Rule.LATE))
    observer.announced(Announcement("on time", Rule.LATE, is_end=True))
    observer.failed(SHARD, KeyError("x"), 1.0)
    observer.audited(REQUEST)
    return sent


def test_each_kind_has_its_events() -> None:
    """Of each kind there are the event, its end where it has one, and the object that the API has for it."""
    problems, recoveries, news, requests = (events(kind) for kind in ("problem", "recovery", "news", "request"))
    assert [(each.is_over, each.problem.code if each.problem else "") for each in problems] == [
        (False, "DeadPrimary"),
        (True, "DeadPrimary"),
    ]
    assert problems[1].sentence.startswith("gone: ")
    attempts = [outcome.value for outcome in Outcome if outcome.was_attempt]
    assert [each.recovery.outcome if each.recovery else "" for each in recoveries] == attempts
    assert [(each.news, each.is_over, each.shard) for each in news] == [
        ("late", False, None),
        ("late", True, None),
        ("own-error", False, "commerce/0"),
    ]
    assert [each.request for each in requests] == [REQUEST]


def test_events_have_names_of_their_own() -> None:
    """No two events have the same name, and the time is that of the wall clock."""
    sent = events(*EVENT_KINDS)
    assert len({each.id for each in sent}) == len(sent)
    assert {each.at for each in sent} == {"2026-03-01T00:00:00.000Z"}


@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_an_operator_without_wishes_gets_nothing(kind: str) -> None:
    """Kinds that are not wanted are not sent."""
    assert kind not in {each.kind for each in events(*(other for other in EVENT_KINDS if other != kind))}
