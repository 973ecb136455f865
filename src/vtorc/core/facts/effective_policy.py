"""The durability policy that is in force in a keyspace."""

from collections.abc import Mapping

from vtorc.core.facts.durability import DurabilityPolicy, PromotionRule, policy
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.records import KeyspaceRecord
from vtorc.errors import UnknownDurabilityPolicy


def effective_policy(
    keyspace: KeyspaceRecord, default: str, rules: Mapping[TabletAlias, PromotionRule]
) -> DurabilityPolicy | None:
    """Return the durability policy of a keyspace: its record's, else the configured one; None if it is missing or
    unknown.

    `rules` are for the policy `specified`.
    """
    try:
        return policy(keyspace.durability_policy or default, rules=rules)
    except UnknownDurabilityPolicy:
        return None
