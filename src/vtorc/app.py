"""Builds the parts of the daemon from the settings, and starts and stops them in order."""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

import vtorc
from vtorc.audit_log import open_audit
from vtorc.clients import client_settings, make_sentinel, topo_settings
from vtorc.config.settings import Settings
from vtorc.config.store import SettingsStore
from vtorc.control.budget import BudgetLimits
from vtorc.control.fleet import Fleet, FleetSettings
from vtorc.control.garbage import rare_garbage_collection
from vtorc.control.history_observer import HistoryObserver
from vtorc.control.log_observer import LogObserver
from vtorc.control.observer import Observer, Observers, TopologyObservers
from vtorc.control.publisher import DaemonFacts
from vtorc.control.scope import Scope
from vtorc.control.shard_loop import DecisionSettings
from vtorc.control.sharing import ShardSharing
from vtorc.control.topology_advice import TopologyAdvice
from vtorc.core.decision.decisions import DecisionLimits
from vtorc.core.detection.thresholds import DetectionThresholds
from vtorc.core.facts.clock import Clock
from vtorc.core.facts.standing import StandingHolds
from vtorc.discovery.lateness import OnTimeClock
from vtorc.discovery.memory_keeper import MemoryKeeper
from vtorc.discovery.probe_pace import PRIMARY_SHARE, ProbePace
from vtorc.errors import MemoryFileError
from vtorc.files import beside_the_loop
from vtorc.forms.access import KnownToken
from vtorc.forms.running_settings import LiveSettingForms
from vtorc.forms.settings import SettingForm
from vtorc.history.claim import Claim
from vtorc.history.memory_file import MemoryFile, StoredMemory, read_memory
from vtorc.history.retention import Retention
from vtorc.history.writer import HistoryWriter
from vtorc.notifying import Notifying
from vtorc.orders import open_orders, restored_holds, restored_notes, restored_tokens
from vtorc.recovery.session import Bounds, Deadlines, RecoveryTools
from vtorc.reloading import Reloading
from vtorc.server.listener import BoundListener
from vtorc.server.opening import open_listeners, server_rules
from vtorc.server.options import ServerRules
from vtorc.serving import HttpSide
from vtorc.tablet.client import GrpcTabletManager
from vtorc.topo.open import open_topo
from vtorc.topo.server import TopoServer

EXIT_OK = 0

HISTORY_FILE = "vtorc-history.sqlite"
"""Name of the history file in the log folder."""

MEMORY_FILE = "vtorc-memory.sqlite"
"""Name of the file of what vtorc remembers in the log folder."""

ORDERS_FILE = "vtorc-orders.sqlite"
"""Name of the file of what operators told vtorc in the log folder."""

CLAIM_FILE = "vtorc-in-use"
"""Name of the file in the log folder by which a second vtorc notices the first."""

WEBHOOK_FILE = "vtorc-webhook.sqlite"
"""Name of the file of undelivered events of the webhook in the log folder."""

MEMORY_PATIENCE = 5.0
"""Seconds that the disk gets to return that file before vtorc starts without it."""

_log = structlog.get_logger("vtorc")


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        """Return seconds on the event loop's monotonic clock."""
        return time.monotonic()

    def wall(self) -> int:
        """Return nanoseconds since the Unix epoch."""
        return time.time_ns()


def run(store: SettingsStore) -> int:
    """Run the daemon until SIGTERM or SIGINT; returns the exit code, and raises VtorcError or a group of them."""
    with contextlib.suppress(asyncio.CancelledError):  # by a signal during the start
        asyncio.run(_run(store))
    return EXIT_OK


async def _run(store: SettingsStore) -> None:
    loop, early = asyncio.get_running_loop(), _EarlySignals()
    early.handle(loop)
    scope = Scope.parse(store.settings.clusters_to_watch)
    rules = server_rules(store.settings)

    def handle_signals(fleet: Fleet, reloading: Reloading) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _stop, fleet, number)
        loop.add_signal_handler(signal.SIGHUP, reloading.begin)
        if early.wants_reload:
            reloading.begin()

    with open_listeners(store.settings) as listeners:
        await run_fleet(store, scope, listeners, rules, ready=handle_signals)


