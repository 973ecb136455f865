# ruff: noqa: D102 (the methods are named after the RPCs)
"""The tabletmanager RPCs in terms of a `TabletAgent`; each method has its RPC's name."""

from vtorc.core.facts.ids import TabletType
from vtorc.lab import grpc_convert as convert
from vtorc.proto import replicationdata_pb2
from vtorc.proto import tabletmanagerdata_pb2 as tm
from vtorc.vttablet.agent import TabletAgent
from vtorc.vttablet.mysql_api import Fetch, JournalRow

_NS = 1e9


class TabletManagerRpcs:
    """Answers requests; an exception becomes the error of the call.

    The older names that clients of Vitess 12 call are served too. `ExecuteHook` is not served.
    """

    def __init__(self, agent: TabletAgent) -> None:
        self._queries = agent.queries
        self._replication = agent.replication
        self._reparent = agent.reparent
        self._state = agent.state

    # Status and positions

    async def FullStatus(self, _: tm.FullStatusRequest) -> tm.FullStatusResponse:
        return tm.FullStatusResponse(status=convert.full_status(await self._queries.full_status()))

    async def ReplicationStatus(self, _: tm.ReplicationStatusRequest) -> tm.ReplicationStatusResponse:
        return tm.ReplicationStatusResponse(status=convert.status(await self._replication.status()))

    async def PrimaryStatus(self, _: tm.PrimaryStatusRequest) -> tm.PrimaryStatusResponse:
        return tm.PrimaryStatusResponse(status=convert.primary_status(await self._queries.primary_report()))

    async def PrimaryPosition(self, _: tm.PrimaryPositionRequest) -> tm.PrimaryPositionResponse:
        return tm.PrimaryPositionResponse(position=convert.position(await self._queries.position()))

    async def WaitForPosition(self, request: tm.WaitForPositionRequest) -> tm.WaitForPositionResponse:
        await self._replication.wait_for_position(convert.gtids(request.position))
        return tm.WaitForPositionResponse()

    async def GetReplicas(self, _: tm.GetReplicasRequest) -> tm.GetReplicasResponse:
        return tm.GetReplicasResponse(addrs=await self._queries.replica_hosts())

    async def GetGlobalStatusVars(self, request: tm.GetGlobalStatusVarsRequest) -> tm.GetGlobalStatusVarsResponse:
        return tm.GetGlobalStatusVarsResponse(status_values=await self._queries.global_status(list(request.variables)))

    async def ReadReparentJournalInfo(self, _: tm.ReadReparentJournalInfoRequest) -> tm.ReadReparentJournalInfoResponse:
        return tm.ReadReparentJournalInfoResponse(length=await self._queries.journal_length())

    # Replication control

    async def StopReplication(self, _: tm.StopReplicationRequest) -> tm.StopReplicationResponse:
        await self._replication.stop()
        return tm.StopReplicationResponse()

    async def StopReplicationMinimum(
        self, request: tm.StopReplicationMinimumRequest
    ) -> tm.StopReplicationMinimumResponse:
        position = convert.gtids(request.position)
        reached = await self._replication.stop_minimum(position, wait=request.wait_timeout / _NS)
        return tm.StopReplicationMinimumResponse(position=convert.position(reached))

    async def StopReplicationAndGetStatus(
        self, request: tm.StopReplicationAndGetStatusRequest
    ) -> tm.StopReplicationAndGetStatusResponse:
        io_only = request.stop_replication_mode == replicationdata_pb2.IOTHREADONLY
        stopped = await self._replication.stop_and_get_status(io_only=io_only)
        before = convert.status(stopped.before, stopped.semi_sync)
        after = convert.status(stopped.after, stopped.semi_sync)
        return tm.StopReplicationAndGetStatusResponse(
            status=replicationdata_pb2.StopReplicationStatus(before=before, after=after)
        )

    async def StartReplication(self, request: tm.StartReplicationRequest) -> tm.StartReplicationResponse:
        await self._replication.start(semi_sync=request.semiSync)
        return tm.StartReplicationResponse()

    async def RestartReplication(self, request: tm.RestartReplicationRequest) -> tm.RestartReplicationResponse:
        await self._replication.restart(semi_sync=request.semiSync)
        return tm.RestartReplicationResponse()

    async def StartReplicationUntilAfter(
        self, request: tm.StartReplicationUntilAfterRequest
    ) -> tm.StartReplicationUntilAfterResponse:
        await self._replication.start_until_after(convert.gtids(request.position))
        return tm.StartReplicationUntilAfterResponse()

    async def ResetReplication(self, _: tm.ResetReplicationRequest) -> tm.ResetReplicationResponse:
        await self._replication.reset()
        return tm.ResetReplicationResponse()

    async def ResetReplicationParameters(
        self, _: tm.ResetReplicationParametersRequest
    ) -> tm.ResetReplicationParametersResponse:
        await self._replication.reset_parameters()
        return tm.ResetReplicationParametersResponse()

    async def SetReplicationSource(self, request: tm.SetReplicationSourceRequest) -> tm.SetReplicationSourceResponse:
        await self._replication.set_source(
            convert.alias(request.parent) if request.HasField("parent") else None,
            semi_sync=request.semiSync,
            force_start=request.force_start_replication,
            time_created_ns=request.time_created_ns,
            wait_position=convert.optional_gtids(request.wait_position),
            heartbeat_interval=request.heartbeat_interval,
        )
        return tm.SetReplicationSourceResponse()

    # Reparenting

    async def InitPrimary(self, request: tm.InitPrimaryRequest) -> tm.InitPrimaryResponse:
        position = await self._reparent.init_primary(semi_sync=request.semiSync)
        return tm.InitPrimaryResponse(position=convert.position(position))

    async def PromoteReplica(self, request: tm.PromoteReplicaRequest) -> tm.PromoteReplicaResponse:
        position = await self._reparent.promote_replica(semi_sync=request.semiSync)
        return tm.PromoteReplicaResponse(position=convert.position(position))

    async def PopulateReparentJournal(
        self, request: tm.PopulateReparentJournalRequest
    ) -> tm.PopulateReparentJournalResponse:
        row = JournalRow(
            time_created_ns=request.time_created_ns,
            action=request.action_name,
            primary_alias=str(convert.alias(request.primary_alias)),
            position=request.replication_position,
        )
        await self._reparent.populate_journal(row)
        return tm.PopulateReparentJournalResponse()

    async def InitReplica(self, request: tm.InitReplicaRequest) -> tm.InitReplicaResponse:
        await self._reparent.init_replica(
            convert.alias(request.parent),
            convert.gtids(request.replication_position),
            time_created_ns=request.time_created_ns,
            semi_sync=request.semiSync,
        )
        return tm.InitReplicaResponse()

    async def DemotePrimary(self, request: tm.DemotePrimaryRequest) -> tm.DemotePrimaryResponse:
        report = await self._reparent.demote_primary(force=request.force)
        return tm.DemotePrimaryResponse(primary_status=convert.primary_status(report))

    async def UndoDemotePrimary(self, request: tm.UndoDemotePrimaryRequest) -> tm.UndoDemotePrimaryResponse:
        await self._reparent.undo_demote_primary(semi_sync=request.semiSync)
        return tm.UndoDemotePrimaryResponse()

    async def ReplicaWasPromoted(self, _: tm.ReplicaWasPromotedRequest) -> tm.ReplicaWasPromotedResponse:
        await self._reparent.replica_was_promoted()
        return tm.ReplicaWasPromotedResponse()

    async def ReplicaWasRestarted(self, _: tm.ReplicaWasRestartedRequest) -> tm.ReplicaWasRestartedResponse:
        await self._reparent.replica_was_restarted()
        return tm.ReplicaWasRestartedResponse()

    MasterStatus = PrimaryStatus
    MasterPosition = PrimaryPosition
    InitMaster = InitPrimary
    DemoteMaster = DemotePrimary
    UndoDemoteMaster = UndoDemotePrimary
    SetMaster = SetReplicationSource

    # The tablet itself

    async def Ping(self, request: tm.PingRequest) -> tm.PingResponse:
        return tm.PingResponse(payload=request.payload)

    async def Sleep(self, request: tm.SleepRequest) -> tm.SleepResponse:
        await self._queries.sleep(request.duration / _NS)
        return tm.SleepResponse()

    async def SetReadOnly(self, _: tm.SetReadOnlyRequest) -> tm.SetReadOnlyResponse:
        await self._reparent.set_read_only()
        return tm.SetReadOnlyResponse()

    async def SetReadWrite(self, _: tm.SetReadWriteRequest) -> tm.SetReadWriteResponse:
        await self._reparent.set_read_write()
        return tm.SetReadWriteResponse()

    async def ChangeTags(self, request: tm.ChangeTagsRequest) -> tm.ChangeTagsResponse:
        return tm.ChangeTagsResponse(tags=await self._queries.change_tags(request.tags, replace=request.replace))

    async def ChangeType(self, request: tm.ChangeTypeRequest) -> tm.ChangeTypeResponse:
        await self._reparent.change_type(TabletType(request.tablet_type), semi_sync=request.semiSync)
        return tm.ChangeTypeResponse()

    async def RefreshState(self, _: tm.RefreshStateRequest) -> tm.RefreshStateResponse:
        await self._queries.refresh_state()
        return tm.RefreshStateResponse()

    async def RunHealthCheck(self, _: tm.RunHealthCheckRequest) -> tm.RunHealthCheckResponse:
        self._state.announce_health()
        return tm.RunHealthCheckResponse()

    async def IgnoreHealthError(self, _: tm.IgnoreHealthErrorRequest) -> tm.IgnoreHealthErrorResponse:
        return tm.IgnoreHealthErrorResponse()

    async def ReloadSchema(self, request: tm.ReloadSchemaRequest) -> tm.ReloadSchemaResponse:
        await self._queries.reload_schema(convert.optional_gtids(request.wait_position))
        return tm.ReloadSchemaResponse()

    async def LockTables(self, _: tm.LockTablesRequest) -> tm.LockTablesResponse:
        await self._queries.lock_tables()
        return tm.LockTablesResponse()

    async def UnlockTables(self, _: tm.UnlockTablesRequest) -> tm.UnlockTablesResponse:
        await self._queries.unlock_tables()
        return tm.UnlockTablesResponse()

    async def GetPermissions(self, _: tm.GetPermissionsRequest) -> tm.GetPermissionsResponse:
        return tm.GetPermissionsResponse(permissions=convert.permissions(*await self._queries.permissions()))

    # SQL through the tablet

    async def ExecuteFetchAsDba(self, request: tm.ExecuteFetchAsDbaRequest) -> tm.ExecuteFetchAsDbaResponse:
        fetched = await self._queries.fetch(
            Fetch(
                sql=request.query.decode(),
                database=request.db_name,
                max_rows=request.max_rows,
                disable_binlogs=request.disable_binlogs,
                disable_foreign_key_checks=request.disable_foreign_key_checks,
            )
        )
        return tm.ExecuteFetchAsDbaResponse(result=convert.query_result(fetched))

    async def ExecuteMultiFetchAsDba(
        self, request: tm.ExecuteMultiFetchAsDbaRequest
    ) -> tm.ExecuteMultiFetchAsDbaResponse:
        results = await self._queries.fetch_many(
            Fetch(
                sql=request.sql.decode(),
                database=request.db_name,
                max_rows=request.max_rows,
                disable_binlogs=request.disable_binlogs,
                disable_foreign_key_checks=request.disable_foreign_key_checks,
            )
        )
        return tm.ExecuteMultiFetchAsDbaResponse(results=[convert.query_result(result) for result in results])

    async def ExecuteFetchAsAllPrivs(
        self, request: tm.ExecuteFetchAsAllPrivsRequest
    ) -> tm.ExecuteFetchAsAllPrivsResponse:
        fetched = await self._queries.fetch(
            Fetch(sql=request.query.decode(), user="vt_allprivs", database=request.db_name, max_rows=request.max_rows)
        )
        return tm.ExecuteFetchAsAllPrivsResponse(result=convert.query_result(fetched))

    async def ExecuteFetchAsApp(self, request: tm.ExecuteFetchAsAppRequest) -> tm.ExecuteFetchAsAppResponse:
        fetched = await self._queries.fetch(
            Fetch(
                sql=request.query.decode(),
                user="vt_app",
                database=self._state.config.database,
                max_rows=request.max_rows,
            )
        )
        return tm.ExecuteFetchAsAppResponse(result=convert.query_result(fetched))
