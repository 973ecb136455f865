from collections.abc import Iterator
from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.shards import D2, R2, VITESS_SHARD, D, P, R, aliases, policies, shards
from vtorc.core.election.ack_arithmetic import (
    NOTHING_SEEN,
    AckGuarantee,
    ObservedSemiSync,
    OpenQuorum,
    can_hold_unseen_ack,
    could_have_acknowledged,
    tablets_to_reach,
)
from vtorc.core.facts.durability import DurabilityPolicy, Member, PromotionRule, policy
from vtorc.core.facts.ids import TabletAlias, TabletType

Shard = tuple[Member, ...]


UNKNOWN = tuple(Member(TabletAlias("unknown", number), TabletType.UNKNOWN) for number in (1, 2))
"""Servers without a tablet record, which are no members and are never reached."""


def subsets(members: Shard) -> Iterator[Shard]:
    return chain.from_iterable(combinations(members, size) for size in range(len(members) + 1))


def possible_primaries(chosen: DurabilityPolicy, primary: Member | None, members: Shard) -> list[Member]:
    if primary is not None:
        return [primary]
    return [each for each in members if chosen.promotion_rule(each) is not PromotionRule.MUST_NOT]


def ways_to_commit(
    chosen: DurabilityPolicy, primary: Member | None, members: Shard, seen: ObservedSemiSync = NOTHING_SEEN
) -> list[tuple[Member, Shard]]:
    """Every set of holders that a committed write may have: its primary, with every set of receivers that is enough."""
    ways: list[tuple[Member, Shard]] = []
    for suspect in possible_primaries(chosen, primary, members):
        needed = chosen.required_acks(suspect)
        if suspect.alias in seen.wait_counts:
            needed = min(needed, seen.wait_counts[suspect.alias])
        unknown = UNKNOWN[: seen.unknown_ackers.get(suspect.alias, 0)]
        for receivers in subsets((*members, *unknown)):
            counted = [
                each
                for each in receivers
                if each in unknown
                or (each.alias != suspect.alias and (chosen.may_ack(suspect, each) or each.alias in seen.past_ackers))
            ]
            if len(counted) >= needed:
                ways.append((suspect, (suspect, *receivers)))
    return ways


@st.composite
def situations(
    draw: st.DrawFn,
) -> tuple[DurabilityPolicy, Member | None, Shard, frozenset[TabletAlias], ObservedSemiSync]:
    members = draw(shards)
    ghost = Member(TabletAlias("zone1", 99), TabletType.PRIMARY)
    primary = draw(st.sampled_from((None, ghost, *members)))
    reached = draw(st.frozensets(st.sampled_from(members)))
    seen = ObservedSemiSync(
        wait_counts=draw(
            st.dictionaries(st.sampled_from([each.alias for each in (*members, ghost)]), st.integers(0, 3))
        ),
        past_ackers=draw(st.frozensets(st.sampled_from([each.alias for each in members]), max_size=2)),
        unknown_ackers=draw(
            st.dictionaries(
                st.sampled_from([each.alias for each in (*members, ghost)]),
                st.integers(0, len(UNKNOWN)),
                max_size=2,
            )
        ),
    )
    return draw(policies), primary, members, aliases(*reached), seen


Situation = tuple[DurabilityPolicy, Member | None, Shard, frozenset[TabletAlias], ObservedSemiSync]


@given(situations())
def test_revoked_means_that_no_way_to_commit_avoids_the_reached(situation: Situation) -> None:
    """A write can still be committed exactly if some possible primary and enough receivers were all not reached."""
    chosen, primary, members, reached, seen = situation
    result = could_have_acknowledged(chosen, primary, members=members, reached=reached, seen=seen)
    ways = ways_to_commit(chosen, primary, members, seen)
    free = [suspect for suspect, holders in ways if not aliases(*holders) & reached]
    assert {each.primary for each in result.open} == set(free)
    assert result.is_revoked == (bool(possible_primaries(chosen, primary, members)) and not free)


@given(situations())
def test_ack_sets_are_those_that_can_commit_unseen(situation: Situation) -> None:
    """Any `acks` of an open quorum's ackers, with its primary, can commit a write, and one fewer cannot."""
    chosen, primary, members, reached, seen = situation
    ways = {(s, aliases(*h)) for s, h in ways_to_commit(chosen, primary, members, seen)}
    for quorum in could_have_acknowledged(chosen, primary, members=members, reached=reached, seen=seen).open:
        for ack_set in combinations((*quorum.ackers, *UNKNOWN[: quorum.unknown]), quorum.acks):
            assert not aliases(quorum.primary, *ack_set) & reached
            assert (quorum.primary, aliases(quorum.primary, *ack_set)) in ways
            assert (quorum.primary, aliases(quorum.primary, *ack_set[1:])) not in ways or quorum.acks == 0