class _EarlySignals:
    """The signals that come while vtorc starts, which may wait for a topology server.

    By their default they would end the process at once: its pid file stayed, and a reload was its end.
    """

    def __init__(self) -> None:
        self.wants_reload = False

    def handle(self, loop: asyncio.AbstractEventLoop) -> None:
        """Handle them until others do."""
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, asyncio.current_task(), number)

    def _reload(self) -> None:
        self.wants_reload = True

    def _end(self, starting: asyncio.Task[Any] | None, number: signal.Signals) -> None:
        _log.info(f"{number.name}: stopped before it watched anything")
        if starting is not None:
            starting.cancel()


async def run_fleet(
    store: SettingsStore,
    scope: Scope,
    listeners: Sequence[BoundListener],
    rules: ServerRules,
    *,
    ready: Callable[[Fleet, Reloading], None],
    observers: Sequence[Observer] = (),
) -> None:
    """Run a vtorc until it is stopped or cancelled; `ready` is called once it can be stopped.

    `observers` hear of its shards first. Raises VtorcError or a group of them.
    """
    new_file = _missing_topology_file(store.settings)
    async with (
        open_tools(lambda: store.settings) as (tools, tablets),
        claimed_files(store.settings),
        open_history(lambda: store.settings, tools.clock) as history,
        open_memory(store.settings, tools.clock) as keeper,
        open_orders(orders_file(store.settings)) as orders,
        open_audit(store.settings, tools.clock) as audit,
    ):
        log, advice = LogObserver(), topology_advice(store.settings, new_file=new_file)
        reloading = Reloading(store, tablets)
        forms, tokens = LiveSettingForms(store), await restored_tokens(orders)
        notes = await restored_notes(orders, tools.clock)
        notifying = Notifying(lambda: store.settings, tools.clock, outbox=beside_history(store.settings, WEBHOOK_FILE))
        tools = replace(tools, hooks=notifying.pre_hooks)
        http = HttpSide(
            listeners,
            rules,
            tools,
            fleet=lambda: fleet,
            facts=lambda: daemon_facts(store.settings, fleet, forms(), tokens.tokens),
            tokens=tokens,
            acts_a_minute=lambda: store.settings.actions_per_minute,
            notes=notes,
            reload=reloading.reload,
            audit=[log, *history, *audit, *notifying.webhook_observers],
            metrics=[notifying.metrics],
        )
        notifying.listen([*history, *http.publishers])
        fleet = Fleet(
            tools,
            LiveFleetSettings(lambda: store.settings, scope),
            Observers([*observers, log, *history, *audit, *http.observers, *notifying.observers]),
            sentinel=make_sentinel(store.settings),
            topology_observer=TopologyObservers([log, advice, *history, *http.observers, *notifying.hook_observers]),
            keeper=keeper,
            holds=await restored_holds(orders, tools.clock),
            sharing=_sharing(store, tools, listeners) if store.settings.share_shards else None,
        )
        for hear in (log.held, *(each.held for each in history)):
            fleet.holds.listen(hear)
        ready(fleet, reloading)
        _log.info("started", clusters_to_watch=list(store.settings.clusters_to_watch), cell=store.settings.cell or None)
        async with rare_garbage_collection(lambda: fleet.is_recovering), notifying.running(), http.serving():
            await fleet.run()
        _log.info("stopped")


def _sharing(store: SettingsStore, tools: RecoveryTools, listeners: Sequence[BoundListener]) -> ShardSharing:
    """Return how this vtorc shares the shards with others; its name stays the same over restarts if it has a port."""
    port = listeners[0].address.rpartition(":")[2] if listeners else os.getpid()
    return ShardSharing(
        tools.topo,
        tools.clock,
        f"{socket.gethostname()}:{port}",
        life=secrets.token_hex(4),
        clusters_to_watch=store.settings.clusters_to_watch,
        acts=lambda: store.settings.allow_recovery,
    )


def topology_advice(settings: Settings, *, new_file: str) -> TopologyAdvice:
    """Make the observer that warns of a topology without what the settings name; `new_file` as in TopologyAdvice."""
    return TopologyAdvice(settings.clusters_to_watch, root=settings.topo_global_root, new_file=new_file)


def _missing_topology_file(settings: Settings) -> str:
    """Return the path of a local topology that is about to be made; empty if it exists, or is none."""
    path = settings.topo_global_server_address
    try:
        return path if settings.topo_implementation == "local" and not Path(path).exists() else ""
    except OSError:
        return ""  # opening it tells why


