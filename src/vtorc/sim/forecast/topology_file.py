"""An operator's own topology as a JSON file: cells, shards with their policies and tablets, and vtorc's settings."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from vtorc.app import fleet_settings
from vtorc.config.flags import parse_flags
from vtorc.config.settings import Settings
from vtorc.control.scope import Scope
from vtorc.core.facts.durability import POLICY_NAMES, policy
from vtorc.core.facts.ids import ShardId, TabletAlias, TabletType
from vtorc.errors import NameParseError, UnknownDurabilityPolicy
from vtorc.recovery.session import Deadlines
from vtorc.sim.cluster.plan import ShardPlan, TabletPlan, WorldPlan
from vtorc.sim.cluster.vtorc import VtorcSettings
from vtorc.sim.errors import SimPlanError
from vtorc.sim.mysql.settings import SimMysqlSettings

_KEYS = ("cells", "vtorcs", "shards", "settings", "mysql", "writes_per_second")
_SHARD_KEYS = ("keyspace", "shard", "durability", "primary", "tablets")
_TABLET_KEYS = ("alias", "cell", "type")
_MYSQL_KEYS = ("replica_net_timeout", "connect_retry", "relay_log_recovery")

_WRITERS = 4
_MANY = 1000

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class TopologyFile:
    """The contents of the file; `primaries` has the wanted primary of each shard that names one."""

    plan: WorldPlan
    settings: VtorcSettings
    primaries: Mapping[ShardId, TabletAlias]
    writes_per_second: float


def read_topology_file(path: Path) -> TopologyFile:
    """Read and check a topology; raises SimPlanError with the key, its value and what was expected."""
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SimPlanError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SimPlanError(f"{path}: expected UTF-8 text, got a byte that is none at offset {error.start}") from error
    except json.JSONDecodeError as error:
        raise SimPlanError(f"{path} line {error.lineno} column {error.colno}: not valid JSON: {error.msg}") from error
    try:
        return _topology(written)
    except SimPlanError as error:
        raise SimPlanError(f"{path}: {error}") from error


def _topology(written: Any) -> TopologyFile:
    top = _object(written, "the file", _KEYS)
    shards = [_shard(each, f"shards[{n}]") for n, each in enumerate(_list(top.get("shards"), "shards", "shards"))]
    cells = _cells(top, shards)
    _once([plan.shard for plan, _ in shards], "shards")
    _once([tablet.alias for plan, _ in shards for tablet in plan.tablets], "tablets")
    rate = _number(top.get("writes_per_second", 40), "writes_per_second", least=0.1, most=_MANY)
    plan = WorldPlan(
        cells=cells,
        shards=tuple(plan for plan, _ in shards),
        vtorc_cells=_vtorcs(top, cells),
        writers=_WRITERS,
        write_interval=_WRITERS / rate,
        # With a short deadline a client notices the new primary at once: the forecast is about shards, not clients.
        write_deadline=1.0,
        mysql=_mysql(top.get("mysql", {})),
    )
    primaries = {plan.shard: alias for plan, alias in shards if alias is not None}
    return TopologyFile(plan, read_settings(_object(top.get("settings", {}), "settings", None)), primaries, rate)


def _cells(top: Mapping[str, Any], shards: Sequence[tuple[ShardPlan, TabletAlias | None]]) -> tuple[str, ...]:
    used = tuple(dict.fromkeys(tablet.alias.cell for plan, _ in shards for tablet in plan.tablets))
    if "cells" not in top:
        return used
    cells = tuple(_text(each, f"cells[{n}]") for n, each in enumerate(_list(top["cells"], "cells", "names of cells")))
    for cell in used:
        if cell not in cells:
            raise SimPlanError(f"cells: {list(cells)}: expected {cell!r} too, as a tablet is in it")
    _once(cells, "cells")
    return cells


def _vtorcs(top: Mapping[str, Any], cells: tuple[str, ...]) -> tuple[str, ...]:
    if "vtorcs" not in top:
        return cells
    names = _list(top["vtorcs"], "vtorcs", "the cell of each vtorc")
    return tuple(_one_of(each, f"vtorcs[{n}]", cells) for n, each in enumerate(names))


def _shard(written: Any, key: str) -> tuple[ShardPlan, TabletAlias | None]:
    given = _object(written, key, _SHARD_KEYS)
    name = f"{_text(given.get('keyspace'), f'{key}.keyspace')}/{_text(given.get('shard', '0'), f'{key}.shard')}"
    shard = _parsed(ShardId.parse, name, f"{key}.shard")
    durability = _text(given.get("durability"), f"{key}.durability")
    try:
        policy(durability)
    except UnknownDurabilityPolicy:
        raise SimPlanError(f"{key}.durability: {durability!r}: expected one of {', '.join(POLICY_NAMES)}") from None
    listed = _list(given.get("tablets"), f"{key}.tablets", "tablets")
    tablets = tuple(_tablet(each, f"{key}.tablets[{n}]") for n, each in enumerate(listed))
    plan = ShardPlan(shard=shard, durability=durability, tablets=tablets)
    if "primary" not in given:
        return plan, None
    primary = _parsed(TabletAlias.parse, _text(given["primary"], f"{key}.primary"), f"{key}.primary")
    able = [tablet.alias for tablet in tablets if tablet.type is TabletType.REPLICA]
    if primary not in able:
        raise SimPlanError(f"{key}.primary: {given['primary']!r}: expected one of {', '.join(map(str, able))}")
    return plan, primary


def _tablet(written: Any, key: str) -> TabletPlan:
    given = _object(written, key, _TABLET_KEYS)
    alias = _parsed(TabletAlias.parse, _text(given.get("alias"), f"{key}.alias"), f"{key}.alias")
    if given.get("cell", alias.cell) != alias.cell:
        raise SimPlanError(f"{key}.cell: {given['cell']!r}: expected {alias.cell!r}, as its alias says")
    type_ = _parsed(TabletType.parse, _text(given.get("type", "replica"), f"{key}.type"), f"{key}.type")
    if type_ is TabletType.PRIMARY:
        raise SimPlanError(f"{key}.type: 'primary': expected 'replica'; the shard's key \"primary\" names the primary")
    return TabletPlan(alias=alias, type=type_)


def _mysql(written: Any) -> SimMysqlSettings:
    given = _object(written, "mysql", _MYSQL_KEYS)
    default = SimMysqlSettings()
    recovery = given.get("relay_log_recovery", default.relay_log_recovery)
    if not isinstance(recovery, bool):
        raise SimPlanError(f"mysql.relay_log_recovery: {recovery!r}: expected true or false")

    def seconds(name: str) -> float:
        return _number(given.get(name, getattr(default, name)), f"mysql.{name}", least=1, most=86400)

    return SimMysqlSettings(
        relay_log_recovery=recovery,
        replica_net_timeout=seconds("replica_net_timeout"),
        connect_retry=seconds("connect_retry"),
    )


def read_settings(given: Mapping[str, Any]) -> VtorcSettings:
    """Read vtorc's settings by the names of its flags; raises SimPlanError."""
    line = parse_flags(
        f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in given.items()
    )
    if line.problems:
        raise SimPlanError(f"settings: {'; '.join(line.problems)}")
    settings = Settings(**{one.setting.field: one.value for one in line.assigned if one.setting.field})
    fleet = fleet_settings(settings, Scope())
    return VtorcSettings(
        rules=fleet.decisions,
        pace=fleet.pace,
        deadlines=Deadlines(call=settings.remote_operation_timeout, catch_up=settings.wait_replicas_timeout),
        refresh_every=fleet.refresh_every,
        same_cell_only=settings.prevent_cross_cell_failover,
        tolerable_lag=settings.tolerable_replication_lag,
        budget=fleet.budget,
        hold_above=fleet.hold_above,
        asks_mysql=bool(settings.mysql_topology_user),
    )


