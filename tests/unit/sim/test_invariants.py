import asyncio
from collections.abc import Awaitable, Callable

from tests.unit.sim.servers import Servers, play, until
from vtorc.core.facts.ids import ShardId
from vtorc.sim.checks.invariants import LOOP_CALLS, Checker, ShardLedger
from vtorc.sim.checks.untold import TOLD_WITHIN
from vtorc.sim.engine.loop import current_loop
from vtorc.sim.engine.trace import Trace
from vtorc.sim.mysql.binlog import InsertRow
from vtorc.sim.mysql.server import SimMysqld
from vtorc.vttablet.mysql_api import Source

SHARD = ShardId("commerce", "0")


class Watched:
    """Servers, semi-sync replicas of the first, under a checker."""

    def __init__(self, servers: Servers, *, requires_acks: bool) -> None:
        self.servers = servers
        self.checker = Checker(Trace(current_loop().time), current_loop().time)
        self.ledger = ShardLedger(SHARD, requires_acks=requires_acks, checker=self.checker)
        for server in servers.all:
            self.checker.watch(self.ledger, server)
            server.observer = self.checker

    async def write(self, number: int) -> None:
        """Write a row as a client, which gets OK."""
        self.ledger.acknowledged(self.servers.all[number], await self.servers.write(number))

    @property
    def rules(self) -> list[str]:
        """The violated rules."""
        return [violation.rule for violation in self.checker.violations]


def watch(main: Callable[[Watched], Awaitable[None]], *, requires_acks: bool = True, count: int = 3) -> None:
    async def start(servers: Servers) -> None:
        watched = Watched(servers, requires_acks=requires_acks)
        await servers.replicate()
        await main(watched)

    play(start, count=count)


async def _promote(servers: Servers, number: int) -> None:
    await servers.admins[number].stop_replication()
    await servers.admins[number].reset_replica(forget_source=True)
    await servers.admins[number].set_semi_sync(primary=True, replica=True)
    await servers.admins[number].set_read_only(False)


async def _hand_over(watched: Watched) -> None:
    """Write to the first server, make it read-only, and promote the second once it has everything."""
    servers = watched.servers
    await watched.write(0)
    await servers.admins[0].set_super_read_only(True)
    await until(lambda: servers.executed(1) == servers.executed(0))
    await _promote(servers, 1)


def test_an_orderly_change_of_primary_violates_nothing() -> None:
    """Demote, catch up, promote, re-point: no rule is broken, and the checker knows which server takes writes."""

    async def main(watched: Watched) -> None:
        servers = watched.servers
        await _hand_over(watched)
        await servers.point(2, 1)
        await watched.write(1)
        assert watched.rules == []
        assert watched.ledger.committer is servers.all[1]

    watch(main)


def test_a_write_from_before_a_change_by_hand_makes_its_server_the_one_that_takes_writes() -> None:
    """A commit that waits for its acknowledgement when an operator's change begins is a new primary's first."""

    async def main(watched: Watched) -> None:
        servers = watched.servers
        await _hand_over(watched)
        writing = asyncio.create_task(watched.write(1))
        await until(lambda: servers.all[1].acks.sessions > 0)
        watched.checker.by_hand.add(servers.all[1].uuid)
        watched.checker.being_changed.append(servers.all[1].uuid)
        await servers.point(2, 1)
        await writing
        assert watched.rules == []
        assert watched.ledger.committer is servers.all[1]

    watch(main)


def test_a_new_primary_without_an_acknowledged_write_is_found() -> None:
    """Promoting a server that has not received what was acknowledged breaks a rule at its first write."""

    async def main(watched: Watched) -> None:
        servers = watched.servers
        await servers.stop_io(1)
        await watched.write(0)
        servers.all[0].process.crash()
        await _promote(servers, 1)
        await servers.point(2, 1)
        await watched.write(1)
        assert watched.rules == ["acknowledged-write-lost"]

    watch(main)


def test_a_row_that_is_gone_is_found_although_its_gtid_is_there() -> None:
    """A new primary whose GTID set claims an acknowledged write, but that lacks its row, breaks a rule."""

    async def main(watched: Watched) -> None:
        servers = watched.servers
        await _hand_over(watched)
        servers.all[1].tables.rows.clear()
        await servers.point(2, 1)
        await watched.write(1)
        assert watched.rules == ["acknowledged-write-lost"]

    watch(main)


def test_without_required_acknowledgements_a_loss_is_no_violation() -> None:
    """Under a policy that asks for no acknowledgements a lost write is the policy's own risk."""

    async def main(watched: Watched) -> None:
        servers = watched.servers
        await servers.stop_io(1)
        await watched.write(0)
        servers.all[0].process.crash()
        await _promote(servers, 1)
        await servers.point(2, 1)
        await watched.write(1)
        assert watched.rules == []
        assert watched.ledger.lost_on(servers.all[1])

    watch(main, requires_acks=False)


