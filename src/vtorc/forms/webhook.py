"""The form of an event for the webhook."""

from vtorc.config.notify_kinds import EventKind
from vtorc.forms.audit import AuditForm
from vtorc.forms.base import Form
from vtorc.forms.findings import FindingForm
from vtorc.forms.recovery import RecoveryForm


class EventForm(Form, frozen=True, kw_only=True):
    """One event, as the receiver of the webhook gets it."""

    id: str
    """Its permanent name: an event that comes twice has the same one."""
    kind: EventKind
    """Its subject; the field of that name has the rest."""
    at: str
    """When it happened."""
    shard: str | None
    """The shard, as `keyspace/shard`; None if it is about the whole fleet."""
    sentence: str
    """The event, in words."""
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
