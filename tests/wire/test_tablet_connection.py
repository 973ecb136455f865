"""How connections to tablets are made, kept, lost and made again."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.wire.fake_tablet import HOST, FakeTablet, Relay, running
from vtorc.core.ids import TabletAlias, TabletType
from vtorc.core.tablet import TabletRecord
from vtorc.errors import TabletBadAnswer, TabletCallFailed, TabletClientMisconfigured, TabletUnreachable
from vtorc.proto import query_pb2, topodata_pb2
from vtorc.proto import tabletmanagerdata_pb2 as tm
from vtorc.tablet.api import HealthReport
from vtorc.tablet.client import GrpcTabletManager
from vtorc.tablet.settings import ClientSettings, TlsFiles

PING = tm.PingResponse(payload="payload")
SOON = 0.1
"""Seconds after which a test gives up on what never answers."""


@asynccontextmanager
async def calling(settings: ClientSettings = ClientSettings()) -> AsyncIterator[GrpcTabletManager]:  # noqa: B008
    """Give a client, closed at the end."""
    client = GrpcTabletManager(settings)
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture
async def client() -> AsyncIterator[GrpcTabletManager]:
    async with calling() as manager:
        yield manager


@pytest.fixture
async def tablet() -> AsyncIterator[FakeTablet]:
    fake = FakeTablet()
    fake.says("Ping", PING)
    async with running(fake):
        yield fake


@pytest.fixture
async def relay(tablet: FakeTablet) -> AsyncIterator[Relay]:
    door = Relay(tablet.port)
    await door.open()
    yield door
    await door.close()


async def reason_of_failure(client: GrpcTabletManager, record: TabletRecord) -> str:
    """Call and say why nobody answered."""
    with pytest.raises(TabletUnreachable) as caught:
        await client.ping(record)
    return caught.value.reason


async def test_calls_share_one_connection(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """Calls one after the other and at the same time use the same connection."""
    await client.ping(tablet.record)
    await asyncio.gather(*(client.ping(tablet.record) for _ in range(5)))
    assert len(tablet.seen) == 6
    assert len({each.peer for each in tablet.seen}) == 1


async def test_a_closed_port_refuses(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """Nobody listens, before and after there was a connection."""
    await client.ping(tablet.record)
    await tablet.stop()
    assert await reason_of_failure(client, tablet.record) == "refused"
    async with calling() as another:
        assert await reason_of_failure(another, tablet.record) == "refused"


async def test_a_tablet_that_is_back_is_seen_by_the_next_call(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """However often it failed before, the first call after the return succeeds."""
    await client.ping(tablet.record)
    await tablet.stop()
    for _ in range(20):
        assert await reason_of_failure(client, tablet.record) == "refused"
    await tablet.start()
    await client.ping(tablet.record)


async def test_a_name_that_nobody_knows_is_unreachable(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """The message is about the name."""
    record = replace(tablet.record, hostname="tablet.invalid")
    with pytest.raises(TabletUnreachable, match=r"tablet\.invalid: the name cannot be looked up") as caught:
        await client.ping(record)
    assert caught.value.reason == "unreachable"


async def test_a_silent_host_costs_the_connect_timeout() -> None:
    """No answer to the connection attempt is a timeout, whatever the call itself may take."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen(0)
        # The kernel takes one connection more than the backlog says and then drops what comes in.
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        async with calling(ClientSettings(connect_timeout=SOON, probe_timeout=3600)) as client:
            assert await reason_of_failure(client, record_at(listener.getsockname()[1])) == "timeout"
        for each in waiting:
            each.close()


async def test_a_process_that_accepts_and_says_nothing_is_a_timeout() -> None:
    """It costs the connect timeout too, each time anew."""
    lines: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: lines.append(writer), HOST, 0)
    async with calling(ClientSettings(connect_timeout=SOON, probe_timeout=3600)) as client:
        record = record_at(server.sockets[0].getsockname()[1])
        assert await reason_of_failure(client, record) == "timeout"
        assert await reason_of_failure(client, record) == "timeout"
    server.close()
    for line in lines:
        line.close()


