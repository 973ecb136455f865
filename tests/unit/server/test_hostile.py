"""Names and texts that were written to do harm, in each dialect: nothing breaks, and nothing is taken for markup."""

import re
import string
import time
from typing import Any

import msgspec
import pytest

from tests.unit.server.told import LOST, OTHER, WELL, RecordedAsk, ask_app, told_memory
from tests.unit.server.told import recovery as ended
from vtorc.forms.access import Means, Role
from vtorc.forms.audit import AuditForm
from vtorc.forms.frames import AuditFrame, DecisionFrame, RecoveryFrame, ShardFrame
from vtorc.forms.shard import ShardForm
from vtorc.server.app import make_app
from vtorc.server.listener import Listener
from vtorc.server.memory import ServerMemory
from vtorc.server.v1.table import READS
from vtorc.server.v12.routes import ROUTES

TEXTS = {
    "markup": "<script>alert('x')</script><img src=x onerror=alert(1)>",
    "quotes": "'\"`\\ {{7*7}} ${x} %s %00 &amp;",
    "lines": "one\ntwo\r\nthree\x85four\u2028five\tsix\x00seven\x1b[31m",
    "right to left": "abc\u202edcba\u202c \u2066x\u2069 \ufeff\U0001f600",
    "long": "A" * 10_000,
}
PLANTED = frozenset(
    {
        "host", "mysql_host", "io_error", "sql_error", "says", "version", "version_comment", "binlog_file",
        "server_uuid", "sentence", "problem", "durability", "why", "what", "reason", "actor", "origin", "argument",
    }
)  # fmt: skip
"""Fields that clients, tablets or the topology server fill."""
TODAY = (
    "/api/problems",
    "/api/errant-gtids",
    "/api/detection-analysis",
    "/api/replication-analysis",
    "/api/config",
    "/api/database-state",
    "/debug/status",
    "/debug/vars",
    "/debug/health",
    "/metrics",
    "/web/clusters",
)
_SAMPLE = re.compile(r'[a-zA-Z_:][\w:]*(\{(\w+="(\\.|[^"\\\n])*",?)*\})? \S+')


def planted(value: Any, text: str, key: str = "") -> Any:
    """Return plain values with `text` in all fields that others fill."""
    match value:
        case dict():
            return {name: planted(each, text, name) for name, each in value.items()}
        case list():
            return [planted(each, text, key) for each in value]
        case str() if key == "source":
            return f"{text}:3306"  # vtorc itself adds the port
        case str() if key in PLANTED:
            return text
        case _:
            return value


def hostile_memory(text: str) -> ServerMemory:
    """Return a memory of shards, recoveries, decisions and requests with `text` wherever others may write."""
    memory = told_memory()
    for name in (WELL, LOST, OTHER):
        told = planted(msgspec.to_builtins(memory.shards[name]), text)
        memory.take(ShardFrame(shard=msgspec.convert(told, ShardForm)), 100.0)
    for number, frame in enumerate(list(memory.decisions)):
        told = planted(msgspec.to_builtins(frame), text)
        memory.take(msgspec.convert(told, DecisionFrame), 100.0 + number)
    told = planted(msgspec.to_builtins(RecoveryFrame(recovery=ended(9))), text)
    memory.take(msgspec.convert(told, RecoveryFrame), 100.0)
    entry = AuditForm(
        id="7-1",
        at="2023-11-14T22:13:20.000Z",
        action="cancel",
        shard=LOST,
        tablet=None,
        actor=text,
        means=Means.PROXY,
        role=Role.ADMIN,
        origin=text,
        arguments={"plan": text},
        reason=text,
        result="refused",
        recovery=None,
        sentence=text,
    )
    memory.take(AuditFrame(entry=entry), time.monotonic())
    return memory


def paths(text: str) -> list[str]:
    """Return a path of each route of all dialects, also with `text` in its place of a name."""
    quoted = "".join(f"%{byte:02X}" for byte in text[:300].encode())
    found = [*TODAY, *(f"/api/v1{read.path}" for read in READS), "/api/v1/openapi.json", f"/{quoted}"]
    found += [f"/api/{re.sub(r':[a-zA-Z]+', quoted, route.path)}" for route in ROUTES]
    found += [f"/api/{re.sub(r':[a-zA-Z]+', 'commerce:0', route.path)}" for route in ROUTES if "Hint" in route.path]
    values = {"keyspace": quoted, "shard": quoted, "id": quoted, "name": quoted, "number": quoted}
    found += [f"/api/v1{read.path.format(**values)}?q={quoted}" for read in READS]
    named = {"keyspace": WELL.partition("/")[0], "shard": WELL.partition("/")[2], "id": "1", "name": "x", "number": "1"}
    return [*found, *(f"/api/v1{read.path.format(**named)}" for read in READS)]


@pytest.mark.parametrize("listener", [Listener.V12, Listener.TODAY])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_hostile_texts_break_no_answer(text: str, listener: Listener) -> None:
    """JSON stays JSON, metrics stay metrics, a page has no foreign markup, and no header has a line break."""
    memory = hostile_memory(text)
    app = make_app(memory, RecordedAsk(status=409, body=msgspec.to_builtins(PROBLEM)), listener=listener)
    for path in paths(text):
        memory.heard_at = time.monotonic()
        answer = await ask_app(app, path)
        kind = answer.headers.get("content-type", "")
        assert "mistake of vtorc" not in answer.text, path
        if "json" in kind:
            msgspec.json.decode(answer.body)
        if "html" in kind:
            assert "<img" not in answer.text, path
            assert "<script" not in answer.text, path
        if path == "/metrics":
            wrong = [
                line for line in answer.text.split("\n") if line and line[0] != "#" and not _SAMPLE.fullmatch(line)
            ]
            assert wrong == []
        for value in answer.headers.values():
            assert all(char in string.printable and char not in "\r\n" for char in value), path


PROBLEM = {"title": "t", "status": 409, "what": "w", "why": "y", "do": "d"}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_hostile_texts_are_told_as_they_are(text: str) -> None:
    """Programs get what was written, so that a page of theirs can show it."""
    memory = hostile_memory(text)
    memory.heard_at = time.monotonic()
    shard = (await ask_app(make_app(memory, RecordedAsk()), f"/api/v1/shards/{WELL}")).json
    assert {tablet["mysql_host"] for tablet in shard["tablets"]} == {text}
    (entry,) = (await ask_app(make_app(memory, RecordedAsk()), "/api/v1/audit")).json["items"]
    assert (entry["actor"], entry["reason"]) == (text, text)
