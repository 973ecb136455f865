"""What a vtorc tells its server about a small fleet, and a way to ask an application without a network."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import msgspec
from msgspec import structs
from starlette.types import ASGIApp, Message

from tests.unit.demo.shards import A, B, C, cut_off, failing, judge, primary, replica
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.ids import ShardId
from vtorc.forms.access import Caller, Means, Role
from vtorc.forms.findings import FindingForm
from vtorc.forms.frames import (
    AnyFrame,
    DecisionFrame,
    HeartbeatFrame,
    MetricsFrame,
    ProblemForm,
    RecoveryFrame,
    ReplyFrame,
    ShardFrame,
    StatusFrame,
)
from vtorc.forms.recovery import RecoveryForm, recovery_form
from vtorc.forms.shard import ShardForm, shard_form
from vtorc.forms.tablet import Moment
from vtorc.forms.times import rfc3339
from vtorc.recovery.record import Outcome, RecoveryRecord
from vtorc.recovery.runner import Judgement
from vtorc.server.asking import Ask
from vtorc.server.memory import ServerMemory

NOW = 100.0
MOMENT = Moment(NOW, 1_700_000_000_000_000_000)
WELL, LOST, OTHER = "commerce/0", "commerce/80-", "customer/-80"


def shard_named(name: str, judgement: Judgement, *, revision: int = 1) -> ShardForm:
    """Return the form of a shard, as if it had this name."""
    form = shard_form(judgement, MOMENT, revision=revision)
    keyspace, _, shard = name.partition("/")
    findings = [structs.replace(finding, shard=name) for finding in form.findings]
    return structs.replace(form, name=name, keyspace=keyspace, shard=shard, findings=findings)


def well(name: str = WELL, *, revision: int = 1) -> ShardForm:
    """Return a healthy shard."""
    return shard_named(name, judge(primary(), replica(B), replica(C)), revision=revision)


def lost(name: str = LOST) -> ShardForm:
    """Return a shard whose primary does not answer."""
    return shard_named(name, judge(failing(primary()), cut_off(replica(B)), cut_off(replica(C))))


def status(**changes: Any) -> StatusFrame:
    """Return the status of a vtorc that watches three shards."""
    told = StatusFrame(
        version="0.1.0",
        process=7,
        started=rfc3339(MOMENT.wall),
        recoveries_allowed=True,
        emergency_reparents_allowed=True,
        clusters_to_watch=[],
        topology_failures=[],
        shards_watched=3,
        announcements=[],
        history_file="",
    )
    return structs.replace(told, **changes)


def recovery(number: int, shard: str = LOST, outcome: Outcome = Outcome.SUCCEEDED) -> RecoveryForm:
    """Return a recovery that ended."""
    return recovery_form(
        RecoveryRecord(
            shard=ShardId.parse(shard),
            recovery=Recovery.RECOVER_DEAD_PRIMARY,
            code=Code.DEAD_PRIMARY,
            alias=A,
            began=MOMENT.wall + number,
            duration=1.5,
            outcome=outcome,
            sentence="done",
        )
    )


def decision(finding: FindingForm) -> DecisionFrame:
    """Return a decision on a finding."""
    return DecisionFrame(at=rfc3339(MOMENT.wall), change="decided", finding=finding)


def heartbeat() -> HeartbeatFrame:
    """Return a sign of life."""
    return HeartbeatFrame(at=rfc3339(MOMENT.wall), late_seconds=0.0)


def snapshot() -> Iterator[AnyFrame]:
    """Yield all that this vtorc knows."""
    yield status()
    for shard in (well(), lost(), well(OTHER)):
        yield ShardFrame(shard=shard)
    for number in (1, 2):
        yield RecoveryFrame(recovery=recovery(number))
    yield decision(lost().findings[0])
    yield MetricsFrame(metrics=[])


def told_memory(frames: Iterator[AnyFrame] | None = None, *, now: float = NOW) -> ServerMemory:
    """Return a memory that was told all."""
    memory = ServerMemory()
    for frame in frames if frames is not None else snapshot():
        memory.take(frame, now)
    return memory


CALLER = Caller(actor="ann", origin="127.0.0.1", means=Means.HOST, role=Role.ADMIN)
"""An operator on vtorc's own host."""


@dataclass
class RecordedAsk:
    """An `Ask`, and a `Forward`, that keeps what it is asked for, and always replies the same."""

    status: int = 200
    body: Any = field(default_factory=lambda: {"said": "yes"})
    asked: list[tuple[str, dict[str, object], str]] = field(default_factory=list)
    callers: list[Caller] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    reported: list[tuple[str, Caller, ProblemForm]] = field(default_factory=list)

    async def __call__(
        self,
        kind: str,
        arguments: dict[str, object],
        *,
        actor: str = "",
        origin: str = "",
        caller: Caller | None = None,
        key: str = "",
    ) -> ReplyFrame:
        self.asked.append((kind, arguments, caller.origin if caller is not None else origin))
        self.callers += [caller] if caller is not None else []
        self.keys.append(key)
        return ReplyFrame(id=1, status=self.status, body=msgspec.Raw(msgspec.json.encode(self.body)))

    def report(self, action: str, caller: Caller, problem: ProblemForm) -> None:
        """Keep a refusal."""
        self.reported.append((action, caller, problem))


@dataclass(frozen=True)
class Forwarding:
    """A `Forward` to an `Ask`, for tests that look at the operator and the address only."""

    ask: Ask

    async def __call__(self, kind: str, arguments: dict[str, object], *, caller: Caller, key: str) -> ReplyFrame:
        """Return the reply of the `Ask`."""
        return await self.ask(kind, arguments, actor=caller.actor, origin=caller.origin)

    def report(self, action: str, caller: Caller, problem: ProblemForm) -> None:
        """Keep nothing."""


@dataclass
class Answered:
    """What an application answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.body)


async def ask_app(
    app: ASGIApp,
    path: str,
    *,
    method: str = "GET",
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    client: str = "127.0.0.1",
) -> Answered:
    """Send one request to an application, and return its answer."""
    sent: list[Message] = []
    raw, _, query = path.partition("?")
    given = {"host": "127.0.0.1:3000", "content-length": str(len(body)), **(headers or {})}
    requests: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if requests:
            return requests.pop()
        return await asyncio.Future()  # the client stays

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope_of(method, raw, query, given, client), receive, send)
    start = sent[0]
    return Answered(
        status=start["status"],
        headers={name.decode(): value.decode() for name, value in start["headers"]},
        body=b"".join(message.get("body", b"") for message in sent[1:]),
    )


def scope_of(method: str, raw: str, query: str, headers: Mapping[str, str], client: str) -> dict[str, Any]:
    """Return the scope of a request, as uvicorn makes it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(raw),
        "raw_path": raw.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": (client, 40000),
        "server": ("127.0.0.1", 3000),
    }