async def test_a_server_that_speaks_something_else_is_unreachable() -> None:
    """Somebody listens, but it is no tablet; what gRPC says about it is passed on."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"5.7.44-log\0 I am a database\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, HOST, 0)
    async with calling() as client:
        with pytest.raises(TabletUnreachable, match="though somebody listens") as caught:
            await client.ping(record_at(server.sockets[0].getsockname()[1]))
    assert caught.value.reason == "unreachable"
    server.close()


async def test_a_tablet_that_never_answers_is_a_timeout(tablet: FakeTablet) -> None:
    """The call is over after its own longest time, and the tablet hears that it is."""
    stuck = tablet.hangs("SetReadOnly")
    async with calling(ClientSettings(rpc_timeout=SOON)) as client:
        with pytest.raises(TabletUnreachable, match="SetReadOnly of zone1-0000000101: no answer within") as caught:
            await client.set_read_only(tablet.record)
        assert caught.value.reason == "timeout"
        await stuck.cancelled.wait()
        await client.ping(tablet.record)


async def test_a_cancelled_call_is_cancelled_at_the_tablet(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """The tablet does not go on for nobody, and the cancellation is the caller's own."""
    stuck = tablet.hangs("StopReplication")
    call = asyncio.create_task(client.stop_replication(tablet.record))
    await stuck.entered.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await stuck.cancelled.wait()


async def test_the_callers_deadline_counts(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """A shorter scope around the call ends it as a TimeoutError of the caller."""
    stuck = tablet.hangs("FullStatus")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SOON):
            await client.full_status(tablet.record)
    await stuck.cancelled.wait()


async def test_after_silence_the_next_call_knocks_first(
    tablet: FakeTablet, relay: Relay, client: GrpcTabletManager
) -> None:
    """A connection that a vanished host left behind does not cost the whole deadline again."""
    record = record_at(relay.port)
    await client.ping(record)
    relay.freeze()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SOON):
            await client.ping(record)
    relay.shut()
    assert await reason_of_failure(client, record) == "refused"


async def test_a_connection_that_breaks_under_a_call_is_no_answer(
    tablet: FakeTablet, relay: Relay, client: GrpcTabletManager
) -> None:
    """A reset is unreachable while somebody still listens, refused if nobody does; never the tablet's own failure."""
    record = record_at(relay.port)
    stuck = tablet.hangs("StopReplication")
    for shut, reason in ((False, "unreachable"), (True, "refused")):
        call = asyncio.create_task(client.stop_replication(record))
        await stuck.entered.wait()
        if shut:
            relay.shut()
        relay.break_lines()
        with pytest.raises(TabletUnreachable) as caught:
            await call
        assert caught.value.reason == reason
        stuck.entered.clear()


