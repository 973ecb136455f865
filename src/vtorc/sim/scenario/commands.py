"""The commands of scenarios, which run one after the other on a simulated world."""

import asyncio
import inspect
import math
import random
from collections.abc import Callable, Coroutine
from dataclasses import replace

from vtorc.core.election.forced_promotion import DataLossEstimate
from vtorc.core.facts.durability import policy
from vtorc.core.facts.ids import ShardId, TabletType
from vtorc.recovery.commands import Commands
from vtorc.sim.campaigns.fleet_report import FleetWatch
from vtorc.sim.campaigns.mask import mask
from vtorc.sim.cluster.external_server import replicate_from_outside
from vtorc.sim.cluster.plan import WorldPlan, fleet_plan
from vtorc.sim.cluster.planned_reparent import plan_reparent
from vtorc.sim.cluster.policy_change import change_policy
from vtorc.sim.cluster.replayed_log import replay_binary_log
from vtorc.sim.cluster.reshard import add_shard, leftovers, remove_shard
from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.cluster.vtorc import SimVtorc, VtorcSettings
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.engine.process import Process
from vtorc.sim.engine.trace import Trace
from vtorc.sim.errors import SimPlanError
from vtorc.sim.faults.catalogue import KINDS, begin
from vtorc.sim.faults.fault import End, FaultScene
from vtorc.sim.faults.notation import read_fault
from vtorc.sim.forecast.topology_file import read_settings
from vtorc.sim.mysql.settings import SimMysqlSettings
from vtorc.sim.scenario.command_words import CommandWords
from vtorc.sim.scenario.desk_requests import ask_for_command, ask_for_hold, ask_for_reparent, ask_to_lift
from vtorc.sim.scenario.outcome import ScenarioOutcome
from vtorc.sim.scenario.plan_words import shard_plan, tablet_alias
from vtorc.sim.scenario.status_age import oldest_status

_FIRST_LIMIT = 60.0
_SETTLE_LIMIT = 180.0
_FOR_EVER = 1e6
_MYSQL_WORDS = ("net-timeout", "connect-retry", "relay-log-recovery", "wait-point", "ack-timeout")


