"""The form of a log line, and its destinations."""

import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import structlog

from vtorc import files, logs
from vtorc.config.settings import LogSettings
from vtorc.errors import SettingsError
from vtorc.logs import BackgroundHandler, flush_logs, setup_logging

pytestmark = pytest.mark.usefixtures("restore_logging")


def written(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the lines that were written to standard error."""
    flush_logs()
    return capsys.readouterr().err


def test_writes_a_decision_as_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    """A line starts with time, level and sentence, its fields follow in their order."""
    setup_logging(LogSettings())
    structlog.get_logger("vtorc.x").info("nothing to do", shard="ks/0", rule="healthy")
    line = json.loads(written(capsys))
    assert list(line) == ["timestamp", "level", "event", "shard", "rule"]
    assert (line["level"], line["event"], line["shard"], line["rule"]) == ("info", "nothing to do", "ks/0", "healthy")


def test_writes_text(capsys: pytest.CaptureFixture[str]) -> None:
    """A text line has the sentence first and quotes values with spaces."""
    setup_logging(LogSettings(log_format="text"))
    structlog.get_logger().warning("replaced the primary", shard="ks/0", why="it is dead", none="")
    line = written(capsys)
    assert line.endswith('Z WARNING replaced the primary shard=ks/0 why="it is dead" none=""\n')


@pytest.mark.parametrize("format_", ["json", "text"])
def test_keeps_a_line_on_one_line(capsys: pytest.CaptureFixture[str], format_: str) -> None:
    """Text from outside cannot look like lines of the log or colour the terminal."""
    setup_logging(LogSettings(log_format=format_))
    structlog.get_logger().info("a\nb", error="c\r\n\x1b[31md")
    out = written(capsys)
    assert out.count("\n") == 1
    assert "\x1b" not in out
    assert "\r" not in out


@pytest.mark.parametrize("format_", ["json", "text"])
def test_hides_secrets(capsys: pytest.CaptureFixture[str], format_: str) -> None:
    """A field with the name of a secret has no value in the log."""
    setup_logging(LogSettings(log_format=format_))
    structlog.get_logger().info("x", mysql_topology_password="hunter2", AuthToken="hunter2", user="u")
    out = written(capsys)
    assert "hunter2" not in out
    assert "(hidden)" in out


@pytest.mark.parametrize(
    ("level", "heard"),
    [("debug", "debug info warn error"), ("info", "info warn error"), ("warn", "warn error"), ("error", "error")],
)
def test_heeds_the_level(capsys: pytest.CaptureFixture[str], level: str, heard: str) -> None:
    """A line below the level is not logged, by structlog and by Python's logging alike."""
    setup_logging(LogSettings(log_level=level, log_format="text"))
    for log in (structlog.get_logger("a"), logging.getLogger("b")):
        for name, say in {"debug": log.debug, "info": log.info, "warn": log.warning, "error": log.error}.items():
            say(f"<{name}>")
    out = written(capsys)
    assert [name for name in ("debug", "info", "warn", "error") if out.count(f"<{name}>") == 2] == heard.split()


def test_writes_the_traceback_of_an_exception(capsys: pytest.CaptureFixture[str]) -> None:
    """An exception is logged with its cause."""
    setup_logging(LogSettings(log_format="text"))
    try:
        raise ValueError("broken")
    except ValueError:
        structlog.get_logger().exception("it failed", shard="ks/0")
    out = written(capsys)
    assert "it failed shard=ks/0\nTraceback" in out
    assert out.endswith("ValueError: broken\n")


def test_writes_into_the_log_folder_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A log folder is made, and its file has the lines that standard error has."""
    folder = tmp_path / "a" / "b"
    setup_logging(LogSettings(log_dir=str(folder)))
    structlog.get_logger().info("hello")
    logging.getLogger("library").error("from %s", "elsewhere")
    out = written(capsys)
    assert out.count("\n") == 2
    assert (folder / "vtorc.log").read_text(encoding="utf-8") == out


def test_begins_the_file_anew_at_its_size(tmp_path: Path) -> None:
    """A file that reached its size is put aside, and the last five are kept."""
    setup_logging(LogSettings(log_dir=str(tmp_path), log_rotate_max_size=300))
    for number in range(40):
        structlog.get_logger().info(f"line {number}")
    flush_logs()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "vtorc.log",
        *(f"vtorc.log.{number}" for number in range(1, 6)),
    ]


def test_replaces_what_it_set_up_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Set up again, as after a reload, each line is still written once and in the new way."""
    setup_logging(LogSettings(log_dir=str(tmp_path)))
    setup_logging(LogSettings(log_format="text"))
    structlog.get_logger().info("once")
    assert written(capsys).count("INFO    once") == 1
    assert (tmp_path / "vtorc.log").read_text(encoding="utf-8") == ""


def test_refuses_a_log_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log file on a mount that hangs, for which a pipe stands here, ends the start with its folder."""
    monkeypatch.setattr(files, "FILE_PATIENCE", 0.1)
    os.mkfifo(tmp_path / "vtorc.log")
    with pytest.raises(SettingsError, match=f"got '{tmp_path}' .it does not answer: its disk or mount hangs"):
        setup_logging(LogSettings(log_dir=str(tmp_path)))
    os.close(os.open(tmp_path / "vtorc.log", os.O_RDONLY | os.O_NONBLOCK))


def test_refuses_a_folder_it_cannot_write_in(tmp_path: Path) -> None:
    """A log folder that is a file is refused by name."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError) as caught:
        setup_logging(LogSettings(log_dir=str(tmp_path / "file")))
    assert caught.value.problems == (
        f"--log-dir: expected a folder that vtorc.log can be written in, got '{tmp_path}/file' (File exists)",
    )


class Gate(logging.Handler):
    """A destination that accepts no line until it is opened, and none while it is broken."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.entered = threading.Event()
        self.broken = False
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.entered.set()
        self.open.wait()
        if self.broken:
            raise OSError("no space left")
        self.lines.append(record.getMessage())


def test_writes_the_lines_from_before_a_reload_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow destination gets all lines of the replaced handler before those of the new one, and a flush awaits both.

    Both had their own thread: under load a line of the new one came first, or a flush left the old one's lines out.
    """
    slow, quick = Gate(), Gate()
    quick.open.set()
    quick.lines = slow.lines
    targets = iter((slow, quick))
    monkeypatch.setattr(logs, "_stderr_handler", lambda: next(targets))
    setup_logging(LogSettings())
    structlog.get_logger().info("before")
    slow.entered.wait()
    setup_logging(LogSettings())
    structlog.get_logger().info("after")
    monkeypatch.setattr(logs, "_FLUSH_PATIENCE", 0.1)
    flush_logs()
    assert slow.lines == []
    slow.open.set()
    monkeypatch.setattr(logs, "_FLUSH_PATIENCE", 60.0)
    flush_logs()
    assert [json.loads(line)["event"] for line in slow.lines] == ["before", "after"]


def test_drops_and_counts_lines_for_a_destination_that_hangs() -> None:
    """Logging is not delayed by it; it is told how many lines were dropped once it accepts lines again."""
    gate = Gate()
    handler = BackgroundHandler(gate, most_waiting=2)
    handler.emit(logging.makeLogRecord({"msg": "in its hands"}))
    gate.entered.wait()
    for number in range(5):
        handler.emit(logging.makeLogRecord({"msg": f"line {number}"}))
    handler.drain(0.01)
    gate.open.set()
    handler.drain(10.0)
    handler.close()
    assert gate.lines[:3] == ["in its hands", "line 0", "line 1"]
    assert gate.lines[3].startswith("3 lines of this log were dropped, not written in time: check for")


def test_counts_what_could_not_be_written() -> None:
    """Lines that a full disk refused are counted, and reported once there is room."""
    gate = Gate()
    gate.open.set()
    gate.broken = True
    handler = BackgroundHandler(gate)
    handler.emit(logging.makeLogRecord({"msg": "lost"}))
    handler.drain(10.0)
    gate.broken = False
    handler.emit(logging.makeLogRecord({"msg": "kept"}))
    handler.drain(10.0)
    handler.close()
    assert gate.lines[0] == "kept"
    assert gate.lines[1].startswith("1 line of this log was dropped")


def test_the_end_of_the_program_writes_what_is_waiting() -> None:
    """A program that logs and ends has logged, past the buffers of its standard error."""
    code = (
        "import structlog; from vtorc.config.settings import LogSettings; from vtorc.logs import setup_logging\n"
        "setup_logging(LogSettings(log_format='text'))\n"
        "for number in range(500): structlog.get_logger().info(f'line {number}')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [line.split()[-1] for line in done.stderr.splitlines()] == [str(number) for number in range(500)]


def test_a_reader_that_stands_still_does_not_keep_the_program_from_going_on_and_ending() -> None:
    """With no reader of its standard error a program logs without waiting, and ends."""
    code = (
        "import structlog, sys; from vtorc.config.settings import LogSettings; from vtorc.logs import setup_logging\n"
        "setup_logging(LogSettings())\n"
        "for number in range(2000): structlog.get_logger().info('x' * 1000)\n"
        "print('went on', flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"went on\n"
        assert program.wait() == 0