@given(situations())
def test_guarantee_agrees_with_every_way_a_write_was_committed(situation: Situation) -> None:
    """The reached hold every acknowledged write exactly if every way to commit includes one of them."""
    chosen, primary, members, reached, seen = situation
    guarantee = can_hold_unseen_ack(chosen, primary, members=members, reached=reached, seen=seen)
    ways = ways_to_commit(chosen, primary, members, seen)
    unseen = [(suspect, holders) for suspect, holders in ways if not aliases(*holders) & reached]
    alone = any(len(holders) == 1 for _, holders in unseen)
    if alone or not possible_primaries(chosen, primary, members):
        assert guarantee is AckGuarantee.NONE
    elif unseen:
        assert guarantee is AckGuarantee.OPEN
    else:
        assert guarantee in (AckGuarantee.PROVEN, AckGuarantee.ASSUMED)


@given(situations())
def test_whoever_must_be_reached_closes_everything(situation: Situation) -> None:
    """Reaching more members ends the danger exactly if they meet the requirements, whichever they are."""
    chosen, primary, members, reached, seen = situation
    must = tablets_to_reach(chosen, primary, members=members, reached=reached, seen=seen)
    everybody = members if primary is None or primary in members else (*members, primary)
    for more in subsets(everybody):
        after = could_have_acknowledged(chosen, primary, members=members, reached=reached | aliases(*more), seen=seen)
        assert must.is_met_by(aliases(*more)) == (not after.open)
    assert bool(must) == bool(
        could_have_acknowledged(chosen, primary, members=members, reached=reached, seen=seen).open
    )


@pytest.mark.parametrize(
    ("name", "reached", "revoked"),
    [
        ("none", (R, D, R2, D2), False),
        ("none", (P, R, R2), True),
        ("none", (P, D, R2, D2), False),
        ("semi_sync", (R, R2), True),
        ("semi_sync", (R, D, R2), True),
        ("semi_sync", (R, D, D2), False),
        ("semi_sync", (P, D, D2), False),
        ("cross_cell", (R2,), True),
        ("cross_cell", (P, D, D2), False),
        ("cross_cell", (P, R), True),
        ("semi_sync_with_rdonly_ack", (R, R2), False),
        ("semi_sync_with_rdonly_ack", (R, D, R2, D2), True),
        ("cross_cell_with_rdonly_ack", (R2,), False),
        ("cross_cell_with_rdonly_ack", (R2, D2), True),
    ],
)
def test_revocation_with_unknown_primary_is_that_of_vitess(name: str, reached: Shard, revoked: bool) -> None:
    """With every promotable tablet a suspect the answers are those of Vitess' haveRevoked."""
    result = could_have_acknowledged(policy(name), None, members=VITESS_SHARD, reached=aliases(*reached))
    assert result.is_revoked is revoked


@pytest.mark.parametrize(
    ("name", "primary", "reached", "seen", "expected"),
    [
        ("semi_sync", P, (R, R2), {P.alias: 1}, AckGuarantee.PROVEN),
        ("semi_sync", P, (R, R2), {}, AckGuarantee.ASSUMED),
        ("semi_sync", P, (R, R2), {P.alias: 0}, AckGuarantee.NONE),
        ("semi_sync", P, (R,), {P.alias: 1}, AckGuarantee.OPEN),
        ("semi_sync", P, (P,), {}, AckGuarantee.PROVEN),
        ("semi_sync", P, (R, R2), {P.alias: 2}, AckGuarantee.PROVEN),
        ("none", P, (R, D, R2, D2), {}, AckGuarantee.NONE),
        ("none", P, (R, D, R2, D2), {P.alias: 1}, AckGuarantee.NONE),
        ("none", P, (P,), {}, AckGuarantee.PROVEN),
        ("none", None, (P, R, R2), {}, AckGuarantee.PROVEN),
        ("none", None, (R, R2), {}, AckGuarantee.NONE),
        ("cross_cell", P, (R2,), {P.alias: 1}, AckGuarantee.PROVEN),
        ("cross_cell", P, (R, D, D2), {P.alias: 1}, AckGuarantee.OPEN),
        ("semi_sync", None, (R, R2), {}, AckGuarantee.ASSUMED),
    ],
)
def test_guarantee_says_how_far_it_can_be_trusted(
    name: str, primary: Member | None, reached: Shard, seen: dict[TabletAlias, int], expected: AckGuarantee
) -> None:
    """Seen semi-sync proves, unseen semi-sync is assumed, and a primary that waits for nobody guarantees nothing."""
    guarantee = can_hold_unseen_ack(
        policy(name), primary, members=VITESS_SHARD, reached=aliases(*reached), seen=ObservedSemiSync(wait_counts=seen)
    )
    assert guarantee is expected


