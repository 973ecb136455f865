"""The invariants of every simulated run, checked at the moment at which they could break."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vtorc.core.facts.ids import ShardId
from vtorc.core.facts.status import ThreadState
from vtorc.sim.checks.untold import Untold
from vtorc.sim.engine.process import ProcessState
from vtorc.sim.engine.trace import Trace
from vtorc.sim.mysql.binlog import InsertRow, Transaction, as_text
from vtorc.sim.mysql.server import MysqlObserver, SimMysqld
from vtorc.sim.mysql.settings import DropReason

LOCK_SLACK = 2.0
"""Seconds after the last confirmation of its lock during which a change may still be sent."""

FIRST_MOMENT = 0.5
"""Seconds after the first write ever in which writes may be committed without acknowledgements."""

LOOP_CALLS = 40
LOOP_WINDOW = 600.0
"""So many equal calls to one tablet within so many seconds are a repair loop, unless it was escalated."""

_KEPT_PER_RULE = 3
"""Violations of one rule that are kept: those that follow from them would drown the others."""

_MAKES_PRIMARY = frozenset(("PromoteReplica", "InitPrimary"))


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that did not hold; `rule` names it, `at` is in virtual seconds."""

    rule: str
    text: str
    at: float


class ShardLedger:
    """The acknowledged writes of one shard, as its clients know them.

    `protected` are those that replicas had acknowledged before; `unprotected` those that no replica had acknowledged,
    because semi-sync was off or switched off at that moment. Both are named by the ids of their rows, and a server has
    a write if it has its row. A GTID set claims rows that a filter kept away, or that a rolled-back disk has lost.
    """

    def __init__(self, shard: ShardId, *, requires_acks: bool, checker: "Checker") -> None:
        self.shard = shard
        self.requires_acks = requires_acks
        """Whether the policy asks for acknowledgements and the primary, as far as was seen, has heeded that."""
        self.promises = requires_acks
        """Whether any policy of the shard asked for them: what was acknowledged so far must survive."""
        self._asks_for_acks = requires_acks
        self.servers: list[SimMysqld] = []
        self.untold = Untold()
        """Servers that could not be told of the policy: one that was replaced under `none`, while it was cut off."""
        self.protected: dict[int, Transaction] = {}
        self.unprotected: dict[int, Transaction] = {}
        self.acked_commits: set[Transaction] = set()
        """Commits that became visible after their acknowledgements, whether a client learned of them or not."""
        self.unacked_commits: set[Transaction] = set()
        """Commits that became visible without."""
        self.released: set[Transaction] = set()
        """Commits that a demotion let become visible while they waited."""
        self.made_by_hand: set[Transaction] = set()
        """Writes to a server that an operator had changed."""
        self.copies_gone: set[Transaction] = set()
        """Protected writes of which so many copies were on disks that went back in time that the promise ends."""
        self.committer: SimMysqld | None = None
        """The server that commits writes of clients now."""
        self.took_over_at = 0.0
        self.first_commit: float | None = None
        self.writes = 0
        self.last_write: float | None = None
        self.longest_gap = 0.0
        self._checker = checker

    def policy_changed(self, *, requires_acks: bool) -> None:
        """Note that an operator changed the policy; a new one binds a primary only once it was seen to wait."""
        if not requires_acks:
            self.untold.policy_ended()
        elif not self._asks_for_acks:
            self.untold.policy_began(self.servers)
        self._asks_for_acks = requires_acks
        self.requires_acks = self.requires_acks and requires_acks

    def waited(self) -> None:
        """Note that a commit waited for acknowledgements."""
        self.requires_acks = self._asks_for_acks
        self.promises = self.promises or self.requires_acks

    def acknowledged(self, server: SimMysqld, transaction: Transaction) -> None:
        """Note that a client got OK for its write."""
        now = self._checker.now()
        if self.last_write is not None:
            self.longest_gap = max(self.longest_gap, now - self.last_write)
        self.last_write = now
        self.writes += 1
        change = transaction.change
        assert isinstance(change, InsertRow)
        (self.unprotected if transaction in self.unacked_commits else self.protected)[change.id] = transaction
        self._checker.reported_safe(self, server, transaction)

    def lost_on(self, server: SimMysqld) -> list[Transaction]:
        """Return the protected writes whose rows a server lacks, oldest first."""
        rows = server.tables.rows
        return [write for row, write in self.protected.items() if row not in rows and write not in self.copies_gone]

    def gone_on(self, server: SimMysqld) -> bool:
        """Return whether a server lacks writes of which too few copies were left."""
        return any(not has_row(server, write) for write in self.copies_gone)

    def rolled_back(self, server: SimMysqld) -> None:
        """Note which writes have too few copies left, as a server has lost its own.

        The promise is that of the durability policies, all of which ask for one acknowledgement. Beside the server that
        wrote it, an acker that runs still has the write.
        """
        rows = server.tables.rows
        for row, write in self.protected.items():
            others = (each for each in self.servers if each is not server and each.server_id != write.server_id)
            if row not in rows and not any(each.process.listening and holds(each, write) for each in others):
                self.copies_gone.add(write)

    def unprotected_lost_on(self, server: SimMysqld) -> int:
        """Return the number of unprotected writes whose rows a server lacks."""
        return sum(row not in server.tables.rows for row in self.unprotected)