def test_two_servers_with_an_acker_each_are_found() -> None:
    """The old primary keeps one replica, the new one gets the other: both could have writes acknowledged."""

    async def main(watched: Watched) -> None:
        servers = watched.servers
        await _promote(servers, 1)
        assert watched.rules == []
        await servers.point(3, 1)
        await until(lambda: servers.all[1].dumps.of(servers.all[3].uuid) is not None)
        assert watched.rules == ["two-writable"]

    watch(main, count=4)


def test_a_server_changed_by_hand_is_excused_until_it_is_read_only() -> None:
    """A server that an operator makes writable is not counted; once it is read-only again, it is."""

    async def main(watched: Watched) -> None:
        servers = watched.servers
        watched.checker.by_hand.add(servers.all[1].uuid)
        await servers.admins[1].set_read_only(False)
        assert watched.rules == []
        await servers.admins[1].set_super_read_only(True)
        assert watched.checker.by_hand == set()
        await servers.admins[1].set_read_only(False)
        assert watched.rules == ["two-writable"]

    watch(main)


async def _replace_under_none(watched: Watched) -> SimMysqld:
    """Replace the first server under a policy without acknowledgements, and change that; returns the first server.

    The second one takes the writes now and waits for the third. The first was not told of anything.
    """
    servers = watched.servers
    first = servers.all[0]
    await servers.admins[0].set_semi_sync(primary=False, replica=False)
    watched.ledger.policy_changed(requires_acks=True)
    await _promote(servers, 1)
    await servers.point(2, 1)
    await watched.write(1)
    return first


def test_a_primary_that_could_not_be_told_of_a_policy_is_excused_until_it_could() -> None:
    """A primary replaced under `none` breaks a rule once a vtorc could have changed it for long enough, in one go."""

    async def main(watched: Watched) -> None:
        first, untold = await _replace_under_none(watched), watched.ledger.untold
        await first.write(InsertRow(999))
        assert watched.rules == []
        for second in range(3 * int(TOLD_WITHIN)):
            assert not untold.looked(first, in_reach=second % 5 != 4, now=float(second))
        moments = (100.0, 100.0 + TOLD_WITHIN)
        assert [untold.looked(first, in_reach=True, now=now) for now in moments] == [False, True]
        watched.checker.writability_changed(first)
        assert watched.rules == ["two-writable"]
        await first.write(InsertRow(1000))
        assert watched.rules[1:] == ["acknowledged-write-lost"]

    watch(main, requires_acks=False)


def test_a_primary_that_was_told_of_a_policy_is_not_excused_again() -> None:
    """Once it was read-only, an old primary that takes writes again without waiting breaks the rule at once."""

    async def main(watched: Watched) -> None:
        await _replace_under_none(watched)
        await watched.servers.admins[0].set_super_read_only(True)
        assert watched.rules == []
        await watched.servers.admins[0].set_read_only(False)
        assert watched.rules == ["two-writable"]

    watch(main, requires_acks=False)


def test_a_server_that_becomes_writable_after_a_policy_began_is_not_excused() -> None:
    """Whatever takes writes without waiting only since the policy was set was bound by it from its beginning."""

    async def main(watched: Watched) -> None:
        servers = watched.servers
        await servers.admins[0].set_semi_sync(primary=False, replica=False)
        watched.ledger.policy_changed(requires_acks=True)
        await servers.admins[3].set_semi_sync(primary=False, replica=False)
        await servers.admins[3].set_read_only(False)
        await _promote(servers, 1)
        await servers.point(2, 1)
        await watched.write(1)
        watched.checker.writability_changed(servers.all[1])
        assert watched.rules == ["two-writable"]

    watch(main, requires_acks=False, count=4)


def test_dropping_the_last_copy_of_an_acknowledged_write_is_found() -> None:
    """A replica that alone holds an acknowledged write, unapplied, must not be re-pointed."""

    async def main(watched: Watched) -> None:
        servers = watched.servers
        servers.all[1].replication.applier.broken = True
        await servers.stop_io(2)
        await watched.write(0)
        await until(lambda: bool(servers.all[1].replication.relay))
        await servers.admins[1].stop_replication()
        servers.all[0].process.crash()
        await servers.admins[1].change_source(Source(host="m2", port=3306))
        assert watched.rules == ["last-copy-discarded"]

    watch(main)


def test_dropping_a_copy_of_several_is_no_violation() -> None:
    """A relay log may be dropped while another live server has its transactions; and a crash is no decision."""

    async def main(watched: Watched) -> None:
        servers = watched.servers
        servers.all[1].replication.applier.broken = True
        await watched.write(0)
        await until(lambda: bool(servers.all[1].replication.relay))
        await servers.admins[1].stop_replication()
        await servers.admins[1].change_source(Source(host="m2", port=3306))
        servers.all[2].process.crash()
        servers.all[2].start()
        assert watched.rules == []

    watch(main)


