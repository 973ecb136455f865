"""The form of an event for the webhook, and how the webhook does."""

from typing import Literal

from msgspec import field

from vtorc.forms.audit import AuditForm
from vtorc.forms.base import Form
from vtorc.forms.findings import FindingForm
from vtorc.forms.recovery import RecoveryForm

WEBHOOK_KINDS = ("recovery", "problem", "news", "request")
"""What is told: recoveries that ended, decisions about problems with their ends, news about the fleet, requests of
operators."""


class EventForm(Form, frozen=True, kw_only=True):
    """One event, as the receiver of the webhook gets it."""

    id: str
    """Its permanent name: an event that comes twice has the same one."""
    kind: Literal["recovery", "problem", "news", "request"]
    """What it is about; the field of that name has the rest."""
    at: str
    """When it happened."""
    shard: str | None
    """The shard, as `keyspace/shard`; None if it is about the whole fleet."""
    sentence: str
    """What happened, in words."""
    is_over: bool
    """Whether something is over: a problem is gone, news holds no more."""
    recovery: RecoveryForm | None = None
    """The recovery that ended."""
    problem: FindingForm | None = None
    """The problem, with what vtorc does about it."""
    news: str | None = None
    """The name of the rule that the news comes from."""
    request: AuditForm | None = None
    """The request of an operator, and what came of it."""


class DeadLetterForm(Form, frozen=True, kw_only=True):
    """An event that was given up."""

    id: str
    """Its name."""
    kind: str
    """What it is about."""
    at: str
    """When it happened."""
    tries: int
    """How often it was tried."""
    why: str
    """Why the last try failed."""


class WebhookStateForm(Form, frozen=True, kw_only=True):
    """How the webhook does."""

    waiting: int = 0
    """How many events are not delivered yet."""
    delivered: int = 0
    """How many the receiver has taken since vtorc started."""
    failed_tries: int = 0
    """How many tries failed since vtorc started."""
    dead: int = 0
    """How many events were given up, of those that are kept."""
    last_error: str = ""
    """Why the last try failed; empty if it did not."""
    dead_letters: list[DeadLetterForm] = field(default_factory=list)
    """The events that were given up last, newest first."""


class WebhookForm(WebhookStateForm, frozen=True, kw_only=True):
    """How the webhook does, and where it goes."""

    url: str | None
    """Where events go, without its query; None if there is no webhook."""
    dropped: int
    """How many events vtorc itself had to drop since it started, because its notifier was away for long."""
    sentence: str
    """The state in words."""
