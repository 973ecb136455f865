"""The plans that operators have asked for: each is executed at most once, and soon."""

from collections.abc import Callable
from dataclasses import dataclass

from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.desk.basis import PlanBasis
from vtorc.desk.outlook import Outlook
from vtorc.desk.problems import DeskRefusal
from vtorc.forms.access import Caller
from vtorc.forms.plan import CandidateForm, PlanForm, PlanKind
from vtorc.forms.times import rfc3339

PLAN_LASTS = 60.0
"""Seconds for which a plan can be executed."""

KEPT_PLANS = 500
"""How many plans are kept, so that a late execution hears that its plan is too old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A plan, and what it was made from."""

    id: str
    """Its name."""
    kind: PlanKind
    """The kind of reparent."""
    basis: PlanBasis
    """The facts that it was made from."""
    revision: int
    """The number of these facts."""
    outlook: Outlook
    """The course that it would take."""
    created: float
    """When it was made, in seconds on the clock."""
    created_wall: int
    """The same in nanoseconds since the Unix epoch."""

    @property
    def shard(self) -> ShardId:
        """The shard that it is for."""
        return self.basis.view.shard

    @property
    def primary(self) -> TabletAlias | None:
        """The primary that it was made for; None if the shard had none."""
        primary = self.basis.view.primary
        return primary.alias if primary is not None else None

    @property
    def change(self) -> str:
        """The change that it would make, as a part of a sentence that begins with its verb."""
        return _CHANGES[self.kind].format(primary=self.primary or "the lost primary", to=self.outlook.to)

    def form(self) -> PlanForm:
        """Return what operators are told of it."""
        outlook, view = self.outlook, self.basis.view
        return PlanForm(
            id=self.id,
            shard=str(view.shard),
            kind=self.kind,
            created=rfc3339(self.created_wall),
            expires=rfc3339(self.created_wall + int(PLAN_LASTS * 1e9)),
            shard_revision=self.revision,
            from_primary=str(self.primary) if self.primary is not None else None,
            to=str(outlook.to) if outlook.to is not None else None,
            steps=list(outlook.steps),
            candidates=self._candidates(),
            argument=outlook.argument,
            write_gap=outlook.write_gap,
            risk=outlook.risk,
            refusal=outlook.refusal,
            sentence=f"{view.shard}: {outlook.refusal or f'would {self.change}'}",
        )

    def _candidates(self) -> list[CandidateForm]:
        outlook = self.outlook
        otherwise = "would be left alone" if outlook.refusal is None else "is not promoted, as no tablet is"
        shown = [t.alias for t in self.basis.view.tablets if t.alias != self.primary or t.alias == outlook.to]
        return [
            CandidateForm(
                tablet=str(alias),
                chosen=alias == outlook.to,
                why_not=None if alias == outlook.to else outlook.why_not.get(alias, otherwise),
            )
            for alias in shown
        ]


_CHANGES: dict[PlanKind, str] = {
    "planned": "move the primary from {primary} to {to}",
    "emergency": "replace {primary} by the tablet that the election chooses, {to} as of the plan",
    "forced": "make {to} primary in place of {primary}, whatever that loses",
}


class PlanBook:
    """Keeps the plans of one vtorc, and which of them were executed."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._plans: dict[str, Plan] = {}
        self._executed: dict[str, str] = {}

    def add(self, plan: Plan) -> None:
        """Keep a plan, and forget the oldest of too many."""
        self._plans[plan.id] = plan
        while len(self._plans) > KEPT_PLANS:
            oldest = next(iter(self._plans))
            del self._plans[oldest]
            self._executed.pop(oldest, None)

    def to_execute(self, name: str, caller: Caller) -> Plan:
        """Return a plan that may be executed by its age; raises DeskRefusal, as for none if it is not the caller's."""
        plan = self._plans.get(name)
        if plan is None or not caller.may_see(plan.shard.keyspace):
            raise DeskRefusal(
                404, what=f"plan {name}", why="this vtorc has no such plan", do="make a new plan, and execute that"
            )
        if recovery := self._executed.get(name):
            raise DeskRefusal(
                409,
                what=f"plan {name}",
                why=f"it was executed already, as recovery {recovery}",
                do="look at that recovery, and make a new plan if another reparent is needed",
            )
        if (age := self._now() - plan.created) > PLAN_LASTS:
            raise DeskRefusal(
                409,
                what=f"plan {name}",
                why=f"it is {age:.0f} s old, and a plan lasts {PLAN_LASTS:g} s",
                do="make a new plan, and execute that",
            )
        return plan

    def note_execution(self, plan: Plan, recovery: str) -> None:
        """Take note that a plan is executed now, as the recovery of that name."""
        self._executed[plan.id] = recovery