class ScenarioCommands:
    """A planned world, later a running one; a method `do_x` is the command `x` (`-` for `_`) and returns its output."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._plan = WorldPlan(cells=(), shards=())
        self._settings = VtorcSettings()
        self._world: World | None = None
        self._outcome: ScenarioOutcome | None = None
        self._fleet: FleetWatch | None = None
        self._ends: dict[str, End] = {}
        self._data_loss: DataLossEstimate | None = None

    async def do(self, line: str) -> list[str]:
        """Run one command line and return its output; raises SimPlanError."""
        name = line.split()[0]
        command: Callable[[CommandWords], Coroutine[None, None, list[str]] | list[str]] | None
        command = getattr(self, f"do_{name.replace('-', '_')}", None)
        if command is None and name in KINDS:
            command = self._begin_fault
        if command is None:
            known = sorted(each[3:].replace("_", "-") for each in dir(self) if each.startswith("do_"))
            raise SimPlanError(f"{line!r}: unknown command; expected one of {', '.join(known)}, or a kind of fault")
        output = command(CommandWords.split(line))
        return await output if inspect.isawaitable(output) else output

    @property
    def world(self) -> World:
        """The running world; raises SimPlanError before `boot`."""
        if self._world is None:
            raise SimPlanError("expected the command start or boot first")
        return self._world

    @property
    def outcome(self) -> ScenarioOutcome:
        """The outcome so far; raises SimPlanError before `boot`."""
        if self._outcome is None:
            raise SimPlanError("expected the command start or boot first")
        return self._outcome

    @property
    def fleet(self) -> FleetWatch:
        """The cost of faults for the fleet; raises SimPlanError before `boot`."""
        if self._fleet is None:
            raise SimPlanError("expected the command start or boot first")
        return self._fleet

    # --- the plan

    def do_shard(self, words: CommandWords) -> list[str]:
        """Plan a shard: `shard [name=commerce/0] durability=semi_sync tablets=zone1-100,zone2-200:rdonly:old`."""
        words.only("name", "durability", "tablets")
        plan = shard_plan(words)
        cells = tuple(dict.fromkeys([*self._plan.cells, *(tablet.alias.cell for tablet in plan.tablets)]))
        self._plan = replace(self._plan, cells=cells, shards=(*self._plan.shards, plan))
        return []

    def do_world(self, words: CommandWords) -> list[str]:
        """Plan everything else: `world [vtorcs=zone1,zone2] [lease=30] [net-timeout=60] [relay-log-recovery=off]`.

        With `shards=60` the world is a fleet like that of `vtorc sim --shards 60 --tablets 3`. With
        `wait-point=after-commit` all clients see a write before it is acknowledged, and with `ack-timeout=5` they are
        told OK after so many seconds without an acknowledgement.
        """
        words.only("shards", "vtorcs", "lease", "writers", "direct", *_MYSQL_WORDS)
        if "shards" in words.named:
            self._plan = fleet_plan(random.Random("scenario"), shards=int(words.number("shards", 1)), tablets=3)
        vtorcs = words.named.get("vtorcs")
        self._plan = replace(
            self._plan,
            vtorc_cells=tuple(vtorcs.split(",")) if vtorcs else self._plan.vtorc_cells,
            lease_ttl=words.number("lease", 30.0),
            writers=int(words.number("writers", 2)),
            direct_writers=int(words.number("direct", 0)),
            mysql=SimMysqlSettings(
                replica_net_timeout=words.number("net-timeout", 60.0),
                connect_retry=words.number("connect-retry", 10.0),
                relay_log_recovery=words.named.get("relay-log-recovery", "on") == "on",
                ack_timeout=words.number("ack-timeout", math.inf),
                wait_after_commit=words.named.get("wait-point", "after-sync") == "after-commit",
            ),
        )
        return []

    def do_settings(self, words: CommandWords) -> list[str]:
        """Set vtorc's settings by the names of its flags: `settings allow-recovery=false`."""
        self._settings = read_settings(words.named)
        return []

    # --- the start

    async def do_boot(self, words: CommandWords) -> list[str]:
        """Start everything, and do not wait."""
        words.only()
        self._world = World(self._plan, self._trace, settings=self._settings)
        self._outcome = ScenarioOutcome(self._world)
        self._fleet = FleetWatch(self._world)
        await self._world.begin()
        return []

    async def do_start(self, words: CommandWords) -> list[str]:
        """Start everything and wait until all is well: `start [primary=zone1-100]`, which moves the primary there."""
        words.only("primary")
        await self.do_boot(CommandWords.split("boot"))
        return await self._first_primary(words, *self.world.shards.values())

    async def _first_primary(self, words: CommandWords, *shards: SimShard) -> list[str]:
        wrong = await self._until_well(_FIRST_LIMIT)
        if not wrong and "primary" in words.named:
            tablet = self._tablet(words, words.named["primary"])
            shard = self.world.shards[tablet.config.shard]
            if shard.primary is not tablet:
                await plan_reparent(self.world, shard, tablet)
                await self._until_well(_FIRST_LIMIT)
        await asyncio.sleep(5.0)
        self.outcome.restart()
        return self.outcome.states(shards)

    # --- faults, operators

    def _begin_fault(self, words: CommandWords) -> list[str]:
        words.only("for", "shard", plain=1)
        name = words.line.split()[0]
        target = words.plain[0] if words.plain else "0"
        fault = read_fault(f"{name}:{target}", at=0.0, lasts=words.number("for", _FOR_EVER), plan=self._plan)
        if "shard" in words.named:
            shards = [each.shard for each in self._plan.shards]
            fault = replace(fault, shard=shards.index(ShardId.parse(words.named["shard"])))
        self.fleet.before()
        end = begin(FaultScene(self.world, replace(fault, at=round(self.world.now, 3))))
        self.fleet.after()
        key = f"{name} {target}"
        self._ends[key] = end
        if "for" in words.named:
            asyncio.get_running_loop().call_later(fault.lasts, self._end_fault, key)
        return []

    def _end_fault(self, key: str) -> None:
        end = self._ends.pop(key, None)
        if end is not None:
            end()

    def do_end(self, words: CommandWords) -> list[str]:
        """End faults: `end all`, or `end KIND [TARGET]` as it was begun."""
        words.only(plain=2)
        key = f"{words.plain[0]} {words.plain[1] if len(words.plain) > 1 else '0'}"
        keys = list(self._ends) if words.plain[0] == "all" else [key]
        for each in keys:
            if each not in self._ends:
                raise SimPlanError(f"{words.line!r}: expected one of {', '.join(self._ends) or 'none'}")
            self._end_fault(each)
        return []

    def do_at(self, words: CommandWords) -> list[str]:
        """Let a fault begin when a vtorc sends a call: `at PromoteReplica power-off zone2-200 for=30`; once."""
        _, call, *fault = words.line.split()
        rest = CommandWords.split(" ".join(fault))
        waiting = [True]

        def sent(_caller: str, _tablet: str, _shard: ShardId, name: str) -> None:
            if name == call and waiting:
                waiting.clear()
                self._begin_fault(rest)

        self.world.checker.listeners.append(sent)
        return []

    async def do_type(self, words: CommandWords) -> list[str]:
        """Let an operator change a tablet's type: `type zone2-200 drained`; with `acks=on` it acknowledges from now on.

        Vitess' tools tell a tablet with the change whether it is to acknowledge.
        """
        words.only("acks", plain=2)
        tablet = self._tablet(words, words.plain[0])
        agent = tablet.agent
        if agent is None:
            raise SimPlanError(f"{words.line!r}: its vttablet is down")
        await agent.reparent.change_type(TabletType.parse(words.plain[1]), semi_sync=words.named.get("acks") == "on")
        return []

    def do_policy(self, words: CommandWords) -> list[str]:
        """Let an operator change the durability policy of a keyspace, or remove it: `policy commerce none`."""
        words.only(plain=2)
        change_policy(self.world, *[*words.plain, ""][:2])
        return []

    async def do_delete_record(self, words: CommandWords) -> list[str]:
        """Let an operator delete a tablet's record: `delete-record zone1-100`."""
        words.only(plain=1)
        alias = self._tablet(words, words.plain[0]).config.alias
        life = Process(self.world.network.add_host(f"operator {self.world.now}", "global"), "vtctldclient").start()
        await self.world.open_topo(life).delete_tablet(alias)
        return []

    async def do_add_shard(self, words: CommandWords) -> list[str]:
        """Let a reshard create a shard, and wait until all is well: as `shard` and then `start`."""
        words.only("name", "durability", "tablets", "primary")
        shard = await add_shard(self.world, shard_plan(words))
        self._plan = self.world.plan
        return await self._first_primary(words, shard)

    async def do_remove_shard(self, words: CommandWords) -> list[str]:
        """Let a reshard remove a shard: `remove-shard commerce/0`; prints what the vtorcs still have of it."""
        words.only(plain=1)
        shard = self.world.shards.get(ShardId.parse(words.plain[0]))
        if shard is None:
            raise SimPlanError(f"{words.line!r}: expected one of {', '.join(map(str, self.world.shards))}")
        await remove_shard(self.world, shard)
        self._plan = self.world.plan
        left = leftovers(self.world, shard.id, tuple(tablet.alias_text for tablet in shard.tablets))
        return [f"left of {shard.id}: {each}" for each in left] or [f"nothing is left of {shard.id}"]

    async def do_planned(self, words: CommandWords) -> list[str]:
        """Tell the first vtorc to move the primary: `planned zone2-200`; the command ends with the reparent."""
        words.only(plain=1)
        tablet = self._tablet(words, words.plain[0])
        shard = self.world.shards[tablet.config.shard]
        vtorc, commands = self._commands(words, shard)
        work = commands.planned_reparent(policy(shard.plan.durability), tablet.config.alias)
        vtorc.records.append(await vtorc.process.life.spawn(work, name="planned reparent"))
        return []

    async def do_ask(self, words: CommandWords) -> list[str]:
        """Ask the first vtorc's desk for a plan, and execute it: `ask planned zone2-200`, `ask emergency commerce/0`.

        `ask forced zone2-200 accept=loss` accepts what the plan says is lost.
        """
        words.only("accept", plain=2)
        kind, name = words.plain
        tablet = None if "/" in name else self._tablet(words, name)
        shard = ShardId.parse(name) if tablet is None else tablet.config.shard
        to = tablet.config.alias if tablet is not None else None
        vtorc = self.world.vtorcs[0]
        work = ask_for_reparent(vtorc, shard, kind, to, accept_loss="accept" in words.named)
        return [mask(line) for line in await vtorc.process.life.spawn(work, name="desk")]

    async def do_order(self, words: CommandWords) -> list[str]:
        """Ask the first vtorc's desk for a command on a tablet: `order StopReplication zone2-200`."""
        words.only(plain=2)
        command, name = words.plain
        tablet = self._tablet(words, name)
        vtorc = self.world.vtorcs[0]
        work = ask_for_command(vtorc, tablet.config.shard, command, tablet.config.alias)
        return [mask(line) for line in await vtorc.process.life.spawn(work, name="desk")]

    async def do_hold(self, words: CommandWords) -> list[str]:
        """Ask the first vtorc's desk for a hold: `hold shard:commerce/0 no_failover,no_repair [for=60]`."""
        words.only("for", plain=2)
        scope, effects = words.plain
        seconds = int(words.number("for", 1)) if "for" in words.named else None
        vtorc = self.world.vtorcs[0]
        work = ask_for_hold(vtorc, scope, effects.split(","), seconds)
        return await vtorc.process.life.spawn(work, name="desk")

    async def do_lift(self, words: CommandWords) -> list[str]:
        """Ask the first vtorc's desk to lift the hold of a number: `lift 1`."""
        words.only(plain=1)
        vtorc = self.world.vtorcs[0]
        return await vtorc.process.life.spawn(ask_to_lift(vtorc, int(words.plain[0])), name="desk")

    def _commands(self, words: CommandWords, shard: SimShard) -> tuple[SimVtorc, Commands]:
        vtorc = self.world.vtorcs[0]
        commands = vtorc.commands(shard.id)
        if commands is None:
            raise SimPlanError(f"{words.line!r}: the first vtorc does not watch {shard.id}")
        return vtorc, commands

    def do_outside(self, words: CommandWords) -> list[str]:
        """Let an operator point a tablet at a server that is no tablet: `outside zone1-400`."""
        words.only(plain=1)
        tablet = self._tablet(words, words.plain[0])
        replicate_from_outside(self.world, self.world.shards[tablet.config.shard], tablet)
        return []

    def do_heartbeat(self, words: CommandWords) -> list[str]:
        """Let an operator change the seconds between two heartbeats of a replica's source: `heartbeat zone2-200 11`."""
        words.only(plain=2)
        self._tablet(words, words.plain[0]).mysqld.replication.heartbeat_period = float(words.plain[1])
        return []

    async def do_replay(self, words: CommandWords) -> list[str]:
        """Let an operator replay a transaction of another cluster's binary log: `replay primary`; ends with its OK."""
        words.only(plain=1)
        tablet = self._tablet(words, words.plain[0])
        await replay_binary_log(self.world, self.world.shards[tablet.config.shard], tablet)
        return []

    async def do_override(self, words: CommandWords) -> list[str]:
        """Tell the first vtorc to promote a tablet against its rules: `override zone2-200 [accept=price]`.

        With `accept=` the operator accepts the data-loss estimate of the last refusal.
        """
        words.only("accept", plain=1)
        tablet = self._tablet(words, words.plain[0])
        shard = self.world.shards[tablet.config.shard]
        vtorc, commands = self._commands(words, shard)
        accepted = self._data_loss if "accept" in words.named else None
        work = commands.force_promotion(policy(shard.plan.durability), tablet.config.alias, accepted)
        record = await vtorc.process.life.spawn(work, name="override")
        vtorc.records.append(record)
        self._data_loss = record.data_loss
        return []

    async def do_reparent(self, words: CommandWords) -> list[str]:
        """Let an operator move the primary with Vitess' tools: `reparent zone2-200`; it ends with the reparent."""
        words.only(plain=1)
        tablet = self._tablet(words, words.plain[0])
        await plan_reparent(self.world, self.world.shards[tablet.config.shard], tablet)
        return []

    # --- time and outcome

    async def do_wait(self, words: CommandWords) -> list[str]:
        """Let time pass: `wait 30`."""
        words.only(plain=1)
        try:
            await asyncio.sleep(float(words.plain[0]))
        except (IndexError, ValueError):
            raise SimPlanError(f"{words.line!r}: expected a number of seconds") from None
        return []

    async def do_settle(self, words: CommandWords) -> list[str]:
        """Wait until all shards are well, then print the outcome since the last report: `settle [limit=180]`."""
        words.only("limit")
        await self._until_well(words.number("limit", _SETTLE_LIMIT))
        await asyncio.sleep(5.0)
        return self.outcome.report()

    def do_show(self, words: CommandWords) -> list[str]:
        """Print the outcome since the last report."""
        words.only()
        return self.outcome.report()

    def do_fleet(self, words: CommandWords) -> list[str]:
        """Print the outcome of the shards that lost their primaries, and the announcements."""
        words.only()
        self.fleet.ending(())
        return self.fleet.report().outcome()

    def do_outage(self, words: CommandWords) -> list[str]:
        """Print whether no shard was without writes for longer than this since the start: `outage below=10`."""
        words.only("below", "above")
        longest = max(self.outcome.outage(shard) for shard in self.world.shards.values())
        below, above = words.number("below", _FOR_EVER), words.number("above", 0.0)
        if above <= longest < below:
            return [f"outage {' '.join(f'{key} {value} s' for key, value in words.named.items())}"]
        return [f"outage {longest:.1f} s"]

    def do_locked(self, words: CommandWords) -> list[str]:
        """Print whether no recovery since the start held the shard lock for longer than this: `locked below=40`."""
        words.only("below")
        longest = max((record.duration for vtorc in self.world.vtorcs for record in vtorc.records), default=0.0)
        below = words.number("below", _FOR_EVER)
        return [f"no recovery took longer than {below if longest < below else longest:.1f} s"]

    async def do_ages(self, words: CommandWords) -> list[str]:
        """Print whether all statuses of living tablets stay younger than this: `ages below=6 for=30`."""
        words.only("below", "for")
        oldest = await oldest_status(self.world, words.number("for", 30.0))
        below = words.number("below", _FOR_EVER)
        return [f"statuses of living tablets are at most {below if oldest < below else oldest:.1f} s old"]

    def do_semi_sync(self, words: CommandWords) -> list[str]:
        """Print which sides of semi-sync are on."""
        words.only()
        return self.outcome.semi_sync()

    def do_threads(self, words: CommandWords) -> list[str]:
        """Print which replication threads run."""
        words.only()
        return self.outcome.threads()

    def do_reparents(self, words: CommandWords) -> list[str]:
        """Print the number of reparents in the primary's journal since the start."""
        words.only()
        return [f"{shard.id}: {self.outcome.reparents(shard)} reparents" for shard in self.world.shards.values()]

    async def _until_well(self, limit: float) -> list[str]:
        wrong: list[str] = []
        for shard in self.world.shards.values():
            wrong += await self.world.until_well(shard, limit=limit)
        return wrong

    def _tablet(self, words: CommandWords, text: str) -> SimTablet:
        shards: list[SimShard] = list(self.world.shards.values())
        if text == "primary" and shards[0].primary is not None:
            return shards[0].primary
        alias = tablet_alias(text)
        for shard in shards:
            for tablet in shard.tablets:
                if tablet.config.alias == alias:
                    return tablet
        raise SimPlanError(f"{words.line!r}: there is no tablet {text}")
