"""Checks what the tablets' servers are fit for, so that it is known before the primary is lost."""

from collections.abc import Iterator

from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code
from vtorc.core.detection.shard_check import ShardCheck
from vtorc.core.facts.durability import PromotionRule
from vtorc.core.facts.fitness import Flaw
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.unfitness import Use
from vtorc.core.facts.views import TabletView

_NEVER = {
    Use.HOLD: "is no copy of the data",
    Use.FEED: "cannot give others what it received",
    Use.ACKNOWLEDGE: "keeps no write safe",
    Use.LEAD: "does not become primary",
}
_LAST = {
    Use.HOLD: "is the last copy to go by",
    Use.FEED: "gives others what it received only if no other can",
    Use.ACKNOWLEDGE: "acknowledges only while others are too few",
    Use.LEAD: "becomes primary only if no other can",
}


class FitnessCheck(ShardCheck):
    """The check of servers that are set up so that they are less than full copies of the shard."""

    def findings(self) -> Iterator[Finding]:
        """Yield one finding for each unfit tablet, with all that speaks against it."""
        for tablet in self.view.tablets:
            status, fitness = tablet.current_status, self.fitness_of(tablet)
            if status is None or status.disk_stalled or not fitness.flaws:
                continue
            uses = self._uses(tablet)
            flaws = [each for each in fitness.flaws if each.fact.traits.told and _matters(each, uses)]
            if flaws:
                what = "; ".join(_sentence(each, uses) for each in flaws)
                unknown = ", ".join(fact.value for fact in fitness.unknown)
                yield self.found(Code.TABLET_UNFIT, tablet, what, unknown=unknown or "nothing")

    def _uses(self, tablet: TabletView) -> frozenset[Use]:
        """Return the uses that the tablet's type allows; empty if it takes no part in the shard."""
        if not (tablet.is_replica_type or tablet.record.type is TabletType.PRIMARY):
            return frozenset()
        uses = {Use.HOLD, Use.FEED}
        if self.policy is not None and self.policy.promotion_rule(tablet.member) is not PromotionRule.MUST_NOT:
            uses.add(Use.LEAD)
        if self.policy is not None and tablet.record.type in self.policy.ackers:
            uses.add(Use.ACKNOWLEDGE)
        return frozenset(uses)


def _matters(flaw: Flaw, uses: frozenset[Use]) -> bool:
    return bool((flaw.fact.traits.never | flaw.fact.traits.last) & uses)


def _sentence(flaw: Flaw, uses: frozenset[Use]) -> str:
    traits = flaw.fact.traits
    effects = [phrase for use, phrase in _NEVER.items() if use in traits.never & uses]
    effects += [phrase for use, phrase in _LAST.items() if use in traits.last & uses]
    return f"{flaw.why}: it {', '.join(effects)}; {traits.remedy}"
