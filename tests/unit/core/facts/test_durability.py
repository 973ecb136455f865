import pytest

from tests.unit.core.shards import D2, R2, VITESS_SHARD, D, P, R
from vtorc.core.facts.durability import POLICY_NAMES, Member, PromotionRule, policy
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.errors import UnknownDurabilityPolicy


@pytest.mark.parametrize(
    ("name", "acks", "ackers_of_p"),
    [
        ("none", 0, ()),
        ("semi_sync", 1, (R, R2)),
        ("semi_sync_with_rdonly_ack", 1, (R, D, R2, D2)),
        ("cross_cell", 1, (R2,)),
        ("cross_cell_with_rdonly_ack", 1, (R2, D2)),
        ("test", 0, ()),
        ("specified", 0, ()),
    ],
)
def test_each_policy_asks_for_its_acks_of_its_ackers(name: str, acks: int, ackers_of_p: tuple[Member, ...]) -> None:
    """How many acknowledgements a primary waits for, and of whom, is what Vitess says."""
    chosen = policy(name)
    assert chosen.name == name
    assert chosen.required_acks(P) == acks
    assert chosen.has_semi_sync is (acks > 0)
    assert tuple(each for each in VITESS_SHARD if chosen.may_ack(P, each)) == ackers_of_p


@pytest.mark.parametrize("name", POLICY_NAMES)
def test_only_primaries_and_replicas_may_be_promoted(name: str) -> None:
    """Every policy goes by type: whatever is not PRIMARY or REPLICA must not become primary."""
    chosen = policy(name)
    rules = {kind: chosen.promotion_rule(Member(TabletAlias("zone1", 1), kind)) for kind in TabletType}
    neutral = {kind for kind, rule in rules.items() if rule is PromotionRule.NEUTRAL}
    assert neutral == {TabletType.PRIMARY, TabletType.REPLICA}
    assert set(rules.values()) == {PromotionRule.NEUTRAL, PromotionRule.MUST_NOT}


@pytest.mark.parametrize("name", POLICY_NAMES)
@pytest.mark.parametrize("kind", [TabletType.SPARE, TabletType.BACKUP, TabletType.RESTORE, TabletType.DRAINED])
def test_tablets_out_of_service_never_acknowledge(name: str, kind: TabletType) -> None:
    """The type in the topology decides, in whatever cell the tablet is."""
    assert not policy(name).may_ack(P, Member(TabletAlias("zone2", 1), kind))


def test_the_policy_test_prefers_its_tablet() -> None:
    """Vitess' policy for tests prefers one alias, of whatever type."""
    assert policy("test").promotion_rule(R2) is PromotionRule.PREFER
    assert policy("test").promotion_rule(Member(R2.alias, TabletType.RDONLY)) is PromotionRule.PREFER


def test_specified_rules_win_over_types() -> None:
    """The policy of the first vtorc takes its promotion rules from the configuration; no other policy does."""
    rules = {R2.alias: PromotionRule.PREFER, R.alias: PromotionRule.MUST_NOT}
    chosen = policy("specified", rules=rules)
    assert [chosen.promotion_rule(each) for each in (P, R, R2)] == [
        PromotionRule.NEUTRAL,
        PromotionRule.MUST_NOT,
        PromotionRule.PREFER,
    ]
    assert policy("semi_sync", rules=rules) == policy("semi_sync")


def test_promotion_rules_have_an_order() -> None:
    """The best rule has the lowest rank."""
    ordered = sorted(PromotionRule, key=lambda rule: rule.rank)
    assert [str(rule) for rule in ordered] == ["must", "prefer", "neutral", "prefer_not", "must_not"]


@pytest.mark.parametrize("name", ["", "semi-sync", "SEMI_SYNC", "quorum"])
def test_an_unknown_policy_is_an_error_that_names_the_known_ones(name: str) -> None:
    """No name falls back to a policy silently."""
    with pytest.raises(UnknownDurabilityPolicy, match=f"policy '{name}': expected one of none, semi_sync, cross_cell"):
        policy(name)
