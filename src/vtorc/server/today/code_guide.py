"""Guides to each code for operators: what is seen, what vtorc does and refuses, and what is left for them.

`vtorc.server.today.code_doc` writes the page of it. The facts that the catalogue of problems has are not repeated here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from vtorc.core.detection.problems import Code


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeGuide:
    """One code for operators; each text is one or more sentences."""

    seen: str
    """The evidence that vtorc has seen."""
    acts: str
    """The action of vtorc."""
    refuses: str
    """The actions that vtorc refuses, and why."""
    operator: str
    """The part that is left for the operator."""
    scenario: str
    """The scenario of the simulator in which it is found."""


_WAITS = "It repairs nothing before the shard has a primary that answers."
_NOTHING = "Nothing: no recovery would help."
_NO_ARGUMENT = (
    "It promotes no tablet without proof that every acknowledged write is kept; the refusal names what is missing."
)

GUIDES: Mapping[Code, CodeGuide] = {
    Code.UNKNOWN_DURABILITY_POLICY: CodeGuide(
        seen="The record of the keyspace names a durability policy that vtorc does not know.",
        acts="It watches and reports.",
        refuses="It changes nothing in the keyspace, as it cannot tell which writes are safe.",
        operator="Set a policy that vtorc knows: `vtctldclient SetKeyspaceDurabilityPolicy`.",
        scenario="31-unknown-policy",
    ),
    Code.NO_DURABILITY_POLICY: CodeGuide(
        seen="The record of the keyspace names no durability policy, and `--durability` names none.",
        acts="It watches and reports.",
        refuses="It changes nothing in the keyspace, as it cannot tell which writes are safe.",
        operator="Set a policy: `vtctldclient SetKeyspaceDurabilityPolicy`.",
        scenario="31-no-policy",
    ),
    Code.BAD_TABLET_RECORD: CodeGuide(
        seen="A tablet record cannot be read, or names the MySQL address at which another tablet answers.",
        acts="It goes on with the other tablets.",
        refuses="It counts the tablet as one that was not reached, which may hold acknowledged writes.",
        operator="Repair the record, or remove it if there is no such tablet any more.",
        scenario="25-record-unreadable",
    ),
    Code.UNREACHABLE_CELL: CodeGuide(
        seen="The topology server of a cell does not answer.",
        acts="It goes on with the tablets that it read there last.",
        refuses="It never takes the cell for empty, and elects no first primary beside it.",
        operator="Bring that topology server back, or remove a cell that is gone for good.",
        scenario="26-cell-topology-down",
    ),
    Code.UNKNOWN_SEMI_SYNC_CLIENTS: CodeGuide(
        seen="The primary counts more semi-sync clients than known tablets explain.",
        acts=_NOTHING,
        refuses="It does not replace the primary if that server may hold the only copy of a write.",
        operator="Find the server with `SHOW REPLICAS` on the primary; start its vttablet, or stop its replication.",
        scenario="25-acker-without-record",
    ),
    Code.PRIMARY_DISK_STALLED: CodeGuide(
        seen="The vttablet of the primary says that its disk takes no writes.",
        acts="It replaces it with `--enable-primary-disk-stalled-recovery`, or once its replicas have lost it.",
        refuses="By default it leaves a stalled primary alone while replicas receive from it.",
        operator="See to the disk; switch the recovery on if a stall is as bad as a crash for you.",
        scenario="08-disk-full",
    ),
    Code.DEAD_PRIMARY_WITHOUT_REPLICAS: CodeGuide(
        seen="The primary does not answer, and no known tablet replicates from it.",
        acts=_NOTHING,
        refuses="It promotes no tablet, as none can have the writes of the primary.",
        operator="Bring the primary back, and give the shard replicas.",
        scenario="02-primary-without-replicas",
    ),
    Code.DEAD_PRIMARY: CodeGuide(
        seen="The primary failed twice in a row; all its replicas answer, and none receives from it.",
        acts="It stops the replicas, promotes one that has every acknowledged write, and attaches the others.",
        refuses=_NO_ARGUMENT,
        operator="Nothing, or what the refusal names: mostly to bring one tablet back.",
        scenario="02-mysqld-killed",
    ),
    Code.DEAD_PRIMARY_AND_REPLICAS: CodeGuide(
        seen="Neither the primary nor any replica of it answers.",
        acts="It asks all of them on, and acts as soon as one answers.",
        refuses="It replaces no primary, as vtorc itself may be cut off.",
        operator="Check the network of vtorc's host, and ask another vtorc; then bring tablets back.",
        scenario="39-isolated-vtorc",
    ),
    Code.DEAD_PRIMARY_AND_SOME_REPLICAS: CodeGuide(
        seen="The primary failed twice in a row, some replicas answer, and none of these receives from it.",
        acts="It replaces the primary, if the replicas that answer are enough for the proof.",
        refuses=_NO_ARGUMENT,
        operator="Nothing, or what the refusal names: mostly to bring back one of the silent replicas.",
        scenario="12-long-dead-replica",
    ),
    Code.PRIMARY_HAS_PRIMARY: CodeGuide(
        seen="The primary replicates from another server.",
        acts="It takes the source away, if no tablet of the shard is primary there.",
        refuses="It does nothing while a tablet declares itself primary, as the records may be late.",
        operator="Nothing, or find out which program pointed it there.",
        scenario="16-records-late",
    ),
    Code.CLUSTER_HAS_NO_PRIMARY: CodeGuide(
        seen="No tablet is primary, and the shard record never named one.",
        acts="It elects the first primary once all tablets were asked.",
        refuses="It elects none while a cell, a record or a tablet may hide the present primary.",
        operator="Nothing, or bring back what the sentence names.",
        scenario="01-fresh-tablets",
    ),
    Code.PRIMARY_TABLET_DELETED: CodeGuide(
        seen="The shard had a primary, and its tablet record is gone, or is of another type.",
        acts="It replaces the primary.",
        refuses=_NO_ARGUMENT,
        operator="Nothing; delete the record of a primary only after a planned reparent.",
        scenario="25-record-deleted",
    ),
    Code.PRIMARY_SEMI_SYNC_BLOCKED: CodeGuide(
        seen="Commits of the primary wait for acknowledgements, which replicas could give to another primary.",
        acts="It replaces the primary.",
        refuses="It keeps a primary whose successor would get as few acknowledgements (`ShardTakesNoWrites`).",
        operator="Nothing; afterwards see why the replicas could not reach it.",
        scenario="43-primary-cut-from-replicas",
    ),
    Code.PRIMARY_ROLLED_BACK: CodeGuide(
        seen="The primary has lost transactions that it wrote itself: its disk or data folder went back in time.",
        acts="It replaces the primary by a tablet that has all of them.",
        refuses="It counts this primary as not reached, as it may have lost more than is known.",
        operator="Rebuild the former primary from a backup, or from another tablet.",
        scenario="10-primary-went-back-in-time",
    ),
    Code.INVALID_PRIMARY: CodeGuide(
        seen="The primary has never told its status since vtorc started, and no tablet replicates from it.",
        acts="It asks on.",
        refuses="It replaces no primary of which nothing is known.",
        operator="Start its host, then its vttablet.",
        scenario="62-never-heard",
    ),
    Code.SHARD_TAKES_NO_WRITES: CodeGuide(
        seen="The primary answers, and its commits wait for acknowledgements that no replica can give.",
        acts="It repairs replicas that could acknowledge.",
        refuses="It replaces no primary here, as another one would get as few acknowledgements.",
        operator="Bring back one of the replicas that the sentence names, or lower the wait count of MySQL.",
        scenario="59-successor-without-acker",
    ),
    Code.PRIMARY_IS_READ_ONLY: CodeGuide(
        seen="The primary answers and is read-only.",
        acts="It makes the primary writable.",
        refuses="It keeps it read-only while another tablet may be primary, or has acknowledged writes that it lacks.",
        operator="Nothing, or see the rule `missing-writes`.",
        scenario="16-records-late",
    ),
    Code.PRIMARY_RECORD_OUTDATED: CodeGuide(
        seen="The tablet that the shard record names says that it is primary, and its tablet record is older.",
        acts="It writes the tablet record anew, a minute later.",
        refuses="It replaces no primary that lives.",
        operator="Nothing; see which backup the topology server was restored from.",
        scenario="25-topology-made-anew",
    ),
    Code.STALE_TOPO_PRIMARY: CodeGuide(
        seen="A second tablet has a record as primary, of an earlier term.",
        acts="It makes that tablet a replica of the present primary once it answers.",
        refuses="It does nothing if both terms began at the same time.",
        operator="Nothing, or start the former primary.",
        scenario="02-mysqld-killed",
    ),
    Code.REPLICA_IS_WRITABLE: CodeGuide(
        seen="A replica is not read-only.",
        acts="It makes the replica read-only.",
        refuses=_WAITS,
        operator="Find out which program changed it: writes there become errant transactions.",
        scenario="41-writable-replica",
    ),
    Code.REPLICA_SEMI_SYNC_MUST_BE_SET: CodeGuide(
        seen="The policy lets a replica acknowledge, and it does not.",
        acts="It switches semi-sync on there, and lets the replica connect again.",
        refuses=_WAITS,
        operator="Nothing.",
        scenario="23-policy-changes",
    ),
    Code.PRIMARY_SEMI_SYNC_MUST_BE_SET: CodeGuide(
        seen="The policy asks for acknowledgements, and the primary does not wait for any.",
        acts="It lets the primary wait, once enough replicas acknowledge.",
        refuses="It does not before that, as writes would hang (`ackers-first`).",
        operator="Nothing, or bring replicas back.",
        scenario="23-policy-changes",
    ),
    Code.PRIMARY_SEMI_SYNC_MUST_NOT_BE_SET: CodeGuide(
        seen="The policy asks for no acknowledgements, and the primary waits for some.",
        acts="It ends the wait.",
        refuses=_WAITS,
        operator="Nothing.",
        scenario="23-policy-changes",
    ),
    Code.REPLICA_SEMI_SYNC_MUST_NOT_BE_SET: CodeGuide(
        seen="A replica acknowledges although the policy forbids it, or although its copy keeps no write safe.",
        acts="It switches semi-sync off there.",
        refuses="It leaves it on while too few others would acknowledge (`acks-would-drop`).",
        operator="Nothing, or bring another replica back.",
        scenario="23-policy-changes",
    ),
    Code.PRIMARY_CURRENT_TYPE_MISMATCH: CodeGuide(
        seen="The record calls a tablet primary, and the tablet runs as another type.",
        acts="It lets the tablet take its type from the record.",
        refuses="It does nothing while another tablet declares itself primary.",
        operator="Nothing.",
        scenario="16-records-late",
    ),
    Code.NOT_CONNECTED_TO_PRIMARY: CodeGuide(
        seen="A replica has no source.",
        acts="It points the replica at the primary.",
        refuses="It does not if that drops the last copy of a write, or if MySQL or vttablet refuses it.",
        operator="Nothing, or do what the rule says.",
        scenario="62-never-heard",
    ),
    Code.CONNECTED_TO_WRONG_PRIMARY: CodeGuide(
        seen="A replica replicates from another server than the primary, or from an old address of it.",
        acts="It points the replica at the primary.",
        refuses="It does not if that drops the last copy of a write; an external source stays as it is.",
        operator="Nothing, or take a tablet with an external source out of the shard.",
        scenario="41-taken-for-a-primary",
    ),
    Code.REPLICATION_STOPPED: CodeGuide(
        seen="A thread of a replica's replication has stopped.",
        acts="It starts replication, and slows down if that does not last.",
        refuses=_WAITS,
        operator="Read MySQL's error in the sentence if it comes again.",
        scenario="49-stopped-by-an-operator",
    ),
    Code.REPLICATION_BROKEN: CodeGuide(
        seen="Replication has met an error that a restart cannot change; the sentence has its number.",
        acts="It restarts replication once for each cause, then after pauses of 30 s to two minutes.",
        refuses="It does not restart it all the time, as that hides the error.",
        operator="Do what the sentence says; often that is to rebuild the replica.",
        scenario="46-source-purged",
    ),
    Code.REPLICA_CUT_OFF: CodeGuide(
        seen="A replica has tried for 20 seconds to connect to a primary that answers vtorc.",
        acts="Nothing: its IO thread tries again every ten seconds by itself.",
        refuses="It replaces no primary for one replica.",
        operator="Mend the network between the two, or the host of the replica; it acknowledges nothing until then.",
        scenario="43-one-replica-cut-off",
    ),
    Code.REPLICA_MISCONFIGURED: CodeGuide(
        seen="The heartbeat interval of a replica is not half of its `replica_net_timeout`.",
        acts="It points the replica at the primary anew, one replica of a shard at a time.",
        refuses="It does not if the dropped relay log may be the last copy of a write.",
        operator="Nothing.",
        scenario="42-heartbeat-interval",
    ),
    Code.UNREACHABLE_PRIMARY: CodeGuide(
        seen="The primary does not answer vtorc, and its replicas receive from it.",
        acts="It makes one replica reconnect after five seconds, to learn whether MySQL lives.",
        refuses="It replaces no primary whose MySQL lives, though vtgate sends it no query without its vttablet.",
        operator="Restart the vttablet of the primary, or replace the primary with `vtorc ctl emergency`.",
        scenario="04-vttablet-killed",
    ),
    Code.UNREACHABLE_PRIMARY_WITH_BROKEN_REPLICAS: CodeGuide(
        seen="The primary does not answer vtorc; some of its replicas receive from it, and others do not.",
        acts="It makes one replica reconnect after five seconds, to learn whether MySQL lives.",
        refuses="It replaces no primary whose MySQL lives.",
        operator="Restart the vttablet of the primary, and see to the replicas afterwards.",
        scenario="05-mysqld-hangs",
    ),
    Code.ERRANT_GTID_DETECTED: CodeGuide(
        seen="A tablet has transactions that the primary lacks.",
        acts="Nothing; with `--change-tablets-with-errant-gtid-to-drained` it drains such a replica.",
        refuses="It drains no replica that acknowledgements depend on, and deletes no transactions.",
        operator="Rebuild the tablet, or commit empty transactions under these GTIDs on the primary.",
        scenario="24-drained-errant",
    ),
    Code.REPLICA_ROLLED_BACK: CodeGuide(
        seen="A former primary has lost transactions that it wrote itself, and never gets them back by replication.",
        acts=_NOTHING,
        refuses="It neither attaches nor promotes that tablet (`rolled-back`).",
        operator="Rebuild it from a backup, or from another tablet.",
        scenario="10-former-primary-went-back-in-time",
    ),
    Code.TABLET_UNFIT: CodeGuide(
        seen="A server is set up so that it is no full copy, or cannot play each part in its shard.",
        acts="It uses the tablet for what it is fit for, and last of all for the rest.",
        refuses="It promotes no tablet with filters, without a binary log, or without semi-sync plugins.",
        operator="Mend what the sentence names, by day.",
        scenario="60-filtered-replica",
    ),
    Code.UNSTABLE_TABLET: CodeGuide(
        seen="A tablet failed five times within a minute, and answered in between.",
        acts="It asks such a replica at the calm pace, and such a primary once a second.",
        refuses="It takes no single failure for news, and no answer for health.",
        operator="See to the host's load and network; drain the tablet if it goes on.",
        scenario="37-comes-and-goes",
    ),
    Code.INVALID_REPLICA: CodeGuide(
        seen="A replica does not answer.",
        acts="It asks on, and repairs the replica once it answers.",
        refuses="It counts the replica as one that may hold acknowledged writes.",
        operator="Start its host, then its vttablet.",
        scenario="12-long-dead-replica",
    ),
}
"""The codes by which vtorc decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteGuide:
    """A code that is only told, of which the operator has to know less."""

    seen: str
    """The evidence when it is told."""
    acts: str
    """Which findings of vtorc's own lead to an action, or say more."""
    operator: str
    """The part that is left for the operator."""


