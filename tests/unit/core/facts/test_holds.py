"""Holds: what is read from operators' words, and which hold is in force where."""

import pytest

from tests.unit.core.builders import SHARD, alias, hold
from vtorc.core.facts.durability import PromotionRule
from vtorc.core.facts.holds import (
    LONGEST,
    NO_HOLDS,
    Effect,
    Hold,
    HoldScope,
    HoldsOnShard,
    Purpose,
    ScopeKind,
    holds_on_shard,
    parse_length,
)
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.errors import HoldParseError

ONE, TWO = alias("zone1-101"), alias("zone2-200")
OTHER = ShardId("customer", "-80")


def on_shard(*holds: Hold, wall: int = 2) -> HoldsOnShard:
    return holds_on_shard(holds, SHARD, (ONE, TWO), wall)


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("fleet", ScopeKind.FLEET, ""),
        ("cell:zone1", ScopeKind.CELL, "zone1"),
        ("keyspace:commerce", ScopeKind.KEYSPACE, "commerce"),
        ("shard:commerce/-80", ScopeKind.SHARD, "commerce/-80"),
        ("shard:commerce/-8A", ScopeKind.SHARD, "commerce/-8a"),
        ("tablet:zone1-101", ScopeKind.TABLET, "zone1-0000000101"),
    ],
)
def test_a_scope_is_read_in_its_one_spelling(text: str, kind: ScopeKind, name: str) -> None:
    """What is written of it is read as the same scope again."""
    scope = HoldScope.parse(text)
    assert scope == HoldScope(kind, name)
    assert HoldScope.parse(str(scope)) == scope


def test_the_scope_of_a_shard_or_a_tablet_is_as_operators_write_it() -> None:
    """A downtime that was asked for with an alias is found again by its scope."""
    assert HoldScope.of_shard(OTHER) == HoldScope.parse("shard:customer/-80")
    assert HoldScope.of_tablet(ONE) == HoldScope.parse("tablet:zone1-101")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected fleet, cell:<cell>"),
        ("fleet:all", "expected fleet, cell:<cell>"),
        ("cell:", "expected fleet, cell:<cell>"),
        ("cell:zone 1", "expected fleet, cell:<cell>"),
        ("planet:earth", "expected fleet, cell:<cell>"),
        ("commerce/0", "expected fleet, cell:<cell>"),
        ("shard:commerce", "expected <keyspace>/<shard>"),
        ("shard:commerce/80-40", "expected an end beyond the start"),
        ("tablet:zone1", "expected <cell>-<number below 2^32>"),
    ],
)
def test_a_wrong_scope_is_refused_with_its_value(text: str, reason: str) -> None:
    """The refusal says what was expected."""
    with pytest.raises(HoldParseError) as refused:
        HoldScope.parse(text)
    assert str(refused.value).startswith(f"scope {text!r}: ")
    assert reason in str(refused.value)


def test_an_unknown_effect_is_refused_with_those_that_there_are() -> None:
    """Each effect is read from its own spelling."""
    assert [Effect.parse(effect.value) for effect in Effect] == list(Effect)
    with pytest.raises(HoldParseError, match="effect 'nothing': expected one of no_failover, no_repair, "):
        Effect.parse("nothing")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("90s", 90), ("30m", 1800), ("1h", 3600), ("2d", 172800), ("1w", 604800), ("3650d", LONGEST)],
)
def test_a_length_is_a_number_with_a_unit(text: str, seconds: int) -> None:
    """The units are those of orchestrator."""
    assert parse_length(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "0s", "-1h", "1.5h", "1 h", "3651d", "9999999999s", "1y", "٣m"])
def test_a_wrong_length_is_refused(text: str) -> None:
    """A hold of no length, or of one beyond all plans, is a mistake."""
    with pytest.raises(HoldParseError, match="expected a number with s, m, h, d or w"):
        parse_length(text)


@pytest.mark.parametrize(
    ("scope", "shard", "first", "second", "elsewhere"),
    [
        ("fleet", True, True, True, True),
        ("keyspace:commerce", True, True, True, False),
        ("shard:commerce/0", True, True, True, False),
        ("cell:zone1", False, True, False, True),
        ("tablet:zone2-200", False, False, True, False),
        ("keyspace:customer", False, False, False, True),
    ],
)
def test_a_scope_covers_shards_and_tablets(
    scope: str, *, shard: bool, first: bool, second: bool, elsewhere: bool
) -> None:
    """A cell or a tablet is no shard; a shard is concerned by either if a tablet of its own is."""
    found = HoldScope.parse(scope)
    assert [found.covers(SHARD, name) for name in (None, ONE, TWO)] == [shard, first, second]
    assert found.concerns(SHARD, (ONE, TWO)) is (shard or first or second)
    assert found.concerns(OTHER, (alias("zone1-300"),)) is elsewhere


