"""The stream of events over breaks, and a recovery that is followed to its end."""

import threading
from collections.abc import Iterator

import pytest

from tests.unit.cli.client.fake_server import (
    FakeServer,
    Reply,
    event,
    fake_server,
    json_reply,
    problem_reply,
    stream_reply,
)
from tests.unit.cli.client.samples import AT, HEALTHY, recovery, running, shard, status
from vtorc.cli.client import stream
from vtorc.cli.client.address import ServerAddress
from vtorc.cli.client.api import ApiClient
from vtorc.cli.client.errors import AnswerNotUnderstood, RecoveryLost, RequestRefused, ServerUnreachable
from vtorc.cli.client.events import ServerEvent
from vtorc.cli.client.stream import MOST_HEARTBEATS, Follower, lasting_events, read_event
from vtorc.forms.frames import HeartbeatFrame, RecoveryFrame, ShardFrame
from vtorc.forms.recovery import RecoveryForm

BEAT = event(HeartbeatFrame(at=AT, late_seconds=0), "heartbeat")
ENDED = event(RecoveryFrame(recovery=recovery()), "recovery")
OLD = recovery(id="old")


def _running(steps: int) -> bytes:
    return event(ShardFrame(shard=shard(HEALTHY, running=running(steps))), "shard")


class _Script:
    """Answers with the streams one after the other, and with what is known of the shard meanwhile."""

    def __init__(self, *streams: Reply, recoveries: tuple[RecoveryForm, ...] = (OLD,), in_progress: int = 0) -> None:
        self._streams = iter(streams)
        self._recoveries = recoveries
        self._in_progress = in_progress

    def __call__(self, method: str, target: str) -> Reply:
        """Answer a request."""
        if "/events" in target:
            return next(self._streams)
        if "/recoveries/" in target:
            id_ = target.rpartition("/")[2]
            return next((json_reply(one) for one in self._recoveries if one.id == id_), problem_reply(404))
        return json_reply(shard(HEALTHY, running=running(self._in_progress) if self._in_progress else None))


def _client(server: FakeServer) -> ApiClient:
    return ApiClient(ServerAddress.parse(server.address))


def _follow(server: FakeServer) -> tuple[RecoveryForm, list[str]]:
    """Follow a recovery in commerce/0; returns its record and what was told."""
    told: list[str] = []
    follower = Follower(_client(server), running(0), told.extend, 100, retry=0.0)
    return follower.run(), told


LOCK, STOP_B, STOP_C = (
    "     0.012 s  lock the shard: done",
    "     0.112 s  stop replication on zone2-0000000102: done",
    "     1.262 s  stop replication on zone3-0000000103: it does not answer",
)


def test_follows_steps_to_the_end() -> None:
    """Each step is told once as it ends, those that only the record has at the end."""
    with fake_server(_Script(stream_reply(BEAT, _running(1), _running(2), _running(2), BEAT, ENDED))) as server:
        ended, told = _follow(server)
    assert ended == recovery()
    assert told == [LOCK, STOP_B, STOP_C]


def test_an_end_before_the_stream_is_found() -> None:
    """A recovery that ended before the stream began is found among the recoveries, and an older one is not taken."""
    script = _Script(stream_reply(BEAT), recoveries=(recovery(), OLD))
    with fake_server(script) as server:
        ended, told = _follow(server)
    assert ended.id == recovery().id
    assert told == [LOCK, STOP_B, STOP_C]


def test_steps_before_the_stream_are_found() -> None:
    """Steps that ended before the stream began are told."""
    with fake_server(_Script(stream_reply(BEAT, ENDED), in_progress=2)) as server:
        _, told = _follow(server)
    assert told == [LOCK, STOP_B, STOP_C]


def test_looking_in_vain_is_no_end() -> None:
    """Where the shard cannot be asked for amid the stream, it is asked for again with the next event."""
    refusals = iter([problem_reply(503)])
    script = _Script(stream_reply(BEAT, BEAT, ENDED), in_progress=2)

    def answer(method: str, target: str) -> Reply:
        return script(method, target) if "/events" in target else next(refusals, None) or script(method, target)

    with fake_server(answer) as server:
        _, told = _follow(server)
    assert told == [LOCK, STOP_B, STOP_C]


def test_other_recoveries_are_not_taken_for_it() -> None:
    """The end of another shard's recovery, or an older one that is sent again, ends nothing."""
    other = event(RecoveryFrame(recovery=recovery(shard="customer/0", id="x")), "recovery")
    again = event(RecoveryFrame(recovery=OLD), "recovery")
    with fake_server(_Script(stream_reply(BEAT, other, again, ENDED))) as server:
        ended, _ = _follow(server)
    assert ended.id == recovery().id