def test_a_stray_acker_counts_as_mysql_counts_it() -> None:
    """A replica that has semi-sync on against the policy may have given the only acknowledgement."""
    stray = ObservedSemiSync(past_ackers=frozenset((R.alias,)))
    reached = aliases(R2)
    assert can_hold_unseen_ack(policy("cross_cell"), P, members=VITESS_SHARD, reached=reached) is AckGuarantee.ASSUMED
    assert (
        can_hold_unseen_ack(policy("cross_cell"), P, members=VITESS_SHARD, reached=reached, seen=stray)
        is AckGuarantee.OPEN
    )


def test_without_a_suspect_nothing_is_concluded() -> None:
    """When no member can have been the primary, it was somebody unknown: nothing is revoked and nothing guaranteed."""
    result = could_have_acknowledged(policy("semi_sync"), None, members=(D, D2), reached=aliases(D, D2))
    assert not result.is_revoked
    assert (
        str(result) == "no tablet of the shard can have been the primary, so the server whose writes to stop is unknown"
    )
    guarantee = can_hold_unseen_ack(policy("semi_sync"), None, members=(D, D2), reached=aliases(D, D2))
    assert guarantee is AckGuarantee.NONE


@pytest.mark.parametrize(
    ("name", "primary", "reached", "sentence"),
    [
        ("semi_sync", P, (R, R2), "none"),
        ("semi_sync", P, (R,), "one of zone1-0000000100, zone2-0000000200"),
        ("semi_sync", P, (), "zone1-0000000100, or all of zone1-0000000101, zone2-0000000200"),
        ("cross_cell", P, (R,), "one of zone1-0000000100, zone2-0000000200"),
        ("none", P, (R,), "zone1-0000000100"),
        ("semi_sync", None, (R,), "one of zone1-0000000100, zone2-0000000200"),
        ("semi_sync", None, (), "2 of zone1-0000000100, zone1-0000000101, zone2-0000000200"),
        ("none", None, (R,), "zone1-0000000100; and zone2-0000000200"),
        (
            "cross_cell",
            None,
            (),
            "one of zone1-0000000100, zone2-0000000200; and one of zone1-0000000101, zone2-0000000200; and "
            "zone2-0000000200, or all of zone1-0000000100, zone1-0000000101",
        ),
    ],
)
def test_tablets_to_reach_reads_as_part_of_a_sentence(
    name: str, primary: Member | None, reached: Shard, sentence: str
) -> None:
    """What is missing is named with its alternatives."""
    must = tablets_to_reach(policy(name), primary, members=VITESS_SHARD, reached=aliases(*reached))
    assert str(must) == sentence


def test_of_suspects_that_ack_each_other_as_many_may_be_missing_as_acks_are_asked() -> None:
    """With two acks, four tablets and nobody known to be primary, two tablets have to be reached, whichever."""
    members = tuple(Member(TabletAlias("zone1", uid), TabletType.REPLICA) for uid in range(1, 5))
    two = DurabilityPolicy(name="two", acks=2, ackers=frozenset((TabletType.REPLICA,)))
    must = tablets_to_reach(two, None, members=members, reached=())
    assert str(must) == "2 of zone1-0000000001, zone1-0000000002, zone1-0000000003, zone1-0000000004"
    for size, revoked in ((1, False), (2, True), (3, True)):
        for reached in combinations(members, size):
            result = could_have_acknowledged(two, None, members=members, reached=aliases(*reached))
            assert result.is_revoked is revoked
            assert must.is_met_by(aliases(*reached)) is revoked


