"""The form of how the webhook does; the notifier needs it, and little else of the forms, as it is to start soon."""

from msgspec import field

from vtorc.forms.base import Form


class DeadLetterForm(Form, frozen=True, kw_only=True):
    """An event that was given up."""

    id: str
    """Its name."""
    kind: str
    """Its subject."""
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