_BY_REPLICA = "`ReplicationStopped`, `ReplicationBroken` or `InvalidReplica` of each replica"

SUMMARY_GUIDES: Mapping[str, NoteGuide] = {
    "IncapacitatedPrimary": NoteGuide(
        seen="The primary comes and goes, and does not answer now.",
        acts="`UnstableTablet`; `UnreachablePrimary` or `DeadPrimary` if it stays away",
        operator="See to the host of the primary, or move the primary with a planned reparent.",
    ),
    "UnreachablePrimaryWithLaggingReplicas": NoteGuide(
        seen="The primary does not answer, its replicas receive from it, and all of them lag.",
        acts="`UnreachablePrimary`, which makes one replica reconnect",
        operator="See to the load of the shard: an overload does not end with another primary.",
    ),
    "LockedSemiSyncPrimary": NoteGuide(
        seen="Fewer replicas acknowledge than a commit waits for, and commits wait.",
        acts="`PrimarySemiSyncBlocked` or `ShardTakesNoWrites`",
        operator="Bring back one of the replicas that they name.",
    ),
    "LockedSemiSyncPrimaryHypothesis": NoteGuide(
        seen="Fewer replicas acknowledge than a commit waits for; whether one waits is not known yet.",
        acts="`PrimarySemiSyncBlocked` or `ShardTakesNoWrites`, seconds later",
        operator="Wait for those.",
    ),
    "PrimarySingleReplicaNotReplicating": NoteGuide(
        seen="The primary answers and has one replica, which answers and does not replicate.",
        acts=_BY_REPLICA,
        operator="Add a replica: one is not enough for a failover under semi-sync.",
    ),
    "PrimarySingleReplicaDead": NoteGuide(
        seen="The primary answers and has one replica, which does not answer.",
        acts=_BY_REPLICA,
        operator="Start that replica, or add another.",
    ),
    "AllPrimaryReplicasNotReplicating": NoteGuide(
        seen="The primary answers and has several replicas, which all answer, and none replicates.",
        acts=_BY_REPLICA,
        operator="Look for what they have in common: the account, the network, purged binary logs.",
    ),
    "AllPrimaryReplicasNotReplicatingOrDead": NoteGuide(
        seen="The primary answers and has several replicas; some answer, and none of these replicates.",
        acts=_BY_REPLICA,
        operator="Look for what they have in common, and start those that do not answer.",
    ),
}
"""The codes that sum up a primary and its replicas (`vtorc.server.today.summaries`)."""