def test_a_revocation_reads_as_a_sentence() -> None:
    """It says who can still commit with whose help, or that nobody can."""
    shown = could_have_acknowledged(policy("semi_sync"), P, members=VITESS_SHARD, reached=aliases(R))
    assert str(shown) == "writes can still be committed on zone1-0000000100, acknowledged by zone2-0000000200"
    shown = could_have_acknowledged(policy("none"), P, members=VITESS_SHARD, reached=aliases(R))
    assert str(shown) == "writes can still be committed on zone1-0000000100, which waits for no acknowledgement"
    shown = could_have_acknowledged(policy("semi_sync"), P, members=VITESS_SHARD, reached=aliases(R, R2))
    assert str(shown) == "zone1-0000000100 can no longer commit"


def test_a_primary_whose_record_is_gone_is_still_reasoned_about() -> None:
    """The last primary need not be a member: its ackers are."""
    gone = Member(TabletAlias("zone1", 7), TabletType.PRIMARY)
    members = (R, R2)
    assert could_have_acknowledged(policy("semi_sync"), gone, members=members, reached=aliases(R, R2)).is_revoked
    must = tablets_to_reach(policy("semi_sync"), gone, members=members, reached=aliases(R))
    assert str(must) == "one of zone1-0000000007, zone2-0000000200"


@pytest.mark.parametrize(
    ("reached", "unknown", "text", "must"),
    [
        ((R, R2), 1, "zone1-100, acknowledged by a server without a tablet record", "zone1-100"),
        ((R, R2), 2, "zone1-100, acknowledged by 2 servers without a tablet record", "zone1-100"),
        ((R,), 1, "zone1-100, acknowledged by one of zone2-200 and a server without a tablet record", "zone1-100"),
    ],
)
def test_only_the_primary_itself_excludes_the_acks_of_an_unknown_server(
    reached: Shard, unknown: int, text: str, must: str
) -> None:
    """No count of reached tablets revokes a primary that counts as many unknown ackers as it needs."""
    seen = ObservedSemiSync(wait_counts={P.alias: 1}, unknown_ackers={P.alias: unknown})
    chosen, stopped = policy("semi_sync"), aliases(*reached)
    result = could_have_acknowledged(chosen, P, members=VITESS_SHARD, reached=stopped, seen=seen)
    short = str(result).replace("zone1-0000000100", "zone1-100").replace("zone2-0000000200", "zone2-200")
    assert short == f"writes can still be committed on {text}"
    assert can_hold_unseen_ack(chosen, P, members=VITESS_SHARD, reached=stopped, seen=seen) is AckGuarantee.OPEN
    needed = tablets_to_reach(chosen, P, members=VITESS_SHARD, reached=stopped, seen=seen)
    assert str(needed).replace("zone1-0000000100", "zone1-100") == must
    assert could_have_acknowledged(chosen, P, members=VITESS_SHARD, reached=stopped | aliases(P), seen=seen).is_revoked


def test_with_two_acks_needed_one_unknown_server_leaves_room_for_one_acker_less() -> None:
    """An unknown acker counts like a member that is never reached."""
    two = DurabilityPolicy(name="two", acks=2, ackers=frozenset({TabletType.REPLICA}))
    seen = ObservedSemiSync(wait_counts={P.alias: 2}, unknown_ackers={P.alias: 1})
    members = (P, R, R2)
    assert not could_have_acknowledged(two, P, members=members, reached=aliases(R), seen=seen).is_revoked
    assert could_have_acknowledged(two, P, members=members, reached=aliases(R, R2), seen=seen).is_revoked
    assert could_have_acknowledged(two, P, members=members, reached=aliases(R)).is_revoked


@pytest.mark.parametrize(
    ("waits_for", "quorum"),
    [(0, OpenQuorum(P, 0, (), 0, 10.0)), (1, OpenQuorum(P, 1, (R, R2), 2, None))],
)
def test_a_primary_that_waits_for_none_needs_no_ackers(waits_for: int, quorum: OpenQuorum) -> None:
    """Its ackers are named only where they matter, and its timeout only where it is why it waits for none."""
    seen = ObservedSemiSync(wait_counts={P.alias: waits_for}, ack_timeouts={P.alias: 10.0}, unknown_ackers={P.alias: 2})
    assert could_have_acknowledged(
        policy("semi_sync"), P, members=VITESS_SHARD, reached=frozenset(), seen=seen
    ).open == (quorum,)


def test_a_primary_without_unknown_ackers_has_none() -> None:
    """Only those count that were counted."""
    open_ = could_have_acknowledged(policy("none"), P, members=(P, R), reached=frozenset()).open
    assert open_ == (OpenQuorum(P, 0, (), 0, None),)
