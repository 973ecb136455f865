"""A whole simulated world: hosts, topology servers, tablets, vtorcs and clients, built from a plan."""

import asyncio
import contextlib
import itertools
import random
import zlib
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from typing import Any

from vtorc.core.facts.durability import Member, policy
from vtorc.core.facts.ids import ShardId
from vtorc.errors import MysqlError
from vtorc.sim.checks.budget_order import BudgetOrder
from vtorc.sim.checks.invariants import Checker, ShardLedger
from vtorc.sim.cluster.clients import Client
from vtorc.sim.cluster.direct_mysql import SimDirectMysql
from vtorc.sim.cluster.plan import ShardPlan, TabletPlan, WorldPlan
from vtorc.sim.cluster.tablet import GRPC_PORT, MYSQL_PORT, Address, SimTablet
from vtorc.sim.cluster.tablet_manager import SimTabletManager
from vtorc.sim.cluster.topo import ROOT, SimTopo, lock_directory
from vtorc.sim.cluster.vtorc import SimVtorc, VtorcSettings
from vtorc.sim.engine.loop import current_loop
from vtorc.sim.engine.network import Network
from vtorc.sim.engine.process import Host, Life, Process, ProcessState
from vtorc.sim.engine.trace import Trace
from vtorc.sim.model.plan import ModelPlan
from vtorc.sim.model.recording import Recorder, Recording
from vtorc.sim.mysql.disk import DiskState
from vtorc.sim.mysql.server import SimMysqld
from vtorc.topo.conn import TopoConn
from vtorc.topo.lock_contents import Holder
from vtorc.topo.server import TopoServer
from vtorc.vttablet.config import TabletConfig

_GLOBAL = "global"


class SimShard:
    """One shard of the world."""

    def __init__(self, plan: ShardPlan, ledger: ShardLedger, recording: Recording) -> None:
        self.plan = plan
        self.recording = recording
        self.id = plan.shard
        self.ledger = ledger
        self.tablets: list[SimTablet] = []
        self.clients: list[Client] = []

    @property
    def primary(self) -> SimTablet | None:
        """The tablet that is primary of the newest term by its own account, None if none is."""
        known = [each for each in self.tablets if each.agent is not None and each.agent.state.is_primary]
        return max(known, key=lambda each: each.agent.state.term if each.agent else 0, default=None)