class Checker(MysqlObserver):
    """Watches all shards.

    `by_hand` has the UUIDs of servers that an operator has changed, until they are read-only again, or primaries that
    serve and wait for acknowledgements. `being_changed` has those on which an operator's change runs. `serves` returns
    whether a server's vttablet lets writes of clients through. `listeners` get the sender, the tablet, the shard and
    the name of each change that is sent.
    """

    def __init__(self, trace: Trace, now: Callable[[], float]) -> None:
        self.violations: list[Violation] = []
        self.by_hand: set[str] = set()
        self.being_changed: list[str] = []
        self.now = now
        self.serves: Callable[[SimMysqld], bool] = lambda _: True
        self.listeners: list[Callable[[str, str, ShardId, str], None]] = []
        self._trace = trace
        self._shards: dict[SimMysqld, ShardLedger] = {}
        self._calls: dict[tuple[str, str], deque[float]] = {}
        self._escalated: set[ShardId] = set()
        self._told_of_loop: set[ShardId] = set()

    def watch(self, ledger: ShardLedger, server: SimMysqld) -> None:
        """Watch a server as part of a shard."""
        ledger.servers.append(server)
        self._shards[server] = ledger

    def violate(self, rule: str, text: str) -> None:
        """Note a violation, if it is among the first few of its rule."""
        if sum(each.rule == rule for each in self.violations) < _KEPT_PER_RULE:
            self._trace.note("INVARIANT", f"{rule}: {text}")
            self.violations.append(Violation(rule, text, self.now()))

    # --- no acknowledged write is lost; only one server gets writes acknowledged

    def wrote(self, server: SimMysqld, transaction: Transaction) -> None:
        """Note a write to a server that an operator has changed; it may become visible once that is put right."""
        ledger = self._shards.get(server)
        if ledger is not None and server.uuid in self.by_hand:
            ledger.made_by_hand.add(transaction)

    def committed(self, server: SimMysqld, transaction: Transaction, *, acknowledged: bool, waited: bool) -> None:
        """Check a write that became visible on the server where it was made."""
        ledger = self._shards.get(server)
        if ledger is None or not isinstance(transaction.change, InsertRow):
            return
        (ledger.acked_commits if acknowledged else ledger.unacked_commits).add(transaction)
        if ledger.first_commit is None:
            ledger.first_commit = self.now()
        if waited:
            ledger.waited()
        if ledger.requires_acks and server in ledger.untold:
            return  # it was replaced under a policy that promised nothing, and could not be told of another
        # vttablet's InitPrimary lets writes in a moment before it switches semi-sync on, which no vtorc can prevent.
        is_first = self.now() - ledger.first_commit < FIRST_MOMENT
        made_by_hand = server.uuid in self.by_hand or transaction in ledger.made_by_hand
        if ledger.requires_acks and not (waited or acknowledged or is_first or made_by_hand):
            self.violate(
                "unprotected-write", f"{ledger.shard}: {server.process.host.name} waits for no acknowledgement"
            )
        if waited and not acknowledged:
            # A demotion released it. That promises nothing, unless its client gets OK.
            if server.uuid not in self.by_hand:
                ledger.released.add(transaction)
            return
        if ledger.committer is server or transaction in ledger.made_by_hand:
            return
        if ledger.committer is not None and transaction.at < ledger.took_over_at:
            return  # the late end of a commit from before the takeover; `reported_safe` checks whether it survived
        self._trace.note("clients", f"{ledger.shard}: writes are now committed by {server.process.host.name}")
        ledger.committer = server
        ledger.took_over_at = transaction.at
        if ledger.promises and (lost := ledger.lost_on(server)):
            self.violate(
                "acknowledged-write-lost",
                f"{ledger.shard}: {server.process.host.name} takes writes without {as_text(lost)}",
            )

    def reported_safe(self, ledger: ShardLedger, server: SimMysqld, transaction: Transaction) -> None:
        """Check that the server that takes writes now has a write for which a client got OK."""
        present = ledger.committer
        if not ledger.promises:
            return
        if ledger.requires_acks and transaction in ledger.released:
            self.violate(
                "unprotected-write",
                f"{ledger.shard}: a client got OK for {transaction}, although {server.process.host.name} stopped "
                "waiting for acknowledgements before any replica had sent one",
            )
        if present is None or present is server:
            return
        protected = transaction not in ledger.unacked_commits and transaction not in ledger.copies_gone
        if protected and not has_row(present, transaction):
            self.violate(
                "acknowledged-write-lost",
                f"{ledger.shard}: a client of {server.process.host.name} got OK for {transaction}, which "
                f"{present.process.host.name} lacks although it takes writes",
            )

    def writability_changed(self, server: SimMysqld) -> None:
        """Check that at most one server can get writes acknowledged, after a change that decides it."""
        ledger = self._shards.get(server)
        if ledger is None:
            return
        safe = server.acks.enabled or not ledger.requires_acks
        if server.uuid not in self.being_changed and (server.read_only or (safe and self.serves(server))):
            self.by_hand.discard(server.uuid)
        ledger.untold.changed(server)
        if not ledger.requires_acks:
            return
        able = [
            each
            for each in ledger.servers
            if each.uuid not in self.by_hand and each not in ledger.untold and self._can_get_acks(each, ledger.servers)
        ]
        if len(able) > 1:
            names = ", ".join(each.process.host.name for each in able)
            self.violate("two-writable", f"{ledger.shard}: each of {names} can get writes acknowledged")

    def _can_get_acks(self, server: SimMysqld, servers: Sequence[SimMysqld]) -> bool:
        """Return whether a client could get OK for a write to this server."""
        if server.process.state is ProcessState.STOPPED or server.read_only:
            return False
        if server.acks.enabled:
            return can_be_acknowledged(server, servers)
        return self.serves(server)  # mysqld waits for no replica: only its vttablet can keep clients out

    # --- the last copy of an acknowledged write is never discarded

    def relay_log_dropped(self, server: SimMysqld, lost: Sequence[Transaction], why: DropReason) -> None:
        """Check that each acknowledged write of a dropped relay log is on another server."""
        ledger = self._shards.get(server)
        if why is DropReason.CRASH or ledger is None or not ledger.promises or server.uuid in self.by_hand:
            return
        others = [each for each in ledger.servers if each is not server and each.process.listening]
        for transaction in lost:
            promised = transaction in ledger.acked_commits and transaction not in ledger.copies_gone
            if promised and not any(holds(each, transaction) for each in others):
                self.violate(
                    "last-copy-discarded",
                    f"{ledger.shard}: {server.process.host.name} dropped {transaction} ({why.value}), "
                    "an acknowledged write that no other live server has",
                )
                return

    def rolled_back(self, server: SimMysqld) -> None:
        """Note which writes are lost whatever any vtorc does."""
        if (ledger := self._shards.get(server)) is not None:
            ledger.rolled_back(server)

    def history_wiped(self, server: SimMysqld) -> None:
        """Note a wiped GTID history, which no vtorc may cause."""
        if server.uuid not in self.by_hand:
            self.violate("history-wiped", f"{server.process.host.name} wipes its GTID history")

    # --- no change without the lock, no loop without escalation

    def change_sent(
        self, caller: str, tablet: str, shard: ShardId, name: str, *, lock_age: float | None, uuid: str = ""
    ) -> None:
        """Check a call of a vtorc that changes a tablet; `uuid` is that of the tablet's server.

        `lock_age` is None while the vtorc holds the shard's lock, else the seconds since it last had that confirmed.
        """
        self._trace.note(caller, f"sends {name} to {tablet}")
        if name in _MAKES_PRIMARY:
            self.by_hand.discard(uuid)
        if lock_age is not None and lock_age > LOCK_SLACK:
            self.violate("no-lock", f"{caller} sent {name} to {tablet} of {shard} without the shard's lock")
        times = self._calls.setdefault((tablet, name), deque())
        times.append(self.now())
        while times and times[0] < self.now() - LOOP_WINDOW:
            times.popleft()
        if len(times) >= LOOP_CALLS and shard not in self._told_of_loop:
            self.violate("repair-loop", f"{name} was sent to {tablet} {len(times)} times in {LOOP_WINDOW:g} s")
            times.clear()
        for listener in list(self.listeners):
            listener(caller, tablet, shard, name)

    def escalated(self, shard: ShardId, has_stood: bool) -> None:
        """Note that a vtorc asked an operator to look after a shard.

        `has_stood` is True if nothing was done about a problem for long, which excuses no loop.
        """
        self._escalated.add(shard)
        if not has_stood:
            self._told_of_loop.add(shard)


def has_row(server: SimMysqld, transaction: Transaction) -> bool:
    """Return whether readers of a server see the row that a transaction inserted."""
    change = transaction.change
    return isinstance(change, InsertRow) and change.id in server.tables.rows


def holds(server: SimMysqld, transaction: Transaction) -> bool:
    """Return whether a server has a client's transaction: committed, logged or received."""
    return (
        has_row(server, transaction) or transaction in server.binlog.retained or transaction in server.replication.relay
    )


def can_be_acknowledged(server: SimMysqld, servers: Sequence[SimMysqld]) -> bool:
    """Return whether replicas could acknowledge a write to this server now, or once a cut or a freeze ends."""
    return sum(_acknowledges(each, server) for each in servers if each is not server) >= server.acks.count


def _acknowledges(replica: SimMysqld, source: SimMysqld) -> bool:
    replication = replica.replication
    dump = source.dumps.of(replica.uuid)
    return (
        replica.process.state is not ProcessState.STOPPED
        and replication.io_state is ThreadState.RUNNING
        and replication.acknowledges
        and dump is not None
        and dump.end.peer.open
        and dump.semi_sync
    )
