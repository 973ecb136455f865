"""Deliveries to the webhook's receiver: signed, at least once, and given up in the end."""

import asyncio
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.unit.notifier.receivers import HANG, FakeReceiver, Received, receiving, until
from vtorc.forms.webhook_state import WebhookStateForm
from vtorc.notifier import outbox as outbox_module
from vtorc.notifier import webhook as webhook_module
from vtorc.notifier.outbox import ASIDE, EventOutbox
from vtorc.notifier.post import SIGNATURE, NotDelivered, Receiver, post, signature
from vtorc.notifier.webhook import Webhook


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_module, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(webhook_module, "LONGEST_PAUSE", 0.002)


@dataclass
class Told:
    """What a webhook tells of itself."""

    states: list[WebhookStateForm] = field(default_factory=list)
    said: list[tuple[str, bool]] = field(default_factory=list)

    def webhook(self, receiver: FakeReceiver, outbox: EventOutbox, *, retry_for: float = 1000.0) -> Webhook:
        """Return a webhook that tells this."""
        target = Receiver.of(receiver.url, secret="key")
        return Webhook(outbox, target, retry_for, self.states.append, lambda *said: self.said.append(said))


async def test_an_event_is_signed_and_named() -> None:
    """The receiver can check who sent the event and when, and knows it again by its name."""
    told, outbox = Told(), EventOutbox("")
    async with receiving() as receiver:
        webhook = told.webhook(receiver, outbox)
        webhook.add("7-1", "recovery", time.time_ns(), b'{"a": 1}')
        assert await webhook.deliver_next() == 0.0
        assert await webhook.deliver_next() is None
    (got,) = receiver.got
    assert got.body == b'{"a": 1}'
    assert (got.headers["x-vtorc-event"], got.headers["x-vtorc-event-id"]) == ("recovery", "7-1")
    moment, _, sent = got.headers[SIGNATURE.lower()].removeprefix("t=").partition(",v1=")
    assert abs(int(moment) - time.time()) < 3600
    assert sent == signature(b"key", int(moment), got.body)
    assert (told.states[-1].delivered, told.states[-1].waiting) == (1, 0)


@pytest.mark.parametrize("status", [500, 503, 429, 404, 302])
async def test_a_refused_event_is_tried_again(status: int) -> None:
    """An event that is not taken is sent again under the same name until it is."""
    told = Told()
    answers = iter([status, status, 200])
    async with receiving(lambda _: next(answers)) as receiver:
        webhook = told.webhook(receiver, EventOutbox(""))
        webhook.add("7-1", "news", time.time_ns(), b"{}")
        running = asyncio.create_task(webhook.run())
        await until(lambda: told.states[-1:] != [] and told.states[-1].delivered == 1)
        running.cancel()
    assert [got.headers["x-vtorc-event-id"] for got in receiver.got] == ["7-1"] * 3
    assert told.states[-1].failed_tries == 2
    assert any(state.last_error.endswith(f"answered with status {status}") for state in told.states)


async def test_an_event_that_one_receiver_hates_holds_up_no_other() -> None:
    """After a refusal of one event with 400, the others are delivered meanwhile."""
    told = Told()

    def status(got: Received) -> int:
        return 400 if got.headers["x-vtorc-event-id"] == "bad" else 200

    async with receiving(status) as receiver:
        webhook = told.webhook(receiver, EventOutbox(""))
        for id_ in ("bad", "7-2", "7-3"):
            webhook.add(id_, "news", time.time_ns(), b"{}")
        running = asyncio.create_task(webhook.run())
        await until(lambda: told.states[-1:] != [] and told.states[-1].delivered == 2)
        running.cancel()
    assert told.states[-1].waiting == 1


async def test_an_event_that_is_too_old_becomes_a_dead_letter() -> None:
    """It is listed with the reason, told once, and the next success is told as well."""
    told, answers = Told(), iter([500, 500, 200])
    async with receiving(lambda _: next(answers)) as receiver:
        webhook = told.webhook(receiver, EventOutbox(""), retry_for=0.0)
        for id_ in ("7-1", "7-2", "7-3"):
            webhook.add(id_, "news", 1, b"{}")
        running = asyncio.create_task(webhook.run())
        await until(lambda: told.states[-1:] != [] and told.states[-1].delivered == 1)
        running.cancel()
    state = told.states[-1]
    assert (state.dead, state.waiting) == (2, 0)
    assert [letter.id for letter in state.dead_letters] == ["7-2", "7-1"]
    assert state.dead_letters[0].why.endswith("answered with status 500")
    assert state.dead_letters[0].tries == 1
    assert [is_wrong for _, is_wrong in told.said] == [True, False]


async def test_a_receiver_that_hangs_costs_its_time_limit() -> None:
    """A try ends at its limit, whatever the receiver does."""
    async with receiving(lambda _: HANG) as receiver:
        target = Receiver.of(receiver.url)
        with pytest.raises(NotDelivered, match=r"gave no answer within 0\.1 s"):
            await post(target, target.request("1", "news", b"{}", 0), timeout=0.1)


