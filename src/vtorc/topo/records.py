"""Conversion between the records' bytes and the values of the core: invalid bytes raise BadRecord, never a guess.

A tablet type with an unknown number, of a newer Vitess, becomes UNKNOWN: the tablet is probed, but is neither a primary
nor a candidate. A keyspace of an unknown kind is a bad record: no action may be taken in it.
"""

from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from vtorc.core.facts.ids import ShardId, TabletAlias, TabletType
from vtorc.core.facts.records import (
    DEFAULT_SIDECAR,
    HIGHEST_PORT,
    KeyspaceRecord,
    KeyspaceType,
    ShardRecord,
    TabletRecord,
)
from vtorc.errors import BadRecord, NameParseError
from vtorc.proto import topodata_pb2, vttime_pb2
from vtorc.topo import paths

Record = TypeVar("Record", bound=Message)

_SHOWN_BYTES = 16
"""Most bytes of an invalid record that an error shows."""


def parse(path: str, contents: bytes, kind: type[Record]) -> Record:
    """Decode a message, unknown fields included; raises BadRecord."""
    message = kind()
    try:
        message.ParseFromString(contents)
    except DecodeError as error:
        raise _bad(path, f"no {kind.DESCRIPTOR.full_name} can be decoded from it", contents) from error
    return message


def tablet_record(path: str, contents: bytes, alias: TabletAlias) -> TabletRecord:
    """Decode the record of the tablet that the path names; raises BadRecord."""
    tablet = parse(path, contents, topodata_pb2.Tablet)
    if alias_from_proto(tablet.alias) != alias:
        raise _bad(path, f"its alias says {tablet.alias.cell!r} {tablet.alias.uid} and its path {alias}", contents)
    if not (tablet.keyspace and tablet.shard):
        raise _bad(path, f"keyspace {tablet.keyspace!r} or shard {tablet.shard!r} is empty", contents)
    grpc_port = tablet.port_map.get("grpc", 0)
    for name, port in (("grpc port", grpc_port), ("mysql_port", tablet.mysql_port)):
        if not 0 <= port <= HIGHEST_PORT:
            raise _bad(path, f"its {name} {port} is not a port", contents)
    return TabletRecord(
        alias=alias,
        keyspace=tablet.keyspace,
        shard=tablet.shard,
        type=_tablet_type(tablet.type),
        hostname=tablet.hostname,
        grpc_port=grpc_port,
        mysql_hostname=tablet.mysql_hostname,
        mysql_port=tablet.mysql_port,
        primary_term_start=time_from_proto(tablet.primary_term_start_time),
        start_time=time_from_proto(tablet.tablet_start_time),
        shutdown_time=time_from_proto(tablet.tablet_shutdown_time),
    )


def shard_record(path: str, contents: bytes, shard: ShardId) -> ShardRecord:
    """Decode the record of the shard that the path names; raises BadRecord."""
    message = parse(path, contents, topodata_pb2.Shard)
    return ShardRecord(
        shard=shard,
        primary_alias=alias_from_proto(message.primary_alias),
        primary_term_start=time_from_proto(message.primary_term_start_time),
        emergency_reparent_disabled=message.vtorc_state.disable_emergency_reparent,
    )


def keyspace_record(path: str, contents: bytes, name: str) -> KeyspaceRecord:
    """Decode the record of the keyspace that the path names; raises BadRecord."""
    message = parse(path, contents, topodata_pb2.Keyspace)
    try:
        kind = KeyspaceType(message.keyspace_type)
    except ValueError as error:
        raise _bad(
            path, f"keyspace_type {message.keyspace_type} is neither NORMAL (0) nor SNAPSHOT (1)", contents
        ) from error
    return KeyspaceRecord(
        name=name,
        type=kind,
        durability_policy=message.durability_policy,
        emergency_reparent_disabled=message.vtorc_state.disable_emergency_reparent,
        sidecar_db_name=message.sidecar_db_name or DEFAULT_SIDECAR,
    )


def alias_of_path(path: str) -> TabletAlias | None:
    """Return the alias in `tablets/<alias>/Tablet`; None for another path or a malformed alias."""
    try:
        alias = TabletAlias.parse(path.removeprefix(f"{paths.TABLETS}/").partition("/")[0])
    except NameParseError:
        return None
    return alias if paths.tablet(alias) == path else None  # another spelling of it would be read from another path


def alias_from_proto(alias: topodata_pb2.TabletAlias) -> TabletAlias | None:
    """Convert an alias; None if it is absent or all zero, as Vitess writes "no tablet"."""
    return TabletAlias(alias.cell, alias.uid) if alias.cell or alias.uid else None


def alias_to_proto(alias: TabletAlias) -> topodata_pb2.TabletAlias:
    """Convert an alias to its message."""
    return topodata_pb2.TabletAlias(cell=alias.cell, uid=alias.uid)


def time_from_proto(moment: vttime_pb2.Time) -> int:
    """Convert a time to nanoseconds since the Unix epoch, 0 if absent."""
    return moment.seconds * 10**9 + moment.nanoseconds


def time_to_proto(nanoseconds: int) -> vttime_pb2.Time:
    """Convert nanoseconds since the Unix epoch to a time."""
    seconds, rest = divmod(nanoseconds, 10**9)
    return vttime_pb2.Time(seconds=seconds, nanoseconds=rest)


def key_range_to_proto(shard: ShardId) -> topodata_pb2.KeyRange | None:
    """Return the key range of a shard's name: None for a name without a dash, a message without bounds for `-`.

    Raises NameParseError.
    """
    if "-" not in shard.shard:
        return None
    return topodata_pb2.KeyRange(start=shard.key_range.start, end=shard.key_range.end)


def _tablet_type(number: int) -> TabletType:
    try:
        return TabletType(number)
    except ValueError:
        return TabletType.UNKNOWN


def _bad(path: str, reason: str, contents: bytes) -> BadRecord:
    shown = contents[:_SHOWN_BYTES].hex(" ") or "nothing"
    start = "it starts with" if len(contents) > _SHOWN_BYTES else "it is"
    return BadRecord(path, f"{reason}; {len(contents)} bytes, {start} {shown}")
