"""The form of an event for the webhook."""

from typing import Literal

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