def daemon_facts(
    settings: Settings, fleet: Fleet, forms: tuple[SettingForm, ...], tokens: tuple[KnownToken, ...] = ()
) -> DaemonFacts:
    """Return what vtorc tells of itself."""
    return DaemonFacts(
        version=vtorc.__version__,
        process=os.getpid(),
        recoveries_allowed=settings.allow_recovery,
        emergency_reparents_allowed=settings.allow_emergency_reparent,
        clusters_to_watch=settings.clusters_to_watch,
        history_file=history_file(settings),
        holds_outlive_vtorc=fleet.holds.is_lasting,
        shards_watched=fleet.shards_watched,
        shards_known=fleet.shards_known,
        shared_among=fleet.shared_among,
        settings=forms,
        tokens=tokens,
    )


def _stop(fleet: Fleet, number: signal.Signals) -> None:
    _log.info(f"{number.name}: stopping, no recovery begins and those in progress end first")
    fleet.stop()


@asynccontextmanager
async def open_tools(settings: Callable[[], Settings]) -> AsyncIterator[tuple[RecoveryTools, GrpcTabletManager]]:
    """Connect to the topology server and prepare calls to tablets; raises VtorcError if the settings do not allow it.

    `settings` is called again for each value that may change while running.
    """
    topo = await open_topo(topo_settings(settings()))
    try:
        clock = OnTimeClock(SystemClock())
        tablets = GrpcTabletManager(
            client_settings(settings()),
            wait_timeout=lambda: settings().wait_replicas_timeout,
            timeout=clock.timeout,
        )
        try:
            yield make_tools(settings, topo, tablets, clock), tablets
        finally:
            await tablets.close()
    finally:
        await topo.close()


@asynccontextmanager
async def claimed_files(settings: Settings) -> AsyncIterator[None]:
    """Tell if another vtorc keeps its files in the same place; the log folder of Vitess' vtorcs was often shared."""
    path = beside_history(settings, CLAIM_FILE)
    try:
        claim = await beside_the_loop(lambda: Claim(path), patience=MEMORY_PATIENCE) if path else None
    except OSError:  # those that keep the files tell what is the matter
        claim = None
    if claim is not None and claim.other:
        _log.warning(
            f"another vtorc ({claim.other}) keeps its files in {Path(path).parent.absolute()} as well: give each one a "
            "--log-dir or a --sqlite-data-file of its own. Both write to the same history, memory and orders, and "
            "neither obeys what the other is told"
        )
    try:
        yield
    finally:
        if claim is not None:
            claim.end()


@asynccontextmanager
async def open_history(settings: Callable[[], Settings], clock: Clock) -> AsyncIterator[Sequence[HistoryObserver]]:
    """Write a history to `sqlite_data_file` or to the log folder; without either there is no history.

    A history that cannot be written is logged, and vtorc starts all the same.
    """
    path = history_file(settings())
    if not path:
        yield ()
        return
    writer = HistoryWriter(
        path,
        kept=lambda: Retention(seconds=settings().audit_purge_duration, size=settings().history_max_size),
        version=vtorc.__version__,
        process=os.getpid(),
        # A file that the operator named may belong to another program: it is not moved even if SQLite cannot read it.
        replace_damaged=not _named_data_file(settings()),
    )
    try:
        yield (HistoryObserver(writer, clock),)
    finally:
        await asyncio.to_thread(writer.close)


@asynccontextmanager
async def open_memory(settings: Settings, clock: OnTimeClock) -> AsyncIterator[MemoryKeeper | None]:
    """Read what the process before remembered, and keep what this one learns; None without a place for the history.

    A file that cannot be read is told once, and vtorc starts with what it can find out itself.
    """
    path = beside_history(settings, MEMORY_FILE)
    if not path:
        yield None
        return
    try:
        stored = await beside_the_loop(lambda: read_memory(path), patience=MEMORY_PATIENCE)
    except (MemoryFileError, OSError) as error:  # a TimeoutError is an OSError
        why = str(error) or f"memory file {path}: it could not be read within {MEMORY_PATIENCE:g} s"
        _log.error(f"{why}; started without memory: what is not known yet counts as unknown, never as safe")
        stored = StoredMemory()
    if stored.unread:
        shard, why = next(iter(stored.unread.items()))
        _log.error(
            f"memory file {path}: not read for {len(stored.unread)} of {len(stored.unread) + len(stored.shards)} "
            f"shards, among them {shard}: {why}; what is not known of them yet counts as unknown"
        )
    file = MemoryFile(path)
    keeper = MemoryKeeper(file, stored.shards)
    try:
        yield keeper
    finally:
        keeper.close()
        await asyncio.to_thread(file.close)


