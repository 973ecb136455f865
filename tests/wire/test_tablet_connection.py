"""Connections to tablets: how they are made, kept, lost and made again."""

import asyncio
import math
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import grpc
import pytest

from tests.wire.fake_tablet import HOST, PING, FakeTablet, Relay, calling, reason_of_failure, record_at, running
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.errors import LockLost, TabletBadAnswer, TabletCallFailed, TabletUnreachable
from vtorc.proto import query_pb2, topodata_pb2
from vtorc.tablet.api import HealthReport
from vtorc.tablet.client import GrpcTabletManager
from vtorc.tablet.connection import Connection
from vtorc.tablet.reach import reach
from vtorc.tablet.sending import about_to_send, checked_before_sending
from vtorc.tablet.settings import ClientSettings

SOON = 0.1
"""Seconds after which a test gives up on a call that is never answered."""
LONGER_AND_LONGER = (SOON, 1.0, 10.0, 60.0)
"""Seconds to try with, as a machine that is busy with other tests takes long for what has to happen before."""


@pytest.fixture
async def client() -> AsyncIterator[GrpcTabletManager]:
    async with calling() as manager:
        yield manager


@pytest.fixture
async def tablet() -> AsyncIterator[FakeTablet]:
    fake = FakeTablet()
    fake.answers("Ping", PING)
    async with running(fake):
        yield fake


@pytest.fixture
async def relay(tablet: FakeTablet) -> AsyncIterator[Relay]:
    door = Relay(tablet.port)
    await door.open()
    yield door
    await door.close()


