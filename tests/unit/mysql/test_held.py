import asyncio
import socket
import struct

import pytest
import uvloop

from tests.cancelling import cancel_after
from tests.unit.mysql.fake_mysqld import COM_QUIT, Conversation, Part, fake_mysqld
from vtorc.errors import MysqlError
from vtorc.mysql import held as held_module
from vtorc.mysql.held import CANNOT_CONNECT, MysqlCredentials, hold, keep_awake

ACCOUNT = MysqlCredentials("watcher", "sesame")


def until(end: asyncio.Event) -> Part:
    """Accept the login, and close the connection when the event is set."""

    async def play(talk: Conversation) -> None:
        await talk.let_in()
        await end.wait()

    return play


async def test_a_session_is_kept_for_a_year() -> None:
    """A held session raises its own wait_timeout, so that the server does not end it as idle."""
    end = asyncio.Event()
    async with fake_mysqld(until(end)) as server:
        await hold(server.address, ACCOUNT)
        assert server.conversations[0].statements == [b"SET SESSION wait_timeout = 31536000"]
        end.set()


async def test_the_end_of_the_server_is_heard() -> None:
    """A connection that the server closes ends the wait, and every later wait at once."""
    end = asyncio.Event()
    async with fake_mysqld(until(end)) as server:
        held = await hold(server.address, ACCOUNT)
        end.set()
        assert await held.wait_end() == "the server closed it"
        assert await held.wait_end() == "the server closed it"


def test_the_end_of_the_server_is_heard_on_uvloop() -> None:
    """Taking a connection over from the driver works with uvloop's transports, too, with or without packets."""

    async def main() -> str:
        go_on = asyncio.Event()

        async def play(talk: Conversation) -> None:
            await talk.let_in()
            await go_on.wait()
            talk.send(0, b"x" * 100_000)

        async with fake_mysqld(play) as server:
            held = await hold(server.address, ACCOUNT)
            go_on.set()
            return await held.wait_end()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(main()) == "the server closed it"


async def test_a_reset_is_heard() -> None:
    """A connection that the server's host resets ends the wait, and the reason says so."""
    end = asyncio.Event()

    async def play(talk: Conversation) -> None:
        await until(end)(talk)
        sock = talk.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        talk.writer.transport.abort()

    async with fake_mysqld(play) as server:
        held = await hold(server.address, ACCOUNT)
        end.set()
        assert await held.wait_end() == "Connection reset by peer"


async def test_a_server_that_hangs_up_after_the_login_is_not_held() -> None:
    """A connection that is broken before it could be held counts as one that could not be made."""
    end = asyncio.Event()
    end.set()
    async with fake_mysqld(until(end)) as server:
        with pytest.raises(MysqlError) as caught:
            await hold(server.address, ACCOUNT)
    assert caught.value.errno == CANNOT_CONNECT


async def test_packets_of_the_server_are_no_end() -> None:
    """Packets on a held connection, however long, are discarded; only its end counts."""
    go_on = asyncio.Event()

    async def play(talk: Conversation) -> None:
        await talk.let_in()
        talk.send(0, b"x" * 100_000)
        await talk.writer.drain()
        await go_on.wait()

    async with fake_mysqld(play) as server:
        held = await hold(server.address, ACCOUNT)
        waiting = asyncio.create_task(held.wait_end())
        await server.conversations[0].writer.drain()
        assert not waiting.done()
        go_on.set()
        assert await waiting == "the server closed it"


async def test_closing_takes_leave() -> None:
    """Closing sends COM_QUIT, without which the server counts an aborted client; a second close does nothing."""
    heard = asyncio.Queue[bytes]()

    async def play(talk: Conversation) -> None:
        await talk.let_in()
        heard.put_nowait((await talk.receive())[1])
        heard.put_nowait(await talk.reader.read())

    async with fake_mysqld(play) as server:
        held = await hold(server.address, ACCOUNT)
        held.close()
        held.close()
        assert await heard.get() == bytes([COM_QUIT])
        assert await heard.get() == b""


async def test_a_cancelled_wait_can_be_repeated() -> None:
    """A cancelled wait does not change the connection."""

    async def play(talk: Conversation) -> None:
        await talk.let_in()
        await talk.receive()

    async with fake_mysqld(play) as server:
        held = await hold(server.address, ACCOUNT)
        waiting = asyncio.create_task(held.wait_end())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        held.close()
        assert await held.wait_end() == "the server closed it"