def history_file(settings: Settings) -> str:
    """Return the path of the history; empty if there is no place for one."""
    return _named_data_file(settings) or _in_log_folder(settings, HISTORY_FILE)


def beside_history(settings: Settings, name: str) -> str:
    """Return the path of a file such as `vtorc-memory.sqlite` beside the history; empty if there is no place for it."""
    named = _named_data_file(settings)
    return f"{named}-{name.removeprefix('vtorc-').removesuffix('.sqlite')}" if named else _in_log_folder(settings, name)


def orders_file(settings: Settings) -> str:
    """Return the path of what operators told vtorc; empty if there is no place for it."""
    return beside_history(settings, ORDERS_FILE)


def _named_data_file(settings: Settings) -> str:
    """Return the SQLite file that the operator named for vtorc's data; empty if none, or one that is no file."""
    path = settings.sqlite_data_file
    return "" if path.startswith(("file:", ":memory:")) else path


def _in_log_folder(settings: Settings, name: str) -> str:
    return str(Path(settings.log_dir) / name) if settings.log_dir else ""


def make_tools(
    settings: Callable[[], Settings], topo: TopoServer, tablets: GrpcTabletManager, clock: OnTimeClock
) -> RecoveryTools:
    """Put together the clients and the clock that recoveries use."""
    return RecoveryTools(topo=topo, tablets=tablets, clock=clock, bounds=lambda: recovery_bounds(settings()))


def recovery_bounds(settings: Settings) -> Bounds:
    """Return the settings that each recovery reads again."""
    return Bounds(
        deadlines=Deadlines(call=settings.remote_operation_timeout, catch_up=settings.wait_replicas_timeout),
        same_cell_only=settings.prevent_cross_cell_failover,
        tolerable_lag=settings.tolerable_replication_lag,
    )


def fleet_settings(settings: Settings, scope: Scope) -> FleetSettings:
    """Return the settings that the fleet reads again before each use."""
    return FleetSettings(
        scope=scope,
        decisions=DecisionSettings(
            limits=DecisionLimits(
                allow_recovery=settings.allow_recovery,
                allow_emergency_reparent=settings.allow_emergency_reparent,
                disk_stalled_recovery=settings.enable_primary_disk_stalled_recovery,
                drain_errant=settings.change_tablets_with_errant_gtid_to_drained,
                block_seconds=settings.recovery_period_block_seconds,
            ),
            thresholds=DetectionThresholds(),
            default_durability=settings.durability,
            promotion_rules=dict(settings.durability_params),
            standing=StandingHolds(
                cells_to_watch=settings.cells_to_watch,
                cells_no_recovery=settings.cells_no_recovery,
                ignored_hosts=settings.recovery_ignore_hostname_filters,
                unpromoted_hosts=settings.promotion_ignore_hostname_filters,
                excluded_hosts=settings.discovery_ignore_hostname_filters,
            ),
            rejudge_every=settings.recovery_poll_duration,
        ),
        pace=ProbePace(
            calm_interval=settings.instance_poll_time,
            primary_interval=PRIMARY_SHARE * settings.instance_poll_time,
            calm_deadline=min(settings.instance_poll_time, settings.remote_operation_timeout),
            hurried_interval=settings.suspicious_poll_time,
        ),
        refresh_every=settings.topo_information_refresh_duration,
        shutdown_wait=settings.shutdown_wait_time,
        budget=BudgetLimits(recoveries=settings.recovery_concurrency, repairs=settings.repair_concurrency),
        hold_above=settings.hold_replacements_above,
    )


class LiveFleetSettings:
    """The fleet's settings, built anew only after a reload.

    The fleet asks for them several times for each question to a tablet.
    """

    def __init__(self, settings: Callable[[], Settings], scope: Scope) -> None:
        """Read the settings from `settings`, which returns another object after a reload."""
        self._settings = settings
        self._scope = scope
        self._source = settings()
        self._built = fleet_settings(self._source, scope)

    def __call__(self) -> FleetSettings:
        """Return the fleet's settings of this moment."""
        source = self._settings()
        if source is not self._source:
            self._source, self._built = source, fleet_settings(source, self._scope)
        return self._built