def test_a_wiped_history_is_found() -> None:
    """RESET BINARY LOGS AND GTIDS on a tablet of the shard is a violation, unless an operator did it."""

    async def main(watched: Watched) -> None:
        await watched.servers.admins[1].reset_binary_logs()
        assert watched.rules == ["history-wiped"]
        watched.checker.by_hand.add(watched.servers.all[2].uuid)
        await watched.servers.admins[2].reset_binary_logs()
        assert watched.rules == ["history-wiped"]

    watch(main)


def test_a_change_without_the_lock_is_found() -> None:
    """A call that changes a tablet needs the lock, or a very recent confirmation of it."""

    async def main(watched: Watched) -> None:
        send = watched.checker.change_sent
        send("vtorc-1", "a tablet", SHARD, "PromoteReplica", lock_age=None)
        send("vtorc-1", "a tablet", SHARD, "PromoteReplica", lock_age=0.1)
        assert watched.rules == []
        send("vtorc-1", "a tablet", SHARD, "PromoteReplica", lock_age=30.0)
        assert watched.rules == ["no-lock"]

    watch(main)


def test_a_repair_loop_is_found_unless_it_was_escalated() -> None:
    """The same call to the same tablet again and again breaks a rule, but not once an operator was told of it."""

    async def main(watched: Watched) -> None:
        for _ in range(LOOP_CALLS):
            watched.checker.change_sent("vtorc-1", "a tablet", SHARD, "StartReplication", lock_age=None)
            await asyncio.sleep(1.0)
        assert watched.rules == ["repair-loop"]
        watched.checker.escalated(SHARD, True)
        for _ in range(LOOP_CALLS):
            watched.checker.change_sent("vtorc-1", "a tablet", SHARD, "StartReplication", lock_age=None)
        assert watched.rules == ["repair-loop"] * 2
        watched.checker.escalated(SHARD, False)
        for _ in range(LOOP_CALLS):
            watched.checker.change_sent("vtorc-1", "a tablet", SHARD, "StartReplication", lock_age=None)
        assert watched.rules == ["repair-loop"] * 2

    watch(main)


def test_calls_with_long_pauses_are_no_loop() -> None:
    """The same call now and then is ordinary work."""

    async def main(watched: Watched) -> None:
        for _ in range(2 * LOOP_CALLS):
            watched.checker.change_sent("vtorc-1", "a tablet", SHARD, "StartReplication", lock_age=None)
            await asyncio.sleep(60.0)
        assert watched.rules == []

    watch(main)


def test_the_late_end_of_an_old_commit_is_no_second_primary() -> None:
    """An acknowledgement that a cut held back lets an old commit end after the takeover, which has its write."""

    async def main(watched: Watched) -> None:
        servers = watched.servers
        await watched.write(0)
        servers.cut("m1", "m2", towards=["m0"])
        late = servers.write_in_background()
        await until(lambda: servers.all[1].binlog.end == 2)
        await _promote(servers, 1)
        await servers.point(2, 1)
        await watched.write(1)
        servers.network.heal()
        watched.ledger.acknowledged(servers.all[0], await late)
        assert watched.rules == []
        assert watched.ledger.committer is servers.all[1]

    watch(main)


def test_an_unprotected_write_is_counted_apart() -> None:
    """A write without acknowledgements is counted as unprotected."""

    async def main(watched: Watched) -> None:
        server: SimMysqld = watched.servers.all[0]
        server.set_semi_sync(primary=False, replica=True)
        watched.ledger.acknowledged(server, await server.write(InsertRow(999)))
        assert list(watched.ledger.unprotected) == [999]
        assert not watched.ledger.protected

    watch(main)


def test_ok_for_an_unacknowledged_write_is_found() -> None:
    """Released commits break a rule once a client gets OK for them, and not before."""

    async def main(watched: Watched) -> None:
        servers = watched.servers
        servers.cut("m0")
        write = servers.write_in_background()
        await until(lambda: servers.all[0].acks.sessions > 0)
        await servers.admins[0].set_semi_sync(primary=False, replica=True)
        transaction = await write
        assert watched.rules == []
        watched.ledger.acknowledged(servers.all[0], transaction)
        assert watched.rules == ["unprotected-write"]

    watch(main)


def test_a_primary_that_waits_for_no_acknowledgement_is_found() -> None:
    """A write without acknowledgements breaks a rule, except in the moment of a shard's first election."""

    async def main(watched: Watched) -> None:
        server: SimMysqld = watched.servers.all[0]
        server.set_semi_sync(primary=False, replica=True)
        await server.write(InsertRow(998))
        assert watched.rules == []
        await asyncio.sleep(10.0)
        await server.write(InsertRow(999))
        assert watched.rules == ["unprotected-write"]

    watch(main)
