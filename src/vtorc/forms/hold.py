"""The form of a hold."""

from vtorc.core.facts.holds import Effect, Hold
from vtorc.forms.base import Form
from vtorc.forms.times import rfc3339


class HoldForm(Form, frozen=True, kw_only=True):
    """One hold of an operator that is in force."""

    number: int
    """Its number, which no other hold of this vtorc ever has."""
    purpose: str
    """How it was asked for: "hold", "switch", "downtime", "maintenance", "stopped_replication" or
    "promotion_rule"."""
    scope: str
    """Its target: "fleet", "cell:zone1", "keyspace:commerce", "shard:commerce/-80" or "tablet:zone1-0000000101"."""
    effects: list[str]
    """Its effects: "no_failover", "no_repair", "not_promotable", "no_alert", "prefer", "prefer_not"; empty for one that
    is only shown.
    """
    owner: str
    """The operator or program that it belongs to."""
    reason: str
    """Why, as the owner says."""
    created: str
    """When it was made."""
    expires: str | None
    """When it ends by itself; None if it stays until it is lifted."""
    sentence: str
    """All of it in one sentence."""


class HoldAnswerForm(Form, frozen=True, kw_only=True):
    """The answer to an order about a hold: it is in force, or it was lifted."""

    hold: HoldForm
    """The hold."""
    outlives_vtorc: bool
    """Whether the order is kept over a restart of vtorc."""


def hold_form(hold: Hold) -> HoldForm:
    """Return the form of a hold."""
    return HoldForm(
        number=hold.number,
        purpose=hold.purpose.value,
        scope=str(hold.scope),
        effects=[effect.value for effect in Effect if effect in hold.effects],
        owner=hold.owner,
        reason=hold.reason,
        created=rfc3339(hold.created),
        expires=rfc3339(hold.expires) if hold.expires is not None else None,
        sentence=f"{hold.sentence} ({hold.effect_words})",
    )
