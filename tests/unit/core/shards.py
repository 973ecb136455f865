"""Shards for tests of durability arithmetic: Vitess' own example, and random ones."""

from hypothesis import strategies as st

from vtorc.core.facts.durability import POLICY_NAMES, DurabilityPolicy, Member, policy
from vtorc.core.facts.ids import TabletAlias, TabletType

P = Member(TabletAlias("zone1", 100), TabletType.PRIMARY)
R = Member(TabletAlias("zone1", 101), TabletType.REPLICA)
D = Member(TabletAlias("zone1", 102), TabletType.RDONLY)
R2 = Member(TabletAlias("zone2", 200), TabletType.REPLICA)
D2 = Member(TabletAlias("zone2", 201), TabletType.RDONLY)
VITESS_SHARD = (P, R, D, R2, D2)

# Two acknowledgements are no built-in policy, but the arithmetic is written for any number.
policies = st.one_of(
    st.sampled_from(POLICY_NAMES).map(policy),
    st.builds(
        DurabilityPolicy,
        name=st.just("two"),
        acks=st.integers(2, 3),
        ackers=st.just(frozenset((TabletType.PRIMARY, TabletType.REPLICA))),
        other_cell=st.booleans(),
    ),
)
types = st.sampled_from(
    (TabletType.PRIMARY, TabletType.REPLICA, TabletType.REPLICA, TabletType.RDONLY, TabletType.SPARE)
)
shards = st.lists(st.tuples(st.sampled_from(("zone1", "zone2", "zone3")), types), min_size=1, max_size=6).map(
    lambda tablets: tuple(Member(TabletAlias(cell, uid), kind) for uid, (cell, kind) in enumerate(tablets))
)


def aliases(*members: Member) -> frozenset[TabletAlias]:
    """Names of members."""
    return frozenset(each.alias for each in members)
