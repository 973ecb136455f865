"""The table of facts that speak against the use of a server: what each rules out, and what the operator can do.

`vtorc.core.facts.fitness` judges tablets by it.
"""

import enum
import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from vtorc.core.facts.ids import TabletAlias, alias_list
from vtorc.core.facts.observed_term import ENDLESS_ACK_TIMEOUT
from vtorc.core.facts.status import TabletStatus

_VERSION = re.compile(r"([0-9]+)\.([0-9]+)\.[0-9]+", re.ASCII)
_WRITING_GTIDS = ("ON", "ON_PERMISSIVE")


class Use(enum.Enum):
    """A part that a tablet plays in its shard."""

    HOLD = "hold"
    """To have the data of the transactions that its GTIDs name."""
    FEED = "feed"
    """To give others the transactions that it received."""
    ACKNOWLEDGE = "acknowledge"
    """To be one of the ackers that keep a write safe."""
    LEAD = "lead"
    """To become primary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One server, and what it is compared with."""

    status: TabletStatus
    """The last answer of its tablet."""
    peers: Mapping[TabletAlias, TabletStatus] = field(default_factory=dict)
    """The answers of the other tablets of its shard that answer now."""
    was_filtered: bool = False
    """Whether this server was seen with replication filters earlier, which leave gaps that stay."""
    required_acks: int = 0
    """How many acknowledgements each of its writes needs by the policy, if it is primary; 0 for no semi-sync."""
    others_that_may_ack: int | None = None
    """How many tablets could acknowledge its writes once the present primary is lost; None if that is not asked."""


Judge = Callable[[Subject], str | None]
"""Says what speaks against a server, as the end of a sentence about it: empty if nothing does, None if its tablet does
not tell."""


def _filters(subject: Subject) -> str | None:
    """Judge the filters, which a server without a source does not tell."""
    replication = subject.status.replication
    if replication is not None and replication.has_filters:
        return "leaves out transactions by replication filters, and its GTIDs name them all the same"
    if subject.was_filtered:
        return "had replication filters, and may lack the rows of transactions that its GTIDs name"
    return None if replication is None or replication.has_filters is None else ""


def _no_binary_log(subject: Subject) -> str | None:
    log_bin = subject.status.log_bin
    return None if log_bin is None else "" if log_bin else "writes no binary log (log_bin=OFF)"


def _no_replica_updates(subject: Subject) -> str | None:
    logged = subject.status.log_replica_updates
    if logged is None:
        return None
    return "" if logged or not subject.status.log_bin else "does not log what it receives (log_replica_updates=OFF)"


def _gtid_mode(subject: Subject) -> str | None:
    mode = subject.status.gtid_mode.upper()
    return (
        None if not mode else "" if mode in _WRITING_GTIDS else f"writes transactions without GTIDs (gtid_mode={mode})"
    )


def _binlog_format(subject: Subject) -> str | None:
    format_ = subject.status.binlog_format.upper()
    if not format_:
        return None
    return "" if format_ == "ROW" else f"logs statements that may do other things elsewhere (binlog_format={format_})"


def _shared_uuid(subject: Subject) -> str | None:
    uuid = subject.status.server_uuid
    if not uuid:
        return None
    others = [alias for alias, peer in subject.peers.items() if peer.server_uuid == uuid]
    return f"has the server_uuid of {alias_list(others)}, and each throws the other off its source" if others else ""


def _shared_id(subject: Subject) -> str | None:
    number = subject.status.server_id
    if not number:
        return None
    others = [alias for alias, peer in subject.peers.items() if peer.server_id == number]
    return f"has the server_id of {alias_list(others)}, and neither takes transactions of the other" if others else ""


def _newer_release(subject: Subject) -> str | None:
    mine = _release(subject.status.version)
    if mine is None:
        return None
    oldest = min(
        (each for peer in subject.peers.values() if (each := _release(peer.version)) is not None), default=mine
    )
    if mine <= oldest:
        return ""
    return f"runs MySQL {mine[0]}.{mine[1]}, and replicas of {oldest[0]}.{oldest[1]} are not made for a newer source"


def _delay(subject: Subject) -> str | None:
    replication = subject.status.replication
    if replication is None:
        return ""
    return None if replication.sql_delay is None else late_on_purpose(replication.sql_delay)


def _no_semi_sync(subject: Subject) -> str | None:
    """Judge whether it has the plugins of semi-sync.

    A server without them tells the same as one that could not be asked, so others have to tell more.
    """
    semi_sync = subject.status.semi_sync
    if not subject.required_acks or semi_sync.is_reported or semi_sync.primary_enabled or semi_sync.replica_enabled:
        return ""
    if not any(peer.semi_sync.is_reported for peer in subject.peers.values()):
        return None
    return "tells no settings of semi-sync while other tablets do, so the plugins may be missing"


def _wait_count(subject: Subject) -> str | None:
    count, others = subject.status.semi_sync.wait_for_replica_count, subject.others_that_may_ack
    if not subject.required_acks:
        return ""
    if not count:
        return None
    if others is None or count <= max(others, subject.required_acks):
        return ""
    return (
        f"would wait for {count} acknowledgements as primary (rpl_semi_sync_source_wait_for_replica_count), and "
        f"{others} could be given"
    )


def _ack_timeout(subject: Subject) -> str | None:
    if not subject.required_acks:
        return ""
    seconds = subject.status.semi_sync.timeout / 1000.0
    if not seconds:
        return None
    if seconds >= ENDLESS_ACK_TIMEOUT:
        return ""
    return f"would tell clients OK without acknowledgement after {seconds:g} s (rpl_semi_sync_source_timeout)"


