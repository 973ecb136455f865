"""Calls from a lab tablet to another one, each on a new connection, as vttablet makes them."""

import grpc

from vtorc.core.facts.records import TabletRecord
from vtorc.errors import TabletCallFailed
from vtorc.lab import grpc_convert as convert
from vtorc.proto import tabletmanagerdata_pb2, tabletmanagerservice_pb2_grpc
from vtorc.vttablet.mysql_api import PrimaryReport


class GrpcPeers:
    """Calls tablets at the addresses in their records.

    `credentials` are the user and the password of static authentication, None without it.
    """

    def __init__(self, credentials: tuple[str, str] | None = None) -> None:
        self._metadata = (("username", credentials[0]), ("password", credentials[1])) if credentials else ()

    async def primary_report(self, tablet: TabletRecord) -> PrimaryReport:
        """Ask another tablet for its `PrimaryStatus`, without a deadline; raises TabletCallFailed."""
        async with grpc.aio.insecure_channel(f"{tablet.hostname}:{tablet.grpc_port}") as channel:
            stub = tabletmanagerservice_pb2_grpc.TabletManagerStub(channel)
            request = tabletmanagerdata_pb2.PrimaryStatusRequest()
            try:
                answer = await stub.PrimaryStatus(request, metadata=self._metadata)
            except grpc.aio.AioRpcError as error:
                raise TabletCallFailed(f"PrimaryStatus of {tablet.alias}: {error.details()}") from error
        if not answer.status.server_uuid:
            raise TabletCallFailed(f"PrimaryStatus of {tablet.alias}: the answer has no server_uuid")
        return PrimaryReport(
            executed=convert.gtids(answer.status.position),
            server_uuid=answer.status.server_uuid,
            coordinates=answer.status.file_position.partition("/")[2],
        )
