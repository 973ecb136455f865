"""The parts of vtorcs in the shards that they share."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from vtorc.control.scope import Scope
from vtorc.control.shares import Part, SharingVtorc, order_for, part_of
from vtorc.core.facts.ids import ShardId

_NAMES = st.lists(st.text("abcdef:0123", min_size=1, max_size=8), min_size=1, max_size=6, unique=True)
_SHARDS = st.builds(ShardId, st.sampled_from(["commerce", "customer"]), st.sampled_from(["0", "-80", "80-"]))


def _vtorc(name: str, *watched: str, acts: bool = True) -> SharingVtorc:
    return SharingVtorc(name=name, scope=Scope.parse(watched), acts=acts)


@given(_NAMES, _SHARDS)
def test_each_shard_has_one_first_vtorc_and_one_stand_in(names: list[str], shard: ShardId) -> None:
    """Of all vtorcs exactly one is the first in a shard, and exactly one its stand-in if there are two or more."""
    vtorcs = [_vtorc(name) for name in names]
    parts = Counter(part_of(name, shard, vtorcs) for name in names)
    assert parts[Part.FIRST] == 1
    assert parts[Part.STAND_IN] == min(1, len(names) - 1)


@given(_NAMES, _SHARDS)
def test_the_order_is_the_same_whichever_way_round_vtorcs_are_read(names: list[str], shard: ShardId) -> None:
    """Each vtorc comes to the same answer, in whatever order it has read the records."""
    vtorcs = [_vtorc(name) for name in names]
    assert order_for(shard, vtorcs) == order_for(shard, reversed(vtorcs))


@given(_NAMES, _SHARDS)
def test_a_stand_in_takes_over_what_the_first_one_leaves(names: list[str], shard: ShardId) -> None:
    """When the first vtorc of a shard goes, its stand-in is the first, and no other order changes."""
    vtorcs = [_vtorc(name) for name in names]
    first, *rest = order_for(shard, vtorcs)
    assert order_for(shard, [each for each in vtorcs if each.name != first]) == tuple(rest)


def test_the_shards_are_spread_evenly() -> None:
    """Each of three vtorcs is the first in about a third of the shards."""
    vtorcs = [_vtorc(name) for name in ("one:16000", "two:16000", "three:16000")]
    counts = Counter(order_for(ShardId("commerce", f"{n:04x}-{n + 1:04x}"), vtorcs)[0] for n in range(1, 3001))
    assert all(800 < counts[each.name] < 1200 for each in vtorcs)


def test_vtorcs_of_all_versions_have_the_same_order() -> None:
    """During an upgrade old and new ones share the shards: another order would have two of them be the first."""
    vtorcs = [_vtorc(name) for name in ("one:16000", "two:16000", "three:16000")]
    firsts = [order_for(ShardId("commerce", name), vtorcs) for name in ("0", "-80")]
    assert firsts == [("three:16000", "two:16000", "one:16000"), ("two:16000", "one:16000", "three:16000")]


def test_a_vtorc_has_a_part_only_in_shards_that_it_acts_on() -> None:
    """A vtorc that leaves a keyspace out, or whose recoveries are not allowed, leaves the shard to the others."""
    shard = ShardId("commerce", "0")
    vtorcs = [_vtorc("one", "commerce"), _vtorc("two", "customer"), _vtorc("three", acts=False)]
    assert order_for(shard, vtorcs) == ("one",)


def test_a_shard_that_no_vtorc_acts_on_is_watched_all_the_same() -> None:
    """Filters limit what vtorcs act on, and not what they see."""
    shard = ShardId("commerce", "0")
    vtorcs = [_vtorc("one", "customer"), _vtorc("two", acts=False)]
    assert set(order_for(shard, vtorcs)) == {"one", "two"}