# --- checks of JSON values


def _object(value: Any, key: str, known: Sequence[str] | None) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise SimPlanError(f"{key}: {value!r}: expected an object")
    for name in value:
        if known is not None and name not in known:
            raise SimPlanError(f"{key}: unknown key {name!r}: expected one of {', '.join(known)}")
    return value


def _list(value: Any, key: str, of: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise SimPlanError(f"{key}: {value!r}: expected a list of {of}, at least one")
    return value


def _text(value: Any, key: str) -> str:
    if not isinstance(value, str) or not value:
        raise SimPlanError(f"{key}: {value!r}: expected a text")
    return value


def _number(value: Any, key: str, *, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise SimPlanError(f"{key}: {value!r}: expected a number from {least:g} to {most:g}")
    return float(value)


def _one_of(value: Any, key: str, known: Sequence[str]) -> str:
    if value not in known:
        raise SimPlanError(f"{key}: {value!r}: expected one of {', '.join(known)}")
    return str(value)


def _parsed(parse: Callable[[str], _T], text: str, key: str) -> _T:
    try:
        return parse(text)
    except NameParseError as error:
        raise SimPlanError(f"{key}: {error}") from error


def _once(names: Sequence[object], key: str) -> None:
    seen: set[str] = set()
    for name in map(str, names):
        if name in seen:
            raise SimPlanError(f"{key}: {name!r} is there twice")
        seen.add(name)