async def test_a_password_may_hold_any_letters() -> None:
    """A password outside latin1 is sent as UTF-8, as other clients do."""
    end = asyncio.Event()
    async with fake_mysqld(until(end)) as server:
        held = await hold(server.address, MysqlCredentials("watcher", "пароль"))
        held.close()
        end.set()


def test_credentials_hide_their_password() -> None:
    """The text of the credentials, as in a log or a traceback, does not have the password."""
    assert "sesame" not in repr(ACCOUNT)


async def _refuse_login(talk: Conversation) -> None:
    await talk.greet()
    talk.send_error(2, 1045, "Access denied")


async def _refuse_before_greeting(talk: Conversation) -> None:
    talk.send_error(0, 1040, "Too many connections", sqlstate="")


async def _refuse_statement(talk: Conversation) -> None:
    await talk.greet()
    talk.send(2, b"\x00\x00\x00\x02\x00\x00\x00")
    await talk.receive()
    talk.send_error(1, 1820, "You must reset your password")


async def _be_leaving(talk: Conversation) -> None:
    talk.send_error(0, 1053, "Server shutdown in progress", sqlstate="")


async def _say_nothing_and_close(talk: Conversation) -> None:
    pass


async def _speak_nonsense(talk: Conversation) -> None:
    talk.send(0, b"\x0a")


async def _want_unknown_plugin(talk: Conversation) -> None:
    await talk.greet()
    talk.send(2, b"\xfeauthentication_moon\x00salt")


@pytest.mark.parametrize(
    ("play", "errno"),
    [
        (_refuse_login, 1045),
        (_refuse_before_greeting, 1040),
        (_refuse_statement, 1820),
        (_want_unknown_plugin, 2059),
        (_speak_nonsense, 0),
        (_be_leaving, CANNOT_CONNECT),
        (_say_nothing_and_close, CANNOT_CONNECT),
    ],
)
async def test_refusals_keep_their_number(play: Part, errno: int) -> None:
    """The error's number tells a server that refuses from one that cannot be reached."""
    async with fake_mysqld(play) as server:
        with pytest.raises(MysqlError) as caught:
            await hold(server.address, ACCOUNT)
        assert caught.value.errno == errno
        await server.over.acquire()


async def test_a_closed_port_is_no_refusal() -> None:
    """A port without a server raises "cannot connect"."""
    async with fake_mysqld(_say_nothing_and_close) as server:
        address = server.address
    with pytest.raises(MysqlError) as caught:
        await hold(address, ACCOUNT)
    assert caught.value.errno == CANNOT_CONNECT


async def _stay_silent(talk: Conversation) -> None:
    assert await talk.reader.read() == b""


async def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A login to a server that accepts and stays silent fails after the deadline, and the socket is closed."""
    monkeypatch.setattr(held_module, "CONNECT_DEADLINE", 0.02)
    async with fake_mysqld(_stay_silent) as server:
        with pytest.raises(MysqlError, match="no answer") as caught:
            await hold(server.address, ACCOUNT)
        assert caught.value.errno == CANNOT_CONNECT
        await server.over.acquire()


async def test_a_cancelled_login_leaves_no_socket() -> None:
    """Cancelling a login closes its connection."""
    reached = asyncio.Event()

    async def play(talk: Conversation) -> None:
        await talk.greet()
        reached.set()
        assert await talk.reader.read() == b""

    async with fake_mysqld(play) as server:
        login = asyncio.create_task(hold(server.address, ACCOUNT))
        await reached.wait()
        login.cancel()
        await asyncio.wait([login])
        assert login.cancelled()
        await server.over.acquire()


async def _let_in_and_wait(talk: Conversation) -> None:
    await talk.let_in()
    await talk.reader.read()


@pytest.mark.parametrize("play", [_let_in_and_wait, _refuse_login, _refuse_statement, _say_nothing_and_close])
async def test_no_cancellation_is_lost(play: Part) -> None:
    """A login that is cancelled at any step ends as cancelled, however it would have ended."""
    async with fake_mysqld(play) as server:
        ended, steps = False, 0
        while not ended:
            login = asyncio.create_task(hold(server.address, ACCOUNT))
            ended = await cancel_after(steps, login)
            steps += 1
        if login.exception() is None:
            login.result().close()


def test_a_silent_host_is_noticed_within_seconds() -> None:
    """The kernel probes an idle connection each second, and breaks it after three without an answer."""
    with socket.socket() as sock:
        keep_awake(sock)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 3000
