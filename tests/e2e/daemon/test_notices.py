"""The webhook, the operator's commands and the audit of a real daemon, while a real primary is replaced."""

import asyncio
import json
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.e2e.daemon.daemons import Daemons, daemons_of
from tests.e2e.daemon.shard import Shard
from tests.e2e.daemon.test_http import Web, served
from tests.e2e.daemon.watching import until
from tests.unit.notifier.receivers import HANG, Received, receiving
from vtorc.forms.times import rfc3339
from vtorc.forms.webhook import EventForm
from vtorc.history.reader import HistoryReader
from vtorc.lab.cluster import LabCluster, LabSpec
from vtorc.lab.vtorc_process import VtorcProcess
from vtorc.notifier.post import SIGNATURE, signature

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVING = "--listen-address=127.0.0.1:0"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shard() -> AsyncIterator[Shard]:
    """Give a shard over a topology file."""
    async with LabCluster(LabSpec(topo="local")) as cluster:
        yield Shard(cluster)


@pytest_asyncio.fixture(loop_scope="module")
async def daemons(shard: Shard) -> AsyncIterator[Daemons]:
    """Start vtorcs on a shard that is well; they are killed in the end."""
    async with daemons_of(shard.cluster) as daemons:
        await shard.mended(daemons)
        yield daemons


def settings_file(folder: Path, **keys: object) -> str:
    """Write a settings file, and return the flag that names it."""
    path = folder / "settings.json"
    path.write_text(json.dumps(keys))
    return f"--config-file={path}"


def events(got: list[Received], kind: str) -> list[EventForm]:
    """Return the events of a kind that came, each once."""
    forms = [msgspec.json.decode(each.body, type=EventForm) for each in got]
    return list({form.id: form for form in forms if form.kind == kind}.values())


async def has_text(path: Path, text: str) -> None:
    """Wait until a file has a text in it."""

    async def why_not() -> str:
        told = await asyncio.to_thread(_text, path)
        return "" if text in told else f"{path.name}: {told!r}"

    await until(why_not)


def _span_names(got: list[Received]) -> set[str]:
    exported = [each for sent in got for each in ExportTraceServiceRequest.FromString(sent.body).resource_spans]
    return {span.name for each in exported for scope in each.scope_spans for span in scope.spans}


