"""Random histories of a shard: writes, acknowledgements, replication that lags, failovers, errant writes.

A model of MySQL just rich enough to say which writes were acknowledged and who holds them. It knows the truth, an
election only what the tablets that it reached tell.
"""

from dataclasses import dataclass, field

from hypothesis import strategies as st

from tests.unit.core.builders import uuid
from vtorc.core.election.candidates import CandidateSet, StoppedTablet
from vtorc.core.facts.durability import DurabilityPolicy, Member, PromotionRule
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType

Write = tuple[int, int]
"""Number of the server and of its transaction."""

CELLS = ("zone1", "zone2", "zone3")


@dataclass(slots=True)
class Server:
    """One MySQL: `binlog` is what it executed, in order; `relay` what waits to be."""

    member: Member
    source: "Server | None"
    binlog: list[Write] = field(default_factory=list)
    relay: list[Write] = field(default_factory=list)
    written: int = 0

    @property
    def number(self) -> int:
        return self.member.alias.uid

    @property
    def held(self) -> set[Write]:
        return {*self.binlog, *self.relay}

    def write(self) -> Write:
        """Commit a transaction of its own."""
        self.written += 1
        made = (self.number, self.written)
        self.binlog.append(made)
        return made

    def receive(self, count: int) -> None:
        """Fetch so many of the source's transactions that it lacks, in the order of the source's binary log."""
        if self.source is not None:
            held = self.held
            self.relay += [each for each in self.source.binlog if each not in held][:count]

    def apply(self, count: int) -> None:
        """Execute so much of the relay log."""
        self.binlog += self.relay[:count]
        del self.relay[:count]


class World:
    """A shard with its first primary, which has written once."""

    def __init__(self, policy: DurabilityPolicy, members: list[Member]) -> None:
        self.policy = policy
        self.servers = [Server(member, None) for member in members]
        self.acknowledged: set[Write] = set()
        self.seen: set[Write] | None = None
        self.former: list[Server] = []
        self.primary = self.servers[0]
        for server in self.servers[1:]:
            server.source = self.primary
        self.primary.write()

    def settle(self) -> None:
        """Acknowledge what enough ackers have received, in the order of the primary's binary log."""
        needed = self.policy.required_acks(self.primary.member)
        ackers = [each for each in self.servers if self.policy.may_ack(self.primary.member, each.member)]
        held = [(acker.source is self.primary, acker.held) for acker in ackers]
        for write in self.primary.binlog:
            if sum(connected and write in holds for connected, holds in held) < needed:
                return
            self.acknowledged.add(write)

    def look(self) -> None:
        """See the primary's status: a transaction is in gtid_executed once it is acknowledged, its own at least."""
        waiting = {w for w in self.primary.binlog if w[0] == self.primary.number and w not in self.acknowledged}
        self.seen = set(self.primary.binlog) - waiting

    def fail_over(self, winner: Server, *, row: bool, follow: list[Server], old: str) -> None:
        """Replace the primary by one that has everything acknowledged; `old` is what becomes of the former one.

        With `row` it begins its term with a write, as the reparent journal has one.
        """
        former = self.primary
        self.former.append(former)
        winner.apply(len(winner.relay))
        winner.source = None
        self.primary = winner
        self.seen = None
        for server in self.servers:
            moves = server in follow or (server is former and old == "follows")
            if server is not winner and moves and set(server.relay) <= set(winner.binlog):
                # Re-pointing drops a relay log, so it is applied first: else the next disaster could find it nowhere.
                server.apply(len(server.relay))
                server.source = winner
        if row:
            winner.write()

    def candidates(self, reached: list[Server], *, named: TabletAlias | None) -> CandidateSet:
        """What an election would know after stopping these."""
        known = gtid_set(self.seen or ())
        return CandidateSet(
            members=[each.member for each in self.servers if named is not None or each is not self.primary],
            stopped={each.member.alias: self._stopped(each) for each in reached},
            primary=named,
            primary_uuids=frozenset() if named is None else frozenset({uuid(named.uid)}),
            former_uuids=frozenset(uuid(each.number) for each in self.former if each.member.alias != named),
            primary_executed=known,
            primary_committed=known if self.policy.has_semi_sync else EMPTY_GTID_SET,
        )

    def _stopped(self, server: Server) -> StoppedTablet:
        return StoppedTablet(
            member=server.member,
            server_uuid=uuid(server.number),
            executed=gtid_set(server.binlog),
            received=gtid_set(server.held),
            source_uuid=uuid(server.source.number) if server.source is not None else "",
            was_primary=server.source is None,
        )


def gtid_set(writes: "set[Write] | list[Write] | tuple[Write, ...]") -> GtidSet:
    """Writes as MySQL names them."""
    intervals: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for server, number in writes:
        intervals.setdefault((uuid(server), ""), []).append((number, number))
    return GtidSet.from_intervals(intervals)


def shards_of(draw: st.DrawFn) -> list[Member]:
    """Three to five tablets in up to three cells; the first is the primary."""
    cells = st.sampled_from(CELLS[: draw(st.integers(1, 3))])
    kinds = st.sampled_from([TabletType.REPLICA] * 3 + [TabletType.RDONLY])
    size = draw(st.integers(3, 5))
    types = [TabletType.PRIMARY, *(draw(kinds) for _ in range(size - 1))]
    return [Member(TabletAlias(draw(cells), 100 + index), kind) for index, kind in enumerate(types)]


def live(draw: st.DrawFn, world: World, *, errant: bool) -> None:
    """Let something happen for a while."""
    steps = ["write", "receive", "receive", "apply", "look"] + (["errant"] if errant else [])
    for step in draw(st.lists(st.sampled_from(steps), max_size=14)):
        server = draw(st.sampled_from(world.servers))
        match step:
            case "write":
                world.primary.write()
            case "receive" if server is not world.primary:
                server.receive(draw(st.integers(1, 4)))
            case "apply" if server is not world.primary:
                server.apply(draw(st.integers(1, 4)))
            case "errant" if server is not world.primary:
                server.write()
            case "look":
                world.look()
        world.settle()


def change_primary(draw: st.DrawFn, world: World) -> bool:
    """Fail over to somebody who may be primary and has everything acknowledged, if there is one."""
    fit = [
        each
        for each in world.servers
        if each is not world.primary
        and world.policy.promotion_rule(each.member) is not PromotionRule.MUST_NOT
        and world.acknowledged <= each.held
    ]
    if not fit:
        return False
    follow = [each for each in world.servers if each is not world.primary and draw(st.integers(0, 3))]
    world.fail_over(
        draw(st.sampled_from(fit)),
        row=bool(draw(st.integers(0, 3))),
        follow=follow,
        old=draw(st.sampled_from(("stays", "follows"))),
    )
    world.settle()
    return True
