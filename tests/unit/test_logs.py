"""What a line of the log looks like, and where it goes."""

import json
import logging
from pathlib import Path

import pytest
import structlog

from vtorc.config.settings import LogSettings
from vtorc.errors import SettingsError
from vtorc.logs import setup_logging

pytestmark = pytest.mark.usefixtures("restore_logging")


def test_writes_a_decision_as_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    """A line starts with time, level and sentence, its fields follow in their order."""
    setup_logging(LogSettings())
    structlog.get_logger("vtorc.x").info("nothing to do", shard="ks/0", rule="healthy")
    line = json.loads(capsys.readouterr().err)
    assert list(line) == ["timestamp", "level", "event", "shard", "rule"]
    assert (line["level"], line["event"], line["shard"], line["rule"]) == ("info", "nothing to do", "ks/0", "healthy")


def test_writes_text_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """A text line has the sentence first and quotes values with spaces."""
    setup_logging(LogSettings(log_format="text"))
    structlog.get_logger().warning("replaced the primary", shard="ks/0", why="it is dead", none="")
    line = capsys.readouterr().err
    assert line.endswith('Z WARNING replaced the primary shard=ks/0 why="it is dead" none=""\n')


@pytest.mark.parametrize("format_", ["json", "text"])
def test_keeps_a_line_on_one_line(capsys: pytest.CaptureFixture[str], format_: str) -> None:
    """Text from outside cannot look like lines of the log or colour the terminal."""
    setup_logging(LogSettings(log_format=format_))
    structlog.get_logger().info("a\nb", error="c\r\n\x1b[31md")
    out = capsys.readouterr().err
    assert out.count("\n") == 1
    assert "\x1b" not in out
    assert "\r" not in out


@pytest.mark.parametrize("format_", ["json", "text"])
def test_hides_secrets(capsys: pytest.CaptureFixture[str], format_: str) -> None:
    """A field whose name tells that it is a secret has no value in the log."""
    setup_logging(LogSettings(log_format=format_))
    structlog.get_logger().info("x", mysql_topology_password="hunter2", AuthToken="hunter2", user="u")
    out = capsys.readouterr().err
    assert "hunter2" not in out
    assert "(hidden)" in out


@pytest.mark.parametrize(
    ("level", "heard"),
    [("debug", "debug info warn error"), ("info", "info warn error"), ("warn", "warn error"), ("error", "error")],
)
def test_heeds_the_level(capsys: pytest.CaptureFixture[str], level: str, heard: str) -> None:
    """What is below the level is not logged, by structlog and by Python's logging alike."""
    setup_logging(LogSettings(log_level=level, log_format="text"))
    for log in (structlog.get_logger("a"), logging.getLogger("b")):
        for name, say in {"debug": log.debug, "info": log.info, "warn": log.warning, "error": log.error}.items():
            say(f"<{name}>")
    out = capsys.readouterr().err
    assert [name for name in ("debug", "info", "warn", "error") if out.count(f"<{name}>") == 2] == heard.split()


def test_writes_the_traceback_of_an_exception(capsys: pytest.CaptureFixture[str]) -> None:
    """An exception is logged with its cause."""
    setup_logging(LogSettings(log_format="text"))
    try:
        raise ValueError("broken")
    except ValueError:
        structlog.get_logger().exception("it failed", shard="ks/0")
    out = capsys.readouterr().err
    assert "it failed shard=ks/0\nTraceback" in out
    assert out.endswith("ValueError: broken\n")


def test_writes_into_the_log_folder_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A log folder is made, and its file has the lines that standard error has."""
    folder = tmp_path / "a" / "b"
    setup_logging(LogSettings(log_dir=str(folder)))
    structlog.get_logger().info("hello")
    logging.getLogger("library").error("from %s", "elsewhere")
    assert (folder / "vtorc.log").read_text(encoding="utf-8") == capsys.readouterr().err


def test_begins_the_file_anew_at_its_size(tmp_path: Path) -> None:
    """A file that reached its size is put aside, and the last five are kept."""
    setup_logging(LogSettings(log_dir=str(tmp_path), log_rotate_max_size=300))
    for number in range(40):
        structlog.get_logger().info(f"line {number}")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "vtorc.log",
        *(f"vtorc.log.{number}" for number in range(1, 6)),
    ]


def test_replaces_what_it_set_up_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Set up again, as after a reload, each line is still written once and in the new way."""
    setup_logging(LogSettings(log_dir=str(tmp_path)))
    setup_logging(LogSettings(log_format="text"))
    structlog.get_logger().info("once")
    assert capsys.readouterr().err.count("INFO    once") == 1
    assert (tmp_path / "vtorc.log").read_text(encoding="utf-8") == ""


def test_refuses_a_folder_it_cannot_write_in(tmp_path: Path) -> None:
    """A log folder that is a file is refused by name."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError) as caught:
        setup_logging(LogSettings(log_dir=str(tmp_path / "file")))
    assert caught.value.problems == (
        f"--log-dir: expected a folder that vtorc.log can be written in, got '{tmp_path}/file' (File exists)",
    )