def _codes(path: Path) -> list[str]:
    with closing(HistoryReader(str(path))) as history:
        return [each.code for each in history.decisions()]


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def test_a_failover_is_told_and_its_commands_run(
    shard: Shard, daemons: Daemons, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receivers get signed events and a trace, commands run around the failover, and the record has it all."""
    told = tmp_path / "told"
    config = settings_file(
        tmp_path,
        **{"webhook-secret": "the key"},
        PreFailoverProcesses=[f"echo pre {{failureType}} {{failedPort}} >> {told}; echo asked"],
        PostPrimaryFailoverProcesses=[f'echo "post $ORC_SUCCESSOR_ALIAS $ORC_IS_SUCCESSFUL" >> {told}; echo told'],
        OnFailureDetectionProcesses=[f"echo detected {{failureType}} >> {told}"],
        AuditLogFile=str(tmp_path / "audit.log"),
    )
    old = await shard.primary()
    async with receiving() as receiver, receiving(lambda _: 200) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.port}")
        flags = (f"--webhook-url={receiver.url}", "--tracer=opentelemetry", SERVING)
        vtorc = await daemons.start_knowing(config, *flags)
        web = await served(vtorc)
        await old.kill_mysqld()
        new = await shard.replaced(old)
        await has_text(told, f"post {new.alias} true")

        async def why_not() -> str:
            return "" if events(receiver.got, "recovery") else "no recovery was told"

        await until(why_not)
        lines = told.read_text().splitlines()
        assert f"pre DeadPrimary {old.mysql_port}" in lines
        assert "detected DeadPrimary" in lines
        recovery = events(receiver.got, "recovery")[0].recovery
        assert recovery is not None
        assert (recovery.outcome, recovery.winner) == ("succeeded", str(new.alias))
        (step,) = [step for step in recovery.steps if step.name == "PreFailoverProcesses 1 of 1"]
        assert (step.result, step.output) == ("done", "asked")
        for got in receiver.got:
            moment, _, sent = got.headers[SIGNATURE.lower()].removeprefix("t=").partition(",v1=")
            assert sent == signature(b"the key", int(moment), got.body)
        known = await web.until(
            f"/api/v1/recoveries/{recovery.id}", lambda _, body: "" if body.get("hooks") else str(body)
        )
        assert [(run["hook"], run["output"]) for run in known["hooks"]] == [("PostPrimaryFailoverProcesses", "told")]
        await collector.until(1)
        assert {"RecoverDeadPrimary", *(each.name for each in recovery.steps)} <= _span_names(collector.got)
        await has_text(tmp_path / "audit.log", f"recover-dead-primary\t127.0.0.1\t{old.mysql_port}\t")
        counted = re.compile(r'vtorc_hook_runs\{.*"PostPrimaryFailoverProcesses".*"success".*\} 1')
        metrics = await web.until("/metrics", lambda _, body: "" if counted.search(body) else body)
    assert "the key" not in json.dumps(vtorc.lines) + metrics + json.dumps((await web.get("/api/v1/settings"))[1])


@pytest.mark.parametrize("status", [HANG, 500], ids=["hangs", "refuses"])
async def test_no_receiver_and_no_command_delays_a_failover(
    shard: Shard, daemons: Daemons, tmp_path: Path, status: int
) -> None:
    """The primary is replaced while the receiver keeps the first event waiting, and a command is not let go."""
    go, begun = tmp_path / "go", tmp_path / "begun"
    config = settings_file(
        tmp_path,
        OnFailureDetectionProcesses=[f"touch {begun}; while [ ! -e {go} ]; do sleep 0.05; done; exit 3"],
        PostFailoverProcesses=[f"while [ ! -e {go} ]; do sleep 0.05; done; echo late"],
    )
    old = await shard.primary()
    async with receiving(lambda _: status) as receiver:
        vtorc = await daemons.start_knowing(config, f"--webhook-url={receiver.url}", "--webhook-retry-for=1s", SERVING)
        web = await served(vtorc)
        await old.kill_mysqld()
        await shard.replaced(old)
        listed = await web.until("/api/v1/recoveries", lambda _, body: "" if body.get("items") else str(body))
        assert listed["items"][0]["outcome"] == "succeeded"
        assert listed["items"][0]["hooks"] == []
        assert begun.exists()
        await receiver.until(1)
        webhook = (await web.get("/api/v1/webhook"))[1]
        assert webhook["delivered"] == 0
        go.touch()
        id_ = listed["items"][0]["id"]
        await web.until(f"/api/v1/recoveries/{id_}", lambda _, body: "" if body.get("hooks") else str(body))
        if status != HANG:
            dead = await web.until("/api/v1/webhook", lambda _, body: "" if body.get("dead") else str(body))
            assert dead["dead_letters"][0]["why"].endswith("answered with status 500")
            await vtorc.wait_for(lambda line: "was given up after" in line["event"])
            metrics = (await web.get("/metrics"))[1]
            assert "vtorc_webhook_dead_letters" in metrics


async def test_a_command_refuses_a_failover_until_it_is_mended(shard: Shard, daemons: Daemons, tmp_path: Path) -> None:
    """While the command fails the primary stays, and once it does not the primary is replaced."""
    mended = tmp_path / "mended"
    config = settings_file(tmp_path, PreFailoverProcesses=[f"echo closed for lunch; test -e {mended}"])
    old = await shard.primary()
    vtorc = await daemons.start_knowing(config, SERVING)
    web = await served(vtorc)
    await old.kill_mysqld()
    listed = await web.until(
        "/api/v1/recoveries?outcome=refused", lambda _, body: "" if body.get("items") else str(body)
    )
    refused = listed["items"][-1]
    assert refused["rule"] == "pre-hook"
    assert refused["steps"][-1]["output"] == "closed for lunch"
    assert (await shard.primary()) is old
    mended.touch()
    await shard.replaced(old)


async def test_a_killed_vtorc_leaves_a_readable_history_and_its_events(
    shard: Shard, daemons: Daemons, tmp_path: Path
) -> None:
    """After `kill -9` amid a failover the history is whole, and the next vtorc delivers what was not delivered."""
    old = await shard.primary()
    data = tmp_path / "history.sqlite"
    flags = (f"--sqlite-data-file={data}", "--webhook-events=problem,recovery")
    status = 503
    async with receiving(lambda _: status) as receiver:
        first = await daemons.start(*flags, f"--webhook-url={receiver.url}", SERVING)
        await old.kill_mysqld()
        await first.wait_for(lambda line: "replacing the primary" in line["event"])
        await receiver.until(1)

        async def why_not_kept() -> str:
            return "" if "DeadPrimary" in await asyncio.to_thread(_codes, data) else "no decision is kept yet"

        await until(why_not_kept)
        await first.kill()
        (waiting, *_) = events(receiver.got, "problem")
        with closing(sqlite3.connect(data)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        with closing(HistoryReader(str(data))) as history:
            decisions = history.decisions()
        assert any(each.code == "DeadPrimary" for each in decisions)
        status = 200
        receiver.got.clear()
        second = await daemons.start(*flags, f"--webhook-url={receiver.url}", SERVING)
        await shard.replaced(old)

        async def why_not() -> str:
            ids = [each.id for each in events(receiver.got, "problem")]
            return "" if waiting.id in ids else f"{waiting.id} did not come again, only {ids}"

        await until(why_not)
        web = await served(second)
        await _answers_for_then(web, second, shard, decisions[-1].at)


async def _answers_for_then(web: Web, vtorc: VtorcProcess, shard: Shard, at: int) -> None:
    """Expect that the history of the killed vtorc tells why the shard was as it was."""

    def why_not(status: int, body: Any) -> str:
        return "" if status == 200 and body["in_force"] else f"{status}: {body}"

    told = await web.until(f"/api/v1/shards/{shard.id}/why?at={rfc3339(at + 1_000_000)}", why_not)
    assert told["seen"]["name"] == str(shard.id)
    assert told["in_force"][0]["until"] is not None
    assert await asyncio.to_thread(lambda: vtorc.exit_code) is None