def test_goes_on_after_a_break() -> None:
    """A stream that breaks is opened anew, and what happened in between is asked for."""
    script = _Script(stream_reply(BEAT, _running(1)), problem_reply(503), stream_reply(BEAT, ENDED), in_progress=2)
    with fake_server(script) as server:
        ended, told = _follow(server)
    assert ended.id == recovery().id
    assert [line for line in told if " s  " in line] == [LOCK, STOP_B, STOP_C]
    assert len([line for line in told if "has ended the stream of events; the recovery goes on" in line]) == 1


def test_a_recovery_without_an_end_is_given_up() -> None:
    """Where vtorc was started anew, the recovery is neither in progress nor recorded, and that is told."""
    script = _Script(stream_reply(*[BEAT] * MOST_HEARTBEATS, ENDED))
    with fake_server(script) as server, pytest.raises(RecoveryLost, match="commerce/0 is neither in progress nor"):
        _follow(server)


def test_a_long_step_is_waited_for() -> None:
    """A recovery that is in progress is followed however long no step ends."""
    with fake_server(_Script(stream_reply(BEAT, _running(1), *[BEAT] * 3 * MOST_HEARTBEATS, ENDED))) as server:
        ended, _ = _follow(server)
    assert ended.id == recovery().id


def test_a_server_that_stays_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """After many attempts in vain the last reason is told."""
    monkeypatch.setattr(stream, "MOST_RETRIES", 3)
    replies = [stream_reply(BEAT), *[problem_reply(503, what="not told yet")] * 4]
    with fake_server(_Script(*replies)) as server, pytest.raises(RequestRefused, match="not told yet"):
        _follow(server)
    assert len([target for _, target in server.asked if "/events" in target]) == 4


def test_the_first_attempt_must_succeed() -> None:
    """A server that is not there from the begin is told at once."""
    with fake_server(lambda method, target: problem_reply(503)) as server, pytest.raises(RequestRefused):
        next(lasting_events(_client(server), None, pytest.fail))


def test_breaks_are_told_once() -> None:
    """A break is told with its reason once, however many attempts it takes to get the stream back."""
    replies = iter([stream_reply(BEAT), *[problem_reply(503)] * 3, stream_reply(BEAT)])
    reasons: list[str] = []
    with fake_server(lambda method, target: next(replies)) as server:
        events: Iterator[ServerEvent | None] = lasting_events(_client(server), None, reasons.append, retry=0.0)
        names = [event.name if event is not None else None for _, event in zip(range(6), events, strict=False)]
    assert names == ["heartbeat", None, None, None, None, "heartbeat"]
    assert reasons == [f"vtorc at {server.address} has ended the stream of events"]
    assert [target for _, target in server.asked] == ["/api/v1/events"] + ["/api/v1/events?since=1"] * 4


def test_a_refusal_ends_the_stream() -> None:
    """Another refusal than "not yet" is told, as asking again would not change it."""
    replies = iter([stream_reply(BEAT), problem_reply(403)])
    with fake_server(lambda method, target: next(replies)) as server:
        events = lasting_events(_client(server), None, lambda reason: None, retry=0.0)
        with pytest.raises(RequestRefused):
            list(events)


@pytest.mark.parametrize(("name", "data"), [("reset", b"{}"), ("message", b"1")])
def test_unknown_events_are_left_out(name: str, data: bytes) -> None:
    """Events of kinds that a later vtorc may send are no errors."""
    assert read_event(ServerEvent(name=name, data=data, id="")) is None


def test_a_frame_of_another_version_is_told() -> None:
    """A known event with a content that is not known is an error that says what helps."""
    with pytest.raises(AnswerNotUnderstood, match="use the vtorc ctl of the version that runs there"):
        read_event(ServerEvent(name="shard", data=b'{"frame": "shard"}', id=""))
    assert read_event(ServerEvent(name="status", data=event(status(), "status").split(b"data: ")[1], id="")) == status()


def test_silence_is_a_break() -> None:
    """A stream without a heartbeat counts as broken."""

    def silent() -> Iterator[bytes]:
        yield BEAT
        gate.wait()

    gate = threading.Event()
    with fake_server(lambda method, target: Reply(content_type="text/event-stream", pieces=silent())) as server:
        events = ApiClient(ServerAddress.parse(server.address), event_patience=0.2).events({})
        try:
            assert next(events).name == "heartbeat"
            with pytest.raises(ServerUnreachable, match=r"is silent now \(no answer in time\)"):
                next(events)
        finally:
            gate.set()
