"""The durability policy in force: the keyspace's own, else the configured one."""

import pytest

from tests.unit.core.builders import alias, replica
from vtorc.core.facts.durability import PromotionRule
from vtorc.core.facts.effective_policy import effective_policy
from vtorc.core.facts.records import KeyspaceRecord


@pytest.mark.parametrize(
    ("named", "default", "policy"),
    [
        ("semi_sync", "none", "semi_sync"),
        ("", "none", "none"),
        ("", "", None),
        ("of_tomorrow", "none", None),
    ],
)
def test_the_policy_is_the_keyspaces_or_else_the_configured_one(named: str, default: str, policy: str | None) -> None:
    """A policy that is missing or unknown is none at all, whatever is configured."""
    found = effective_policy(KeyspaceRecord(name="ks", durability_policy=named), default, {})
    assert (found.name if found is not None else None) == policy


def test_promotion_rules_are_those_of_the_policy_specified() -> None:
    """They are handed to it."""
    rules = {alias("zone1-101"): PromotionRule.MUST_NOT}
    found = effective_policy(KeyspaceRecord(name="ks", durability_policy="specified"), "", rules)
    assert found is not None
    assert found.promotion_rule(replica("zone1-101").member) is PromotionRule.MUST_NOT