async def test_calls_share_one_connection(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """Calls one after the other and at the same time use the same connection."""
    await client.ping(tablet.record)
    await asyncio.gather(*(client.ping(tablet.record) for _ in range(5)))
    assert len(tablet.seen) == 6
    assert len({each.peer for each in tablet.seen}) == 1


async def test_a_closed_port_refuses(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """The reason is "refused" before and after there was a connection."""
    await client.ping(tablet.record)
    await tablet.stop()
    assert await reason_of_failure(client, tablet.record) == "refused"
    async with calling() as another:
        assert await reason_of_failure(another, tablet.record) == "refused"


async def test_a_tablet_that_is_back_is_seen_by_the_next_call(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """The first call after the return succeeds, however many failed before."""
    await client.ping(tablet.record)
    await tablet.stop()
    for _ in range(20):
        assert await reason_of_failure(client, tablet.record) == "refused"
    await tablet.start()
    await client.ping(tablet.record)


async def test_an_unknown_name_is_unreachable(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """The message is about the name."""
    record = replace(tablet.record, hostname="tablet.invalid")
    with pytest.raises(TabletUnreachable, match=r"tablet\.invalid: the name cannot be looked up") as caught:
        await client.ping(record)
    assert caught.value.reason == "unreachable"


async def test_a_silent_host_costs_the_connect_timeout() -> None:
    """No answer to the connection attempt is a timeout, however long the call itself may take."""
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
    """It also costs the connect timeout, for each call."""
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
    """A process that is no tablet listens; the error has gRPC's text about it."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"5.7.44-log\0 I am a database\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, HOST, 0)
    async with calling() as client:
        with pytest.raises(TabletUnreachable, match="though a process listens") as caught:
            await client.ping(record_at(server.sockets[0].getsockname()[1]))
    assert caught.value.reason == "unreachable"
    server.close()


async def test_a_tablet_that_never_answers_is_a_timeout(tablet: FakeTablet) -> None:
    """The call ends after its own longest time, and it is cancelled at the tablet."""
    stuck = tablet.hangs("SetReadOnly")
    for timeout in LONGER_AND_LONGER:
        async with calling(ClientSettings(rpc_timeout=timeout)) as client:
            with pytest.raises(TabletUnreachable, match="SetReadOnly of zone1-0000000101: no answer within") as caught:
                await client.set_read_only(tablet.record)
            assert caught.value.reason == "timeout"
            if stuck.entered.is_set():
                await stuck.cancelled.wait()
                await client.ping(tablet.record)
                return
    raise AssertionError("no call reached the tablet")


async def test_a_cancelled_call_is_cancelled_at_the_tablet(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """The call is cancelled at the tablet, too, and the caller gets CancelledError."""
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

    async def ask_until_it_hangs() -> None:
        async with asyncio.timeout(None) as scope, asyncio.TaskGroup() as group:
            group.create_task(client.full_status(tablet.record))
            await stuck.entered.wait()
            scope.reschedule(asyncio.get_running_loop().time())

    with pytest.raises(TimeoutError):
        await ask_until_it_hangs()
    await stuck.cancelled.wait()


async def test_after_silence_the_next_call_knocks_first(
    tablet: FakeTablet, relay: Relay, client: GrpcTabletManager
) -> None:
    """The dead connection to a vanished host does not cost the whole deadline again."""
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
    """A reset is "unreachable" while the port is open and "refused" if it is closed; never a failure of the tablet."""
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
    """The connection still stands, so the error is the tablet's own."""
    tablet.fails("Ping", "not now", grpc.StatusCode.UNAVAILABLE)
    with pytest.raises(TabletCallFailed, match="not now"):
        await client.ping(tablet.record)


async def test_an_answer_that_is_no_message_is_a_bad_answer(client: GrpcTabletManager) -> None:
    """Bytes that cannot be decoded are a bad answer of the tablet."""

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


async def test_an_error_of_grpc_is_no_crash(
    tablet: FakeTablet, client: GrpcTabletManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error inside gRPC becomes TabletUnreachable, like one of the network."""
    monkeypatch.setattr(client, "_metadata", (("password", "pässwörd"),))
    with pytest.raises(TabletUnreachable, match="gRPC could not send it"):
        await client.ping(tablet.record)
    with pytest.raises(TabletCallFailed, match="StreamHealth of zone1-0000000101: Invalid metadata"):
        await anext(client.stream_health(tablet.record))


async def test_a_call_is_checked_once_it_has_a_connection(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """To connect may take longer than a lock lasts, so the last look at the lock comes after it; nothing is sent."""
    connected: list[bool] = []

    def check() -> None:
        connected.append(any(connection._up for connection in client._connections.values()))
        raise LockLost("lost")

    with checked_before_sending(check), pytest.raises(LockLost):
        await client.stop_replication(tablet.record)
    assert connected == [True]
    assert "StopReplication" not in [each.name for each in tablet.seen]


async def test_an_attempt_to_connect_has_no_checks_of_one_caller(
    tablet: FakeTablet, client: GrpcTabletManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls share it, so a lock that one of them has lost must not end it for all."""

    async def checked_reach(host: str, port: int, **limits: Any) -> None:
        about_to_send()
        await reach(host, port, **limits)

    def check() -> None:
        raise LockLost("lost")

    monkeypatch.setattr("vtorc.tablet.connection.reach", checked_reach)
    with checked_before_sending(check):
        locked = asyncio.create_task(client.ping(tablet.record))
    await asyncio.sleep(0)
    await client.ping(tablet.record)
    with pytest.raises(LockLost):
        await locked


async def test_each_address_has_its_connection(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """A tablet with a new address in its record is called there."""
    moved = FakeTablet()
    moved.answers("Ping", PING)
    await client.ping(tablet.record)
    async with running(moved):
        await client.ping(replace(tablet.record, grpc_port=moved.port))
        await tablet.stop()
        await client.ping(replace(tablet.record, grpc_port=moved.port))
    assert (len(tablet.seen), len(moved.seen)) == (1, 2)


OTHER = TabletAlias("zone1", 201)


async def test_a_call_for_one_tablet_is_not_sent_to_another(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """The tablet with the outdated record is unreachable; the one at that address is called by its own record."""
    stale = replace(tablet.record, alias=OTHER)
    calls = [client.ping, client.full_status, client.set_read_only, client.stop_replication]
    for call in calls:
        with pytest.raises(TabletUnreachable, match=r"port \d+, zone1-0000000101 answers") as caught:
            await call(stale)
        assert caught.value.reason == "unreachable"
    assert tablet.seen == []
    await client.ping(tablet.record)
    with pytest.raises(TabletUnreachable, match="zone1-0000000101 answers"):
        await client.set_read_only(stale)
    assert [each.name for each in tablet.seen] == ["Ping"]


async def test_whose_tablet_it_is_is_asked_once_on_each_connection(
    tablet: FakeTablet, client: GrpcTabletManager
) -> None:
    """The next process at the address is identified again, and gets no calls if it is another tablet."""
    for _ in range(3):
        await client.ping(tablet.record)
    assert tablet.alias_messages == 1
    await tablet.stop()
    other = FakeTablet(OTHER)
    other.port = tablet.port
    async with running(other):
        with pytest.raises(TabletUnreachable, match="zone1-0000000201 answers"):
            await client.ping(tablet.record)
    await tablet.start()
    await client.ping(tablet.record)
    assert (tablet.alias_messages, other.seen) == (2, [])


async def test_a_health_stream_tells_whose_tablet_it_is(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """The alias of a running stream is enough, and a stream of another tablet is refused."""
    async with aclosing(client.stream_health(tablet.record)) as reports:
        await anext(reports)
        await client.ping(tablet.record)
    assert tablet.alias_messages == 1
    with pytest.raises(TabletUnreachable, match="zone1-0000000101 answers"):
        await anext(client.stream_health(replace(tablet.record, alias=OTHER)))


async def test_a_tablet_without_health_streams_is_called_all_the_same(
    tablet: FakeTablet, client: GrpcTabletManager
) -> None:
    """The tablet may have been started without that service; it is asked for the stream once."""
    tablet.has_health = False
    await client.ping(tablet.record)
    await client.ping(tablet.record)
    assert tablet.streams_refused == 1


async def test_a_tablet_without_alias_on_its_stream_is_called(tablet: FakeTablet) -> None:
    """The client waits for the alias once, for part of the connect timeout; an alias that comes later counts."""
    tablet.sends_alias = False
    async with calling(ClientSettings(connect_timeout=2 * SOON)) as client:
        stale = replace(tablet.record, alias=OTHER)
        await client.ping(stale)
        await client.ping(stale)
        tablet.sends_alias = True
        async with aclosing(client.stream_health(tablet.record)) as reports:
            await anext(reports)
        with pytest.raises(TabletUnreachable, match="zone1-0000000101 answers"):
            await client.ping(stale)


async def test_unused_connections_are_closed(tablet: FakeTablet) -> None:
    """The next call after a while makes a new one; a connection with a health stream stays."""
    other = FakeTablet()
    other.answers("Ping", PING)
    async with running(other), calling(ClientSettings(idle_timeout=0)) as client:
        await client.ping(tablet.record)
        await client.ping(other.record)
        await client.ping(tablet.record)
        assert len({each.peer for each in tablet.seen}) == 2
        tablet.health.put_nowait(query_pb2.StreamHealthResponse())
        async with aclosing(client.stream_health(tablet.record)) as reports:
            await anext(reports)
            await client.ping(other.record)
            await client.ping(tablet.record)
        assert tablet.seen[-1].peer == tablet.seen[-2].peer


async def test_a_call_that_comes_while_unused_connections_are_closed_is_not_cut_off(
    tablet: FakeTablet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets a connection of its own, as the unused one to its tablet is about to be closed."""
    first, second = FakeTablet(), FakeTablet()
    closing, may_close = asyncio.Event(), asyncio.Event()
    close = Connection.close

    async def slow(self: Connection) -> None:
        closing.set()
        await may_close.wait()
        await close(self)

    for each in (first, second):
        each.answers("Ping", PING)
    async with running(first), running(second), calling(ClientSettings(idle_timeout=0)) as client:
        client._next_sweep = math.inf
        await client.ping(first.record)
        await client.ping(second.record)
        monkeypatch.setattr(Connection, "close", slow)
        client._next_sweep = 0.0
        sweeping = asyncio.create_task(client.ping(tablet.record))
        await closing.wait()
        client._next_sweep = math.inf
        stuck = second.hangs("Ping")
        call = asyncio.create_task(client.ping(second.record))
        arrival = asyncio.create_task(stuck.entered.wait())
        await asyncio.wait((call, arrival), return_when=asyncio.FIRST_COMPLETED)
        may_close.set()
        await sweeping
        ended = call.done()
        call.cancel()
        arrival.cancel()
        await asyncio.gather(call, arrival, return_exceptions=True)
    assert not ended


async def test_closing_the_client_ends_what_runs(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """Running calls and streams end as unreachable, not as cancelled; later calls are refused."""
    stuck = tablet.hangs("StopReplication")
    call = asyncio.create_task(client.stop_replication(tablet.record))
    await stuck.entered.wait()
    tablet.health.put_nowait(query_pb2.StreamHealthResponse())
    stream = client.stream_health(tablet.record)
    await anext(stream)
    reading = asyncio.create_task(anext(stream))
    await client.close()
    with pytest.raises(TabletUnreachable, match="vtorc has closed"):
        await call
    with pytest.raises(TabletUnreachable, match="vtorc has closed"):
        await reading
    with pytest.raises(TabletUnreachable, match="vtorc is stopping"):
        await client.ping(tablet.record)


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
    """The reader gets the reason "refused"."""
    tablet.health.put_nowait(query_pb2.StreamHealthResponse())
    reports = client.stream_health(tablet.record)
    await anext(reports)
    await tablet.stop()
    with pytest.raises(TabletUnreachable) as caught:
        await anext(reports)
    assert caught.value.reason == "refused"


async def test_a_health_stream_that_is_ended_is_broken(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """A tablet that ends the stream itself is unreachable."""
    tablet.health.put_nowait(None)
    with pytest.raises(TabletUnreachable, match="ended the stream"):
        await anext(client.stream_health(tablet.record))


async def test_a_health_stream_that_falls_silent_is_broken(tablet: FakeTablet) -> None:
    """Tablets send a message now and then even without a change."""
    heard = 0

    async def hear(client: GrpcTabletManager) -> None:
        nonlocal heard
        async for _ in client.stream_health(tablet.record):
            heard += 1

    for timeout in LONGER_AND_LONGER:
        tablet.health.put_nowait(query_pb2.StreamHealthResponse())
        async with calling(ClientSettings(health_timeout=timeout)) as client:
            with pytest.raises(TabletUnreachable, match="silent for") as caught:
                await hear(client)
        assert caught.value.reason == "timeout"
        if heard:
            return
    raise AssertionError("no message came before the first silence")


async def test_a_health_report_that_makes_no_sense_is_refused(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """An unknown tablet type is named with its number."""
    message = query_pb2.StreamHealthResponse()
    message.MergeFromString(b"\x0a\x02\x18\x63")
    tablet.health.put_nowait(message)
    with pytest.raises(TabletBadAnswer, match=r"StreamHealth of zone1-0000000101: target\.tablet_type is 99"):
        await anext(client.stream_health(tablet.record))


@pytest.mark.parametrize("port", [-1, 65536, 70000])
async def test_a_port_that_is_none_is_not_dialled(client: GrpcTabletManager, port: int) -> None:
    """The error names the wrong port in the record."""
    with pytest.raises(TabletUnreachable, match=f"the gRPC port of its record is {port}: expected 1 to 65535"):
        await client.ping(record_at(port))


async def test_calls_that_need_a_connection_at_the_same_time_share_one_attempt(
    tablet: FakeTablet, relay: Relay, client: GrpcTabletManager
) -> None:
    """However many calls wait for a connection, the address is knocked at once and dialled once."""
    record = record_at(relay.port)
    await asyncio.gather(*(client.ping(record) for _ in range(8)))
    assert len(tablet.seen) == 8
    assert relay.accepted == 2


async def test_an_attempt_to_connect_ends_with_the_last_call_that_waits_for_it() -> None:
    """A call that is given up leaves the attempt to the others; a later call gets an attempt, and an error, of its
    own.
    """
    lines: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: lines.append(writer), HOST, 0)
    record = record_at(server.sockets[0].getsockname()[1])
    async with calling(ClientSettings(connect_timeout=4 * SOON, probe_timeout=3600)) as client:
        given_up, stays = (asyncio.create_task(client.ping(record)) for _ in range(2))
        await asyncio.sleep(SOON)
        given_up.cancel()
        with pytest.raises(TabletUnreachable) as caught:
            await stays
        assert caught.value.reason == "timeout"
        last = asyncio.create_task(client.ping(record))
        await asyncio.sleep(SOON)
        last.cancel()
        await asyncio.wait([last])
        began = asyncio.get_running_loop().time()
        assert await reason_of_failure(client, record) == "timeout"
        assert asyncio.get_running_loop().time() - began > 3 * SOON
    server.close()
    for line in lines:
        line.close()


async def test_another_deadline_than_asyncios_bounds_connecting(tablet: FakeTablet) -> None:
    """The client makes its connect timeouts with what it was given, such as one that a late vtorc cannot miss."""
    made: list[float] = []

    def patient(seconds: float) -> asyncio.Timeout:
        made.append(seconds)
        return asyncio.timeout(None)

    client = GrpcTabletManager(ClientSettings(connect_timeout=0.000001), timeout=patient)
    await client.ping(tablet.record)
    await client.close()
    assert set(made) == {0.000001, 0.0000005}
