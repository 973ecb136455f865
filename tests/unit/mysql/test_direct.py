"""Questions to MySQL itself: how far a connection came, and what that says."""

import asyncio

import pytest

from tests.cancelling import cancel_after
from tests.unit.mysql.fake_mysqld import COM_QUIT, Conversation, Part, fake_mysqld
from vtorc.core.facts.direct_answer import DirectOutcome
from vtorc.mysql.direct import ask
from vtorc.mysql.held import MysqlCredentials

ACCOUNT = MysqlCredentials("watcher", "sesame")


async def _stay_silent(talk: Conversation) -> None:
    await talk.reader.read()


async def _refuse_login(talk: Conversation) -> None:
    await talk.greet()
    talk.send_error(2, 1045, "Access denied")


async def _be_full(talk: Conversation) -> None:
    talk.send_error(0, 1040, "Too many connections", sqlstate="")


async def _want_unknown_plugin(talk: Conversation) -> None:
    await talk.greet()
    talk.send(2, b"\xfeauthentication_moon\x00salt")


async def _be_leaving(talk: Conversation) -> None:
    talk.send_error(0, 1053, "Server shutdown in progress", sqlstate="")


async def _hang_up(talk: Conversation) -> None:
    pass


async def _hang_up_after_greeting(talk: Conversation) -> None:
    await talk.greet()


async def _forbid_the_statement(talk: Conversation) -> None:
    await talk.greet()
    talk.send(2, b"\x00\x00\x00\x02\x00\x00\x00")
    await talk.receive()
    talk.send_error(1, 1227, "you need REPLICATION CLIENT")
    await talk.reader.read()


async def _be_mariadb(talk: Conversation) -> None:
    await talk.greet(b"5.5.5-10.6.16-MariaDB")
    talk.send(2, b"\x00\x00\x00\x02\x00\x00\x00")
    await talk.reader.read()


@pytest.mark.parametrize(
    ("play", "outcome", "text"),
    [
        (_refuse_login, DirectOutcome.REFUSES_LOGIN, "Access denied (errno 1045)"),
        (_be_full, DirectOutcome.REFUSES_LOGIN, "Too many connections (errno 1040)"),
        (_want_unknown_plugin, DirectOutcome.REFUSES_LOGIN, "authentication_moon"),
        (_forbid_the_statement, DirectOutcome.ANSWERS, "you need REPLICATION CLIENT (errno 1227)"),
        (_be_leaving, DirectOutcome.REFUSED, "Server shutdown in progress"),
        (_hang_up, DirectOutcome.UNREACHABLE, ""),
        (_hang_up_after_greeting, DirectOutcome.UNREACHABLE, ""),
        (_be_mariadb, DirectOutcome.MARIADB, "it runs MariaDB (5.5.5-10.6.16-MariaDB): expected MySQL"),
    ],
)
async def test_a_failure_tells_how_far_the_connection_came(play: Part, outcome: DirectOutcome, text: str) -> None:
    """A server that speaks is told from one that is leaving, and both from one that hangs up."""
    async with fake_mysqld(play) as server:
        answer = await ask(server.address, ACCOUNT)
        await server.over.acquire()
    assert (answer.outcome, answer.status) == (outcome, None)
    assert text in answer.text


@pytest.mark.parametrize(
    ("until_silent", "outcome"),
    [
        (Conversation.be_connected, DirectOutcome.NO_GREETING),
        (Conversation.greet, DirectOutcome.GREETS),
        (Conversation.let_in, DirectOutcome.GREETS),
    ],
)
async def test_silence_is_told_by_its_beginning(
    until_silent: Part, outcome: DirectOutcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that accepts and says nothing is told from one that greets, and the connection is closed."""
    deadline = asyncio.timeout(None)
    monkeypatch.setattr(asyncio, "timeout_at", lambda when: deadline)

    async def play(talk: Conversation) -> None:
        await until_silent(talk)
        deadline.reschedule(asyncio.get_running_loop().time())
        await talk.reader.read()

    async with fake_mysqld(play) as server:
        answer = await ask(server.address, ACCOUNT)
        await server.over.acquire()
    assert (answer.outcome, answer.text) == (outcome, "no answer within 2 s")


async def test_a_closed_port_refuses() -> None:
    """A host that answers without a server at the port is told as such, by its name as well."""
    async with fake_mysqld(_hang_up) as server:
        _, port = server.address
    for host in ("127.0.0.1", "localhost"):
        assert (await ask((host, port), ACCOUNT)).outcome is DirectOutcome.REFUSED


async def test_an_unknown_host_cannot_be_reached() -> None:
    """A name that no resolver knows is no refusal."""
    assert (await ask(("no-such-host.invalid", 3306), ACCOUNT)).outcome is DirectOutcome.UNREACHABLE


async def test_the_question_takes_leave() -> None:
    """A session ends with COM_QUIT, without which the server counts an aborted client."""
    heard = asyncio.Queue[bytes]()

    async def play(talk: Conversation) -> None:
        await talk.greet()
        talk.send(2, b"\x00\x00\x00\x02\x00\x00\x00")
        await talk.receive()
        talk.send_error(1, 1227, "you need REPLICATION CLIENT")
        heard.put_nowait((await talk.receive())[1])

    async with fake_mysqld(play) as server:
        await ask(server.address, ACCOUNT)
        assert await heard.get() == bytes([COM_QUIT])


@pytest.mark.parametrize("play", [_refuse_login, _forbid_the_statement, _stay_silent])
async def test_no_cancellation_is_lost(play: Part) -> None:
    """A question that is cancelled at any step ends as cancelled, and leaves no connection behind."""
    async with fake_mysqld(play) as server:
        for steps in range(30):
            question = asyncio.create_task(ask(server.address, ACCOUNT))
            if await cancel_after(steps, question):
                break
        begun = len(server.conversations)
        for _ in range(begun):
            await server.over.acquire()