async def test_what_is_no_http_server_is_told() -> None:
    """An answer that is no HTTP, none at all, and nothing that listens are failures with a reason."""

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ESMTP\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    target = Receiver.of(f"http://127.0.0.1:{port}")
    with pytest.raises(NotDelivered, match="not an answer of an HTTP server"):
        await post(target, target.request("1", "news", b"{}", 0), timeout=60)
    server.close()
    await server.wait_closed()
    with pytest.raises(NotDelivered, match=r"127\.0\.0\.1"):
        await post(target, target.request("1", "news", b"{}", 0), timeout=60)


async def test_events_outlive_the_process(tmp_path: Path) -> None:
    """What was kept and not delivered is delivered by the next process, oldest first."""
    path = str(tmp_path / "o.sqlite")
    first = EventOutbox(path)
    for number in (1, 2, 3):
        first.add(f"7-{number}", "news", time.time_ns(), b"%d" % number)
    first.close()
    told = Told()
    async with receiving() as receiver:
        with closing(EventOutbox(path)) as outbox:
            webhook = told.webhook(receiver, outbox)
            while await webhook.deliver_next() is not None:
                pass
    assert [got.body for got in receiver.got] == [b"1", b"2", b"3"]


def test_an_event_is_kept_once() -> None:
    """An event that comes again, as vtorc did not hear that it was kept, is one event."""
    outbox = EventOutbox("")
    for _ in range(2):
        outbox.add("7-1", "news", 1, b"{}")
    assert outbox.waiting == 1


def test_too_many_events_push_out_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The outbox has a bound, and what it pushes out is a dead letter."""
    monkeypatch.setattr(outbox_module, "MOST_WAITING", 5)
    outbox = EventOutbox("")
    for number in range(7):
        outbox.add(str(number), "news", 1, b"{}")
    assert outbox.waiting == 5
    assert [letter.id for letter in outbox.dead(10)] == ["1", "0"]


def test_a_damaged_outbox_is_set_aside(tmp_path: Path) -> None:
    """A file that SQLite cannot read is renamed, and a new one begins."""
    path = tmp_path / "o.sqlite"
    path.write_bytes(b"torn by a power cut, and longer than a header is" * 100)
    outbox = EventOutbox(str(path))
    outbox.add("7-1", "news", 1, b"{}")
    assert outbox.waiting == 1
    assert Path(f"{path}{ASIDE}").exists()
    outbox.close()


@pytest.mark.parametrize("url", ["ftp://x/", "http://", "http://ann:secret@x/", "x"])
def test_what_is_no_address_is_refused(url: str) -> None:
    """A receiver is an http or https address without a password."""
    with pytest.raises(ValueError, match=r".*"):
        Receiver.of(url)


FULL = "database or disk is full"


class Failing:
    """An outbox whose file fails, as on a full disk."""

    def __init__(self, path: Path) -> None:
        self.said: list[str] = []
        self.outbox = EventOutbox(str(path), lambda sentence, is_wrong: self.said.append(sentence))

    def fill(self) -> None:
        """Let the file take no more pages."""
        db = self.outbox._db
        db.execute(f"PRAGMA max_page_count={db.execute('PRAGMA page_count').fetchone()[0]}")

    def ids(self) -> list[str]:
        """Return the events that wait, in order."""
        return [letter.id for letter in self.outbox._letters("is_dead = 0 ORDER BY number")]


BIG = b"x" * 20_000
"""An event that needs more room than a full file has."""


def test_events_are_kept_in_memory_while_the_file_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was in the file is there as well, and all goes back to the file once that can be used."""
    path = tmp_path / "o.sqlite"
    rig = Failing(path)
    for number in (1, 2):
        rig.outbox.add(f"7-{number}", "news", number, b"{}")
    rig.fill()
    rig.outbox.add("7-3", "news", 3, BIG)
    assert rig.ids() == ["7-1", "7-2", "7-3"]
    assert rig.said == [f"the webhook's events are kept in memory only, as {path} cannot be used: {FULL}"]
    first = rig.outbox.next()
    assert first is not None
    rig.outbox.remove(first)
    with closing(EventOutbox(str(path))) as other:
        assert other.waiting == 2
    monkeypatch.setattr(outbox_module, "FILE_AGAIN", 0.0)
    rig.outbox._again_at = 0.0
    assert rig.ids() == ["7-2", "7-3"]
    assert rig.said[1:] == [f"the webhook's events are kept in {path} again"]
    rig.outbox.close()
    with closing(EventOutbox(str(path))) as other:
        assert other.waiting == 2


def test_events_of_a_file_that_was_locked_at_the_start_are_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is left as it is until it can be read, and then has the events of both."""
    path = tmp_path / "o.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as locking:
        locking.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr(outbox_module, "_BUSY", 0.0)
        rig = Failing(path)
        locking.execute("ROLLBACK")
    with closing(EventOutbox(str(path))) as other:
        other.add("6-1", "news", 1, b"{}")
    rig.outbox.add("7-1", "news", 1, b"{}")
    assert rig.ids() == ["7-1"]
    assert len(rig.said) == 1
    rig.outbox._again_at = 0.0
    assert rig.ids() == ["6-1", "7-1"]
    assert [each.name for each in tmp_path.glob("*.damaged")] == []
    rig.outbox.close()