def _backup(subject: Subject) -> str | None:
    replication = subject.status.replication
    return "is being backed up" if replication is not None and replication.backup_running else ""


@functools.lru_cache(maxsize=64)
def _release(version: str) -> tuple[int, int] | None:
    """Return the release series of a MySQL; None if it is not told. Old tablets send the banner of mysqld."""
    found = _VERSION.search(version)
    return None if found is None else (int(found[1]), int(found[2]))


def late_on_purpose(delay: int) -> str:
    """Return that a replica applies everything late by so many seconds, as the end of a sentence; empty for 0."""
    return f"applies each transaction {delay} s late on purpose (SOURCE_DELAY)" if delay else ""


END_OF_DELAY = "STOP REPLICA SQL_THREAD; CHANGE REPLICATION SOURCE TO SOURCE_DELAY = 0; START REPLICA SQL_THREAD"
"""How an operator ends a delay on the replica."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactTraits:
    """One row of the table; no column has a default, so that the type checker names a forgotten one."""

    spelling: str
    """The fact in a word or two, as it is listed where the tablet does not tell it."""
    judge: Judge
    """Says whether it is so."""
    never: frozenset[Use]
    """The uses that the tablet is never put to."""
    last: frozenset[Use]
    """The uses that it is put to only where no other tablet can be."""
    told: bool
    """Whether it is told while all is well; what passes by itself is not."""
    remedy: str
    """The remedy in the hands of the operator."""


def _uses(*uses: Use) -> frozenset[Use]:
    return frozenset(uses)


class Fact(enum.Enum):
    """A fact that speaks against a tablet; each member is its row."""

    _value_: str
    traits: FactTraits

    def __new__(cls, traits: FactTraits) -> Self:
        """Make a member; its value is the spelling."""
        member = object.__new__(cls)
        member._value_ = traits.spelling
        member.traits = traits
        return member

    FILTERS = FactTraits(
        spelling="replication filters",
        judge=_filters,
        never=_uses(Use.HOLD, Use.FEED, Use.LEAD),
        last=_uses(Use.ACKNOWLEDGE),
        told=True,
        remedy="remove its filters (CHANGE REPLICATION FILTER) and rebuild it from another tablet",
    )
    NO_BINARY_LOG = FactTraits(
        spelling="log_bin",
        judge=_no_binary_log,
        never=_uses(Use.FEED, Use.LEAD),
        last=_uses(),
        told=True,
        remedy="start its MySQL with log_bin",
    )
    NO_REPLICA_UPDATES = FactTraits(
        spelling="log_replica_updates",
        judge=_no_replica_updates,
        never=_uses(Use.FEED),
        last=_uses(Use.LEAD),
        told=True,
        remedy="start its MySQL with log_replica_updates=ON",
    )
    GTID_MODE = FactTraits(
        spelling="gtid_mode",
        judge=_gtid_mode,
        never=_uses(Use.FEED, Use.LEAD),
        last=_uses(),
        told=True,
        remedy="bring gtid_mode to ON, step by step as MySQL asks",
    )
    BINLOG_FORMAT = FactTraits(
        spelling="binlog_format",
        judge=_binlog_format,
        never=_uses(),
        last=_uses(Use.LEAD),
        told=True,
        remedy="set binlog_format to ROW",
    )
    SHARED_UUID = FactTraits(
        spelling="server_uuid",
        judge=_shared_uuid,
        never=_uses(),
        last=_uses(Use.ACKNOWLEDGE, Use.LEAD),
        told=True,
        remedy="stop the MySQL of one of them, delete its auto.cnf and start it",
    )
    SHARED_ID = FactTraits(
        spelling="server_id",
        judge=_shared_id,
        never=_uses(),
        last=_uses(Use.LEAD),
        told=True,
        remedy="give one of them another server_id",
    )
    NEWER_RELEASE = FactTraits(
        spelling="version",
        judge=_newer_release,
        never=_uses(),
        last=_uses(Use.LEAD),
        told=False,
        remedy="upgrade the other tablets",
    )
    DELAY = FactTraits(
        spelling="SOURCE_DELAY",
        judge=_delay,
        never=_uses(),
        last=_uses(Use.LEAD),
        told=True,
        remedy=f"end the delay, or take it out of the shard's replicas ({END_OF_DELAY})",
    )
    NO_SEMI_SYNC = FactTraits(
        spelling="semi-sync plugins",
        judge=_no_semi_sync,
        never=_uses(Use.ACKNOWLEDGE, Use.LEAD),
        last=_uses(),
        told=True,
        remedy="install the plugins for both sides of semi-sync",
    )
    WAIT_COUNT = FactTraits(
        spelling="rpl_semi_sync_source_wait_for_replica_count",
        judge=_wait_count,
        never=_uses(),
        last=_uses(Use.LEAD),
        told=True,
        remedy="lower the count, or add replicas",
    )
    ACK_TIMEOUT = FactTraits(
        spelling="rpl_semi_sync_source_timeout",
        judge=_ack_timeout,
        never=_uses(),
        last=_uses(Use.LEAD),
        told=True,
        remedy="set the timeout to 1000000000000000000, as Vitess does",
    )
    BACKUP = FactTraits(
        spelling="a running backup",
        judge=_backup,
        never=_uses(),
        last=_uses(Use.LEAD),
        told=False,
        remedy="wait until the backup ends",
    )
