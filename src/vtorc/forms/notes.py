"""The forms of notes of operators."""

from vtorc.core.facts.notes import Acknowledgement, Tag
from vtorc.forms.base import Form
from vtorc.forms.times import rfc3339


class AcknowledgementForm(Form, frozen=True, kw_only=True):
    """The word of an operator that a recovery was seen and needs no more attention."""

    recovery: str
    """The permanent name of the recovery."""
    actor: str
    """The operator."""
    comment: str
    """The operator's words about it."""
    at: str
    """When."""


class AcknowledgedForm(Form, frozen=True, kw_only=True):
    """The answer to an acknowledgement: it is kept."""

    acknowledged: list[AcknowledgementForm]
    """The acknowledgements that were kept."""


class TagForm(Form, frozen=True, kw_only=True):
    """A word that operators have put on a tablet."""

    tablet: str
    """The alias of the tablet."""
    name: str
    """The word."""
    value: str
    """Its value; empty for a tag that has none."""


def acknowledgement_form(acknowledgement: Acknowledgement) -> AcknowledgementForm:
    """Return the form of an acknowledgement."""
    return AcknowledgementForm(
        recovery=acknowledgement.recovery,
        actor=acknowledgement.actor,
        comment=acknowledgement.comment,
        at=rfc3339(acknowledgement.at),
    )


def tag_form(tag: Tag) -> TagForm:
    """Return the form of a tag."""
    return TagForm(tablet=str(tag.tablet), name=tag.name, value=tag.value)