def test_a_hold_is_in_force_until_its_time_is_over() -> None:
    """One without an end stays."""
    ends, stays = hold(Effect.NO_REPAIR, expires=100), hold(Effect.NO_REPAIR)
    assert on_shard(ends, wall=99).holds == (ends,)
    assert on_shard(ends, wall=100) is NO_HOLDS
    assert on_shard(stays, wall=10**20).holds == (stays,)


@pytest.mark.parametrize(
    ("holds", "number"),
    [
        ([hold(Effect.NO_REPAIR, number=1)], None),
        ([hold(Effect.NO_FAILOVER, number=1, on="cell:zone2")], None),
        ([hold(Effect.NO_FAILOVER, number=1, on="cell:zone1")], 1),
        ([hold(Effect.NO_FAILOVER, number=1), hold(Effect.NO_FAILOVER, number=2, on="tablet:zone1-101")], 1),
        ([hold(Effect.NO_FAILOVER, number=1), hold(Effect.NO_FAILOVER, number=2)], 1),
        ([hold(Effect.NO_FAILOVER, number=1, expires=50), hold(Effect.NO_FAILOVER, number=2, expires=60)], 2),
        ([hold(Effect.NO_FAILOVER, number=1, expires=50), hold(Effect.NO_FAILOVER, number=2)], 2),
    ],
)
def test_of_several_holds_the_one_that_lasts_longest_is_told(holds: list[Hold], number: int | None) -> None:
    """An operator who lifts another one would wait in vain."""
    found = on_shard(*holds).forbidding(Effect.NO_FAILOVER, ONE)
    assert (found.number if found is not None else None) == number


@pytest.mark.parametrize(
    ("holds", "rule"),
    [
        ([], None),
        ([hold(Effect.NO_REPAIR)], None),
        ([hold(Effect.PREFER, on="tablet:zone2-200")], None),
        ([hold(Effect.PREFER, on="tablet:zone1-101")], PromotionRule.PREFER),
        ([hold(Effect.PREFER_NOT), hold(Effect.PREFER, on="cell:zone1", number=1)], PromotionRule.PREFER),
        ([hold(Effect.PREFER, number=1), hold(Effect.PREFER_NOT, number=2)], PromotionRule.PREFER_NOT),
    ],
)
def test_the_narrowest_and_then_the_latest_wish_counts(holds: list[Hold], rule: PromotionRule | None) -> None:
    """A wish about a tablet stands against one about its cell."""
    assert on_shard(*holds).wish(ONE) is rule


def test_a_hold_tells_whose_it_is_on_what_until_when_and_why() -> None:
    """The sentence is what a decision that stands still ends with."""
    lasting = hold(Effect.NO_REPAIR, Effect.NO_FAILOVER, on="shard:commerce/0")
    assert lasting.sentence == "hold 3 of ann on commerce/0 until it is lifted: a drill"
    assert lasting.effect_words == "no_failover, no_repair"
    ends = hold(Effect.NO_ALERT, on="cell:zone1", expires=1_700_000_000 * 10**9, purpose=Purpose.DOWNTIME)
    assert ends.sentence == "downtime 3 of ann on cell zone1 until 2023-11-14T22:13:20Z: a drill"
    assert hold(purpose=Purpose.SWITCH).sentence == "ann stopped all recoveries: a drill"
    until = hold(purpose=Purpose.SWITCH, expires=1_700_000_000_500_000_000)
    assert until.sentence == "ann stopped all recoveries until 2023-11-14T22:13:20Z: a drill"
    assert hold(purpose=Purpose.MAINTENANCE).effect_words == "nothing"
    of_one = on_shard(hold(Effect.NOT_PROMOTABLE, on="tablet:zone1-101"))
    assert of_one.why_not_promoted(ONE).endswith("hold 3 of ann on zone1-0000000101 until it is lifted: a drill")
    assert of_one.why_not_promoted(TWO) == ""
    assert on_shard(hold(Effect.NOT_PROMOTABLE)).why_not_promoted(TabletAlias("zone1", 101)) == (
        "is not to be promoted: hold 3 of ann on the fleet until it is lifted: a drill"
    )