_FORMATS = "Set `binlog_format` to `ROW` everywhere."
_UNFIT = "`TabletUnfit` of each such replica"

WARNING_GUIDES: Mapping[str, NoteGuide] = {
    "NoLoggingReplicasStructureWarning": NoteGuide(
        seen="A primary has more than one replica, and none has both `log_bin` and `log_replica_updates`.",
        acts=_UNFIT,
        operator="Start a replica with `log_bin` and `log_replica_updates=ON`, as no other can feed the rest.",
    ),
    "NoFailoverSupportStructureWarning": NoteGuide(
        seen="A primary has more than one replica, and some that answers does not find its place by GTIDs.",
        acts="none: `NotConnectedToPrimary` and the like attach replicas by GTID",
        operator="Use `SOURCE_AUTO_POSITION=1`, as vttablet does.",
    ),
    "StatementAndMixedLoggingReplicasStructureWarning": NoteGuide(
        seen="Some replicas log statements, and others the mixed format.", acts=_UNFIT, operator=_FORMATS
    ),
    "StatementAndRowLoggingReplicasStructureWarning": NoteGuide(
        seen="Some replicas log statements, and others rows.", acts=_UNFIT, operator=_FORMATS
    ),
    "MixedAndRowLoggingReplicasStructureWarning": NoteGuide(
        seen="Some replicas log the mixed format, and others rows.", acts=_UNFIT, operator=_FORMATS
    ),
    "MultipleMajorVersionsLoggingReplicasStructureWarning": NoteGuide(
        seen="The replicas that log what they receive have different releases of MySQL.",
        acts="none: a newer release is promoted last of all",
        operator="End the upgrade: replicas first, then the primary.",
    ),
    "DifferentGTIDModesStructureWarning": NoteGuide(
        seen="A replica has another `gtid_mode` than its source.",
        acts=_UNFIT,
        operator="Bring `gtid_mode` to `ON` everywhere, step by step.",
    ),
    "ErrantGTIDStructureWarning": NoteGuide(
        seen="A replica has transactions that the primary lacks.",
        acts="`ErrantGTIDDetected`",
        operator="Rebuild the replica, or commit empty transactions on the primary.",
    ),
    "NoWriteablePrimaryStructureWarning": NoteGuide(
        seen="A tablet without a source is read-only.",
        acts="`PrimaryIsReadOnly`, `NotConnectedToPrimary`",
        operator="Nothing.",
    ),
    "NotEnoughValidSemiSyncReplicasStructureWarning": NoteGuide(
        seen="A primary has semi-sync on but has given up waiting, as too few replicas acknowledge.",
        acts="`TabletUnfit`, for the finite `rpl_semi_sync_source_timeout` that lets it give up",
        operator="Bring replicas back, and set the timeout as Vitess does.",
    ),
}
"""Structure warnings (`vtorc.server.today.structure`)."""
