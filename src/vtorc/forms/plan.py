"""The form of a plan: what a reparent would do, told before anything is changed."""

from typing import Literal

from vtorc.forms.base import Form

PlanKind = Literal["planned", "emergency", "forced"]
"""The kinds of reparents that operators ask for."""


class CandidateForm(Form, frozen=True, kw_only=True):
    """One tablet as a possible new primary."""

    tablet: str
    """Its alias."""
    chosen: bool
    """Whether it is the one that would be promoted."""
    why_not: str | None
    """Why it is not, as the end of a sentence about it; None for the chosen one."""


class PlanForm(Form, frozen=True, kw_only=True):
    """A reparent that an operator may execute; making it has changed nothing."""

    id: str
    """Its name, by which it is executed once."""
    shard: str
    """The shard, as `keyspace/shard`."""
    kind: PlanKind
    """Whether it moves a healthy primary, replaces a lost one, or promotes a tablet whatever that loses."""
    created: str
    """When it was made."""
    expires: str
    """Until when it can be executed."""
    shard_revision: int
    """The revision of what decides in the shard, such as its records, threads and problems; not that of positions."""
    from_primary: str | None
    """The present primary; None if there is none."""
    to: str | None
    """The tablet that would become primary; None if none can."""
    steps: list[str]
    """The steps, in order and in words; empty if it cannot be executed."""
    candidates: list[CandidateForm]
    """All other tablets of the shard, each with the reason for or against it."""
    argument: str
    """Why no acknowledged write would be missing, or on which word of an operator some may be; empty if it cannot be
    executed."""
    write_gap: str
    """How long clients could not write, as far as is known; empty if it cannot be executed."""
    risk: str
    """The writes that are lost, or may be; empty without any."""
    refusal: str | None
    """Why it cannot be executed; None if it can."""
    sentence: str
    """All of it in one sentence."""

    @property
    def is_argued_safe(self) -> bool:
        """Whether `argument` says why no write is missing; a forced promotion rests on an operator's word."""
        return self.kind != "forced"
