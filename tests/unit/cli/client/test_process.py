"""`vtorc ctl` as a process: outputs that are closed or of another encoding, and Ctrl-C."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from tests.unit.cli.client.fake_server import (
    FakeServer,
    Reply,
    event,
    fake_server,
    json_reply,
    list_reply,
    problem_reply,
)
from tests.unit.cli.client.samples import AT, LOST, shard, status_form
from vtorc.forms.fleet import shard_row
from vtorc.forms.frames import HeartbeatFrame

BEAT = event(HeartbeatFrame(at=AT, late_seconds=0), "heartbeat")


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Lets the stream of events end."""
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.fixture
def server(release: threading.Event) -> Iterator[FakeServer]:
    """Serve a shard with a problem, no history, and a stream of one event that does not end."""

    def events() -> Iterator[bytes]:
        yield BEAT
        release.wait()

    def answer(method: str, target: str) -> Reply:
        if "/events" in target:
            return Reply(content_type="text/event-stream", pieces=events())
        if "/status" in target:
            return json_reply(status_form(states={"repairing": 1}))
        if "/recoveries" in target:
            return problem_reply(503, what="the history cannot be read", why="its disk is full", do="free some")
        return list_reply(shard_row(shard(LOST)))

    with fake_server(answer) as fake:
        yield fake
        release.set()


def _start(server: FakeServer, *words: str, stdout: int, **environ: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "vtorc.cli.main", "ctl", *words],
        env={**os.environ, "VTORC_SERVER": server.address, **environ},
        stdout=stdout,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("encoding", ["ascii", "iso8859-1", "utf-8"])
def test_any_encoding_will_do(server: FakeServer, encoding: str) -> None:
    """Marks are shown by letters where the output has no others."""
    process = _start(server, "status", stdout=subprocess.PIPE, PYTHONIOENCODING=encoding)
    out, err = process.communicate()
    mark = "▲" if encoding == "utf-8" else "^"
    assert f"{mark} commerce/0: zone1-0000000101 answers" in out.decode(encoding)
    assert (process.returncode, err) == (1, b"")


@pytest.mark.parametrize("words", [["status"], ["shards", "--json"], ["watch"], ["completion", "bash"]])
def test_a_closed_pipe_is_no_error(server: FakeServer, words: list[str]) -> None:
    """Where nothing reads the output, the command ends as it would have, without an error or a traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    process = _start(server, *words, stdout=writer)
    os.close(writer)
    _, err = process.communicate()
    expected = 1 if words[0] in ("status", "shards") else 0
    assert (process.returncode, err) == (expected, b"")


def test_a_closed_output_is_no_error(server: FakeServer) -> None:
    """An output that was closed before the start is no error either; the exit code tells."""
    command = f'"{sys.executable}" -m vtorc.cli.main ctl --server {server.address} status >&-'
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (1, b"")


def test_ctrl_c_ends_watching(server: FakeServer) -> None:
    """Ctrl-C ends watching with 0 and without a traceback."""
    process = _start(server, "watch", "--json", stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b'{"frame": "heartbeat"')
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert (process.returncode, err) == (0, b"\n")