class World:
    """Everything that exists in one run; create it inside `vtorc.sim.engine.loop.run`."""

    def __init__(self, plan: WorldPlan, trace: Trace, *, settings: VtorcSettings | None = None) -> None:
        self.plan = plan
        self.trace = trace
        self.random = random.Random(current_loop().random.random())
        self.network = Network(self.random)
        self.checker = Checker(trace, current_loop().time)
        self.recorder = Recorder(self.checker)
        self.topos: dict[str, SimTopo] = {}
        self.shards: dict[ShardId, SimShard] = {}
        self.tablets: dict[Address, SimTablet] = {}
        self.mysqlds: dict[Address, SimMysqld] = {}
        self.vtorcs: list[SimVtorc] = []
        self.settings = settings or VtorcSettings()
        self._tablet_of: dict[SimMysqld, SimTablet] = {}
        self._off: dict[Host, int] = {}
        self._background: dict[asyncio.Task[object], None] = {}
        self._row_ids: Iterator[int] = itertools.count(1)
        self._build()
        self.checker.serves = self._serves

    @property
    def now(self) -> float:
        """Virtual seconds since the beginning."""
        return current_loop().time()

    def _serves(self, mysqld: SimMysqld) -> bool:
        agent = self._tablet_of[mysqld].agent
        return agent is not None and agent.state.is_primary and agent.state.serving

    # --- building

    def _build(self) -> None:
        for cell in (_GLOBAL, *self.plan.cells):
            host = self.network.add_host(f"topo-{cell}", cell)
            self.topos[cell] = SimTopo(self.network, host, self.random, lease_ttl=self.plan.lease_ttl)
        for shard in self.plan.shards:
            self._build_shard(shard)
        for number, cell in enumerate(self.plan.vtorc_cells, 1):
            self.vtorcs.append(self._build_vtorc(self.network.add_host(f"vtorc-{number}", cell)))

    def _build_shard(self, plan: ShardPlan) -> SimShard:
        requires_acks = policy(plan.durability) is not policy("none")
        ledger = ShardLedger(plan.shard, requires_acks=requires_acks, checker=self.checker)
        shard = self.shards[plan.shard] = SimShard(plan, ledger, self._record(plan))
        shard.tablets += [self._build_tablet(shard, each) for each in plan.tablets]
        return shard

    def _record(self, shard: ShardPlan) -> Recording:
        model = ModelPlan(
            members=tuple(Member(each.alias, each.type) for each in shard.tablets),
            policy=policy(shard.durability),
            durable_relay=not self.plan.mysql.relay_log_recovery,
        )
        return Recording(
            model,
            by_hand=self.checker.by_hand,
            broken=lambda text: self.checker.violate("not-in-the-model", f"{shard.shard}: {text}"),
        )

    def _build_tablet(self, shard: SimShard, plan: TabletPlan) -> SimTablet:
        name = f"{plan.alias.cell}-{plan.alias.uid}"
        host = self.network.add_host(name, plan.alias.cell)
        mysqld = SimMysqld(
            Process(host, "mysqld"),
            MYSQL_PORT,
            uuid=f"{plan.alias.uid:08d}-{zlib.crc32(name.encode()) & 0xFFFF:04x}-11f1-8000-{plan.alias.uid:012d}",
            server_id=plan.alias.uid,
            network=self.network,
            directory=self.mysqlds,
            generator=self.random,
            settings=self.plan.mysql,
            observer=self.recorder,
        )
        self.mysqlds[mysqld.address] = mysqld
        self.checker.watch(shard.ledger, mysqld)
        self.recorder.watch(shard.recording, mysqld)
        config = TabletConfig(
            alias=plan.alias,
            shard=shard.id,
            hostname=name,
            grpc_port=GRPC_PORT,
            vt_port=GRPC_PORT - 1000,
            mysql_hostname=name,
            mysql_port=MYSQL_PORT,
            init_type=plan.type,
        )
        tablet = SimTablet(
            config,
            host,
            mysqld,
            network=self.network,
            open_topo=self.open_topo,
            directory=self.tablets,
            generator=self.random,
            traits=plan.traits,
        )
        self.tablets[tablet.address] = tablet
        self._tablet_of[mysqld] = tablet
        return tablet

    def _build_vtorc(self, host: Host) -> SimVtorc:
        return SimVtorc(
            host,
            open_topo=self.open_topo,
            open_tablets=lambda life: self.open_tablets(life, checked=True),
            open_mysql=lambda life: SimDirectMysql(self.network, life, self.mysqlds),
            settings=self.settings,
            trace=self.trace,
            generator=self.random,
            broken=lambda text: self.checker.violate("crash", text),
            escalated=self.checker.escalated,
            turns=BudgetOrder(host.name, self.settings.budget, now=current_loop().time, violate=self.checker.violate),
            violate=self.checker.violate,
        )

    # --- connections of processes

    def open_topo(self, life: Life) -> TopoServer:
        """Connect a process to the topology; all its calls go over the network."""

        async def open_cell(_: str, address: str, root: str) -> TopoConn:
            return self.topos[address].connect(life, root)

        return TopoServer(
            self.topos[_GLOBAL].connect(life, f"{ROOT}/{_GLOBAL}"),
            open_cell,
            holder=Holder(life.host.name, "vitess"),
            wall=life.host.wall,
        )

    def open_tablets(self, life: Life, *, checked: bool) -> SimTabletManager:
        """Let a process call tablets; with `checked`, a change without the shard's lock is a violation."""

        def check(tablet: SimTablet, name: str) -> None:
            if checked:
                shard = tablet.config.shard
                self.checker.change_sent(
                    life.host.name,
                    str(tablet.config.alias),
                    shard,
                    name,
                    lock_age=self._lock_age(life.host, shard),
                    uuid=tablet.mysqld.uuid,
                )

        return SimTabletManager(self.network, life, self.tablets, watcher=check)

    def _lock_age(self, host: Host, shard: ShardId) -> float | None:
        topo = self.topos[_GLOBAL]
        directory = lock_directory(shard)
        if topo.lock_holder(directory) == host.name:
            return None
        return self.now - topo.confirmed_at(host.name, directory)

    # --- beginning

    async def begin(self) -> None:
        """Write the records that operators write, then start everything in an order that differs from seed to seed."""
        admin = Process(self.network.add_host("admin", _GLOBAL), "vtctldclient").start()
        topo = self.open_topo(admin)
        for cell in self.plan.cells:
            await topo.create_cell(cell, server_address=cell, root=f"{ROOT}/{cell}")
        for keyspace in dict.fromkeys(shard.plan.shard.keyspace for shard in self.shards.values()):
            durability = next(s.plan.durability for s in self.shards.values() if s.id.keyspace == keyspace)
            await topo.create_keyspace(keyspace, durability_policy=durability)
        for shard in self.shards.values():
            await topo.create_shard(shard.id)
        for tablet in self.tablets.values():
            self._begin_tablet(tablet)
        for vtorc in self.vtorcs:
            self._start_soon(vtorc.start)
        for shard in self.shards.values():
            self._begin_clients(shard)

    def add_shard(self, plan: ShardPlan) -> SimShard:
        """Start the tablets and clients of another shard, in existing cells; the caller writes the shard record."""
        self.plan = replace(self.plan, shards=(*self.plan.shards, plan))
        shard = self._build_shard(plan)
        for tablet in shard.tablets:
            self._begin_tablet(tablet)
        self._begin_clients(shard)
        return shard

    def forget_shard(self, shard: SimShard) -> None:
        """Stop watching a shard: it may be without a primary, and its processes are not started again."""
        self.plan = replace(self.plan, shards=tuple(each for each in self.plan.shards if each.shard != shard.id))
        del self.shards[shard.id]

    def _begin_tablet(self, tablet: SimTablet) -> None:
        self._start_soon(tablet.mysqld.start)
        self._start_soon(tablet.start)

    def _start_soon(self, start: object) -> None:
        current_loop().call_later(self.random.uniform(0.0, 3.0), start)  # type: ignore[arg-type]

    def _begin_clients(self, shard: SimShard) -> None:
        for number in range(self.plan.writers + self.plan.direct_writers):
            cell = self.plan.cells[number % len(self.plan.cells)]
            host = self.network.add_host(f"app-{shard.id.keyspace}-{shard.id.shard}-{number}", cell)
            client = Client(
                Process(host, "app"),
                shard.tablets,
                network=self.network,
                ledger=shard.ledger,
                open_tablets=lambda life: self.open_tablets(life, checked=False),
                row_ids=self._row_ids,
                interval=self.plan.write_interval,
                deadline=self.plan.write_deadline,
                direct=number >= self.plan.writers,
            )
            shard.clients.append(client)
            client.start()

    # --- for faults

    def hosts_of(self, cell: str) -> list[Host]:
        """Return all hosts of a cell."""
        return [host for host in self.network.hosts.values() if host.cell == cell]

    def power_off(self, host: Host) -> None:
        """Cut a host's power; each call needs a `power_on` of its own, also if the host is off already."""
        self._off[host] = self._off.get(host, 0) + 1
        host.power_off()

    def power_on(self, host: Host) -> None:
        """Undo one `power_off`; the last one starts everything on the host."""
        self._off[host] -= 1
        if self._off[host] or host.up:
            return
        host.power_on()
        for topo in self.topos.values():
            if topo.process.host is host:
                self.start_topo(topo)
        for tablet in self.tablets.values():
            if tablet.host is host:
                self.start_mysqld(tablet.mysqld)
                self.start_tablet(tablet)
        for vtorc in self.vtorcs:
            if vtorc.host is host and vtorc.process.state is ProcessState.STOPPED:
                vtorc.start()
        for shard in self.shards.values():
            for client in shard.clients:
                if client.process.host is host:
                    client.start()

    def start_topo(self, topo: SimTopo) -> None:
        """Start a topology server if it is down and its host is up."""
        if topo.process.host.up and topo.process.state is ProcessState.STOPPED:
            topo.start()

    def start_mysqld(self, mysqld: SimMysqld) -> None:
        """Start a mysqld if it is down; it listens once it has recovered."""

        def start() -> None:
            if mysqld.process.host.up and mysqld.process.state is ProcessState.STOPPED:
                self.trace.note(str(mysqld.process), "has recovered")
                mysqld.start()

        current_loop().call_later(self.plan.mysql.recovery.draw(self.random), start)

    def start_tablet(self, tablet: SimTablet) -> None:
        """Start a vttablet if it is down, and keep it running from now on."""
        tablet.wanted = True
        if tablet.host.up and tablet.process.state is ProcessState.STOPPED:
            tablet.start()

    def change_by_hand(self, tablet: SimTablet, work: Coroutine[Any, Any, object]) -> None:
        """Let an operator change a mysqld; until it is in order again, vtorc is not blamed for violations there."""
        uuid = tablet.mysqld.uuid
        self.checker.by_hand.add(uuid)
        self.checker.being_changed.append(uuid)

        async def attempt() -> None:
            try:
                with contextlib.suppress(MysqlError, TimeoutError):
                    async with asyncio.timeout(10.0):
                        await work
            finally:
                self.checker.being_changed.remove(uuid)
            self.checker.writability_changed(tablet.mysqld)

        self.spawn(attempt(), "by hand")

    async def rebuild(self, tablet: SimTablet, source: SimTablet) -> None:
        """Restore a tablet from a copy of another, as an operator does with one that cannot be repaired otherwise."""
        self.stop_and_rebuild(tablet, source)
        self.start_mysqld(tablet.mysqld)

    def stop_and_rebuild(self, tablet: SimTablet, source: SimTablet | None) -> None:
        """Stop a tablet's mysqld and put another server in its place: a copy of another tablet's, or an empty one."""
        of = f"from {source.config.alias}" if source is not None else "as an empty server"
        self.trace.note("an operator", f"rebuilds {tablet.config.alias} {of}")
        tablet.mysqld.process.crash()
        tablet.mysqld.rebuild(source.mysqld if source is not None else None)

    def spawn(self, work: Coroutine[Any, Any, object], name: str) -> None:
        """Run a task that belongs to no process of the world."""
        task = asyncio.create_task(work, name=name)
        self._background[task] = None
        task.add_done_callback(self._background.pop)

    # --- health

    def can_be_told(self, mysqld: SimMysqld) -> bool:
        """Return whether a vtorc can change a server: it reaches the tablet, and has the shard's lock or can take it.

        Nothing hinders the server either, other than by its slowness.
        """
        tablet, topo = self._tablet_of[mysqld], self.topos[_GLOBAL]
        works = all(each.running for each in (tablet.process, mysqld.process, topo.process))
        if not works or not mysqld.has_socket or mysqld.refuses_connections or mysqld.disk.state is not DiskState.FINE:
            return False
        needed = (tablet.host, topo.process.host)
        able = {
            vtorc.host.name
            for vtorc in self.vtorcs
            if vtorc.process.running and all(self._linked(vtorc.host, each) for each in needed)
        }
        holder = topo.lock_holder(lock_directory(tablet.config.shard))
        return bool(able) if holder is None else holder in able

    def _linked(self, one: Host, other: Host) -> bool:
        return self.network.is_open(one, other) and self.network.is_open(other, one)

    def unwell(self, shard: SimShard) -> list[str]:
        """Return what keeps a shard from being writable and fully replicating; empty if it is well."""
        primary = shard.primary
        if primary is None:
            return ["no tablet is the primary"]
        name = primary.config.alias
        found: list[str] = []
        if primary.mysqld.read_only:
            found.append(f"the primary {name} is read-only")
        if primary.agent is None or not primary.agent.state.serving:
            found.append(f"the primary {name} does not serve")
        acks, clients = primary.mysqld.acks, primary.mysqld.dumps.semi_sync_clients
        waits = acks.enabled or primary.mysqld.read_only
        if policy(shard.plan.durability).has_semi_sync and not waits and acks.count <= clients:
            found.append(f"the primary {name} waits for no acknowledgement, and {clients} replicas can give one")
        for tablet in shard.tablets:
            if tablet is not primary:
                found += self._unwell_replica(tablet, primary)
        return found

    def _unwell_replica(self, tablet: SimTablet, primary: SimTablet) -> list[str]:
        name = tablet.config.alias
        mysqld = tablet.mysqld
        if self.needs_rebuild(tablet, primary):
            return []
        source = mysqld.replication.source
        if source is None or (source.host, source.port) != primary.mysqld.address:
            return [f"{name} does not replicate from the primary {primary.config.alias}"]
        if mysqld.replication.io_state.name != "RUNNING" or not mysqld.replication.applier.running:
            return [f"replication of {name} does not run"]
        if not mysqld.read_only:
            return [f"replica {name} is writable"]
        return []

    def needs_rebuild(self, tablet: SimTablet, primary: SimTablet) -> bool:
        """Return whether only a rebuild helps.

        A tablet has errant transactions, needs purged ones, or has a damaged relay log. Or its disk went back in time:
        MySQL skips what carries its own server_id, so it never gets back what it wrote itself.
        """
        mysqld = tablet.mysqld
        written = primary.mysqld.executed.value.only_uuid(mysqld.uuid)
        if not written.is_subset_of(mysqld.received):
            return True
        errant = mysqld.received.difference(primary.mysqld.executed.value).without_uuid(primary.mysqld.uuid)
        replication = mysqld.replication
        return bool(errant) or "1236" in replication.last_io_error or replication.applier.damaged

    async def until_well(self, shard: SimShard, *, limit: float, since: float | None = None) -> list[str]:
        """Wait until a shard is well and takes writes; returns what is still wrong `limit` seconds after `since`.

        `since` (virtual seconds) is now if it is not given; callers that wait for many shards in turn share one.
        """
        started = self.now if since is None else since
        while True:
            wrong = self.unwell(shard)
            last = shard.ledger.last_write
            if not wrong and (last is None or last < started):
                wrong = ["no write was acknowledged since"]
            if not wrong or self.now - started > limit:
                return wrong
            await asyncio.sleep(0.25)