async def test_a_tablets_own_unavailable_is_an_answer(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """The connection stands, so it was the tablet that said so."""
    tablet.fails("Ping", "not now", grpc.StatusCode.UNAVAILABLE)
    with pytest.raises(TabletCallFailed, match="not now"):
        await client.ping(tablet.record)


async def test_an_answer_that_is_no_message_is_a_bad_answer(client: GrpcTabletManager) -> None:
    """Bytes that cannot be decoded are the tablet's fault and told as such."""

    async def garbage(request: bytes, context: Any) -> bytes:
        return b"\xff\xff\xff"

    handler = grpc.method_handlers_generic_handler(
        "tabletmanagerservice.TabletManager", {"Ping": grpc.unary_unary_rpc_method_handler(garbage)}
    )
    server = grpc.aio.server(handlers=(handler,))
    port = server.add_insecure_port(f"{HOST}:0")
    await server.start()
    with pytest.raises(TabletBadAnswer, match="the answer is no PingResponse"):
        await client.ping(record_at(port))
    await server.stop(None)


async def test_each_address_has_its_connection(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """A tablet whose record names another address is called there."""
    moved = FakeTablet()
    moved.says("Ping", PING)
    await client.ping(tablet.record)
    async with running(moved):
        await client.ping(replace(tablet.record, grpc_port=moved.port))
        await tablet.stop()
        await client.ping(replace(tablet.record, grpc_port=moved.port))
    assert (len(tablet.seen), len(moved.seen)) == (1, 2)


async def test_connections_that_nobody_uses_are_closed(tablet: FakeTablet) -> None:
    """The next call after a while makes a new one; one that is watched stays."""
    other = FakeTablet()
    other.says("Ping", PING)
    async with running(other), calling(ClientSettings(idle_timeout=0)) as client:
        await client.ping(tablet.record)
        await client.ping(other.record)
        await client.ping(tablet.record)
        assert len({each.peer for each in tablet.seen}) == 2
        async with aclosing(client.watch_connectivity(tablet.record)) as changes:
            assert await anext(changes) is True
            await client.ping(other.record)
            await client.ping(tablet.record)
        assert tablet.seen[-1].peer == tablet.seen[-2].peer


async def test_closing_the_client_ends_what_runs(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """Running calls and streams end as unreachable, not as cancelled; watches end; later calls are refused."""
    stuck = tablet.hangs("StopReplication")
    tablet.health.put_nowait(query_pb2.StreamHealthResponse())
    call = asyncio.create_task(client.stop_replication(tablet.record))
    await stuck.entered.wait()
    stream = client.stream_health(tablet.record)
    await anext(stream)
    reading = asyncio.create_task(anext(stream))
    changes = client.watch_connectivity(tablet.record)
    assert await anext(changes) is True
    await client.close()
    with pytest.raises(TabletUnreachable, match="vtorc has closed"):
        await call
    with pytest.raises(TabletUnreachable, match="vtorc has closed"):
        await reading
    assert [each async for each in changes] == [False]
    with pytest.raises(TabletUnreachable, match="vtorc is stopping"):
        await client.ping(tablet.record)


async def test_a_lost_connection_is_told_at_once(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """Watchers hear of connecting, of the loss, and of connecting again, each exactly once."""
    async with aclosing(client.watch_connectivity(tablet.record)) as changes:
        assert await anext(changes) is False
        await client.ping(tablet.record)
        await client.ping(tablet.record)
        assert await anext(changes) is True
        await tablet.stop()
        assert await anext(changes) is False
        await tablet.start()
        await client.ping(tablet.record)
        assert await anext(changes) is True


async def test_a_loss_is_told_even_if_a_call_reconnects_first(
    tablet: FakeTablet, relay: Relay, client: GrpcTabletManager
) -> None:
    """A short break does not go unnoticed."""
    record = record_at(relay.port)
    await client.ping(record)
    async with aclosing(client.watch_connectivity(record)) as changes:
        assert await anext(changes) is True
        relay.break_lines()
        assert await anext(changes) is False
        await client.ping(record)
        broken = tablet.seen[-1].peer
        relay.break_lines()
        while tablet.seen[-1].peer == broken:
            with suppress(TabletUnreachable):
                await client.ping(record)
        assert [await anext(changes) for _ in range(3)] == [True, False, True]


async def test_health_reports_come_as_the_tablet_sends_them(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """Each message is one report, the term in seconds."""
    tablet.health.put_nowait(
        query_pb2.StreamHealthResponse(
            target=query_pb2.Target(tablet_type=topodata_pb2.TabletType.PRIMARY),
            serving=True,
            primary_term_start_timestamp=1767225600,
            tablet_alias=topodata_pb2.TabletAlias(cell="zone1", uid=101),
        )
    )
    tablet.health.put_nowait(
        query_pb2.StreamHealthResponse(
            target=query_pb2.Target(tablet_type=topodata_pb2.TabletType.REPLICA),
            realtime_stats=query_pb2.RealtimeStats(health_error="replication is not running"),
        )
    )
    async with aclosing(client.stream_health(tablet.record)) as reports:
        assert await anext(reports) == HealthReport(
            alias=TabletAlias("zone1", 101),
            type=TabletType.PRIMARY,
            serving=True,
            primary_term_start_seconds=1767225600,
        )
        assert await anext(reports) == HealthReport(
            alias=None, type=TabletType.REPLICA, serving=False, health_error="replication is not running"
        )


async def test_a_health_stream_ends_when_the_tablet_dies(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """The reader hears that nobody listens there any more."""
    tablet.health.put_nowait(query_pb2.StreamHealthResponse())
    reports = client.stream_health(tablet.record)
    await anext(reports)
    await tablet.stop()
    with pytest.raises(TabletUnreachable) as caught:
        await anext(reports)
    assert caught.value.reason == "refused"


async def test_a_health_stream_that_is_ended_is_broken(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """A tablet that stops reporting on its own accord counts as gone."""
    tablet.health.put_nowait(None)
    with pytest.raises(TabletUnreachable, match="ended the stream"):
        await anext(client.stream_health(tablet.record))


async def test_a_health_stream_that_falls_silent_is_broken(tablet: FakeTablet) -> None:
    """Tablets speak now and then even if nothing happens."""
    tablet.health.put_nowait(query_pb2.StreamHealthResponse())
    async with calling(ClientSettings(health_timeout=SOON)) as client:
        reports = client.stream_health(tablet.record)
        await anext(reports)
        with pytest.raises(TabletUnreachable, match="silent for") as caught:
            await anext(reports)
    assert caught.value.reason == "timeout"


async def test_a_health_report_that_makes_no_sense_is_refused(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """An unknown tablet type is named with its number."""
    message = query_pb2.StreamHealthResponse()
    message.MergeFromString(b"\x0a\x02\x18\x63")
    tablet.health.put_nowait(message)
    with pytest.raises(TabletBadAnswer, match=r"StreamHealth of zone1-0000000101: target\.tablet_type is 99"):
        await anext(client.stream_health(tablet.record))


class Authority:
    """A certificate authority for one test; files are PEM."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.file = self._write("ca.pem", self._certificate("ca", self._key, is_ca=True))

    def issue(self, name: str) -> tuple[Path, Path]:
        """Return the files of a new certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return self._write(f"{name}.pem", self._certificate(name, key)), self._write(f"{name}.key", pem)

    def _certificate(self, name: str, key: ec.EllipticCurvePrivateKey, *, is_ca: bool = False) -> bytes:
        now = datetime.now(UTC)
        alternatives = x509.SubjectAlternativeName(
            [x509.DNSName(name), *([] if "." in name else [x509.IPAddress(ipaddress.ip_address(HOST))])]
        )
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(alternatives, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)

    def _write(self, name: str, pem: bytes) -> Path:
        file = self._folder / name
        file.write_bytes(pem)
        return file


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def server_side(authority: Authority, name: str) -> grpc.ServerCredentials:
    """Credentials of a tablet that asks its clients for certificates."""
    cert, key = authority.issue(name)
    return grpc.ssl_server_credentials(
        [(key.read_bytes(), cert.read_bytes())],
        root_certificates=authority.file.read_bytes(),
        require_client_auth=True,
    )


async def test_tls_shows_and_checks_certificates(authority: Authority) -> None:
    """Client and tablet know each other by certificates of the same authority."""
    cert, key = authority.issue("vtorc")
    tablet = FakeTablet()
    tablet.credentials = server_side(authority, "tablet")
    tablet.says("Ping", PING)
    tls = TlsFiles(cert=cert, key=key, ca=authority.file)
    async with running(tablet), calling(ClientSettings(tls=tls)) as client:
        await client.ping(tablet.record)


async def test_tls_can_expect_another_name_than_the_hostname(authority: Authority) -> None:
    """The certificate's name is compared with the one in the settings, if there is one."""
    cert, key = authority.issue("vtorc")
    tablet = FakeTablet()
    tablet.credentials = server_side(authority, "tablet.example.com")
    tablet.says("Ping", PING)
    tls = TlsFiles(cert=cert, key=key, ca=authority.file)
    async with running(tablet):
        async with calling(ClientSettings(tls=replace(tls, server_name="tablet.example.com"))) as client:
            await client.ping(tablet.record)
        async with calling(ClientSettings(tls=tls)) as client:
            assert await reason_of_failure(client, tablet.record) == "unreachable"


async def test_tls_refuses_a_certificate_of_another_authority(authority: Authority, tmp_path: Path) -> None:
    """The reason is in the message, and the next call tries again."""
    folder = tmp_path / "other"
    folder.mkdir()
    cert, key = authority.issue("vtorc")
    tablet = FakeTablet()
    tablet.credentials = server_side(authority, "tablet")
    tls = TlsFiles(cert=cert, key=key, ca=Authority(folder).file)
    async with running(tablet), calling(ClientSettings(tls=tls)) as client:
        for _ in range(2):
            with pytest.raises(TabletUnreachable, match=r"though somebody listens.*certificate"):
                await client.ping(tablet.record)


async def test_certificates_that_cannot_be_read_are_named(tablet: FakeTablet, tmp_path: Path) -> None:
    """The message names the file and what is wrong with it."""
    async with calling(ClientSettings(tls=TlsFiles(ca=tmp_path / "ca.pem"))) as client:
        with pytest.raises(TabletClientMisconfigured, match=r"ca\.pem cannot be read: No such file"):
            await client.ping(tablet.record)


def record_at(port: int) -> TabletRecord:
    """A tablet's record with this port."""
    tablet = FakeTablet()
    tablet.port = port
    return tablet.record
