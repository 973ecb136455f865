"""Durability policies: which tablets may become primary, and how many acknowledgements a primary waits for.

The built-in policies are those of Vitess (`go/vt/vtctl/reparentutil/policy/durability.go`). Their consequences
for lost writes are in `vtorc.core.election.ack_arithmetic`.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace

from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.errors import UnknownDurabilityPolicy


class PromotionRule(enum.Enum):
    """How much a tablet is wanted as primary, best first."""

    MUST = "must"
    PREFER = "prefer"
    NEUTRAL = "neutral"
    PREFER_NOT = "prefer_not"
    MUST_NOT = "must_not"

    @property
    def rank(self) -> int:
        """0 for the best rule, rising."""
        return _RULES_BEST_FIRST.index(self)

    def __str__(self) -> str:
        return self.value


_RULES_BEST_FIRST = tuple(PromotionRule)


@dataclass(frozen=True, slots=True)
class Member:
    """A tablet as durability sees it; one with an unreadable record counts as the worst that it may be, a REPLICA."""

    alias: TabletAlias
    """The tablet's name, which tells its cell."""
    type: TabletType
    """The type that its record in the topology has."""

    @property
    def cell(self) -> str:
        """The cell that the tablet runs in."""
        return self.alias.cell

    def __str__(self) -> str:
        return str(self.alias)


@dataclass(frozen=True, slots=True, kw_only=True)
class DurabilityPolicy:
    """One policy as data: how many members of which kind, other than the primary, have to receive each write.

    MySQL enforces less than this. A primary waits for `rpl_semi_sync_source_wait_for_replica_count` acknowledgements
    from *any* connected replica with its own side of semi-sync on. It knows neither cells nor types (MySQL manual,
    "Semisynchronous Replication"): a policy holds only as long as exactly its ackers have
    `rpl_semi_sync_replica_enabled` on.
    """

    name: str
    """The name under which keyspace records and the configuration know the policy."""
    acks: int = 0
    """How many members other than the primary have to receive each write; 0 for no semi-sync."""
    ackers: frozenset[TabletType] = frozenset()
    """Types of tablets that acknowledge."""
    other_cell: bool = False
    """Whether only members of another cell than the primary's count."""
    rules: tuple[tuple[TabletAlias, PromotionRule], ...] = ()
    """Exceptions to the promotion rule by type, in order of alias."""

    @property
    def has_semi_sync(self) -> bool:
        """Whether primaries wait for acknowledgements at all."""
        return self.acks > 0

    def promotion_rule(self, tablet: Member) -> PromotionRule:
        """Say how much `tablet` is wanted as primary: by type only a REPLICA may be, or what is PRIMARY already."""
        by_type = PromotionRule.NEUTRAL if tablet.type in _PROMOTABLE else PromotionRule.MUST_NOT
        return next((rule for alias, rule in self.rules if alias == tablet.alias), by_type)

    def required_acks(self, primary: Member) -> int:
        """Return how many members other than `primary` must have received a write before it counts as committed."""
        del primary  # the same for all built-in policies, but a policy may differ by primary
        return self.acks

    def may_ack(self, primary: Member, replica: Member) -> bool:
        """Tell whether `replica` is to acknowledge the writes of `primary`, that is, has its side of semi-sync on."""
        if not self.acks or replica.alias == primary.alias or replica.type not in self.ackers:
            return False
        return not self.other_cell or replica.cell != primary.cell


_PROMOTABLE = frozenset((TabletType.PRIMARY, TabletType.REPLICA))
_WITH_RDONLY = _PROMOTABLE | {TabletType.RDONLY}

_POLICIES = (
    DurabilityPolicy(name="none"),
    DurabilityPolicy(name="semi_sync", acks=1, ackers=_PROMOTABLE),
    DurabilityPolicy(name="cross_cell", acks=1, ackers=_PROMOTABLE, other_cell=True),
    DurabilityPolicy(name="semi_sync_with_rdonly_ack", acks=1, ackers=_WITH_RDONLY),
    DurabilityPolicy(name="cross_cell_with_rdonly_ack", acks=1, ackers=_WITH_RDONLY, other_cell=True),
    # vtorc 11 and 12 only (`go/vt/orchestrator/inst/durability.go` there): promotion rules by tablet, no acks.
    DurabilityPolicy(name="specified"),
    # Vitess' own tests register this one and clusters made from them carry it.
    DurabilityPolicy(name="test", rules=((TabletAlias("zone2", 200), PromotionRule.PREFER),)),
)
_BY_NAME = {policy.name: policy for policy in _POLICIES}
POLICY_NAMES = tuple(_BY_NAME)


def policy(name: str, *, rules: Mapping[TabletAlias, PromotionRule] | None = None) -> DurabilityPolicy:
    """Return the policy of that name; only `specified` heeds `rules`, the `DurabilityParams` of the configuration.

    Raises UnknownDurabilityPolicy, also for the empty name: the caller decides what holds for a keyspace that names
    none.
    """
    found = _BY_NAME.get(name)
    if found is None:
        raise UnknownDurabilityPolicy(
            f"durability policy {name!r}: expected one of {', '.join(POLICY_NAMES)}; "
            "set it with SetKeyspaceDurabilityPolicy or the configuration's Durability"
        )
    if name == "specified" and rules:
        return replace(found, rules=tuple(sorted(rules.items(), key=lambda each: each[0])))
    return found
