"""The history's writer goes on, or ends, whatever becomes of the file."""

import threading
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from vtorc.history.store import History, StoredDecision, StoredRecovery
from vtorc.history.writer import ASIDE, HistoryWriter

GARBAGE = b"a page that a power cut has torn, and that is longer than a header" * 100
DECISION = StoredDecision(at=7, shard="commerce/0", tablet="", code="DeadPrimary", rule="act", sentence="x")


@pytest.fixture
def logs() -> Iterator[list[str]]:
    """What is logged meanwhile."""
    said: list[str] = []

    def take(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        said.append(str(fields["event"]))
        return fields

    with capture_logs([take]):
        yield said


def decisions(path: Path) -> list[StoredDecision]:
    """What is kept in a file."""
    history = History(str(path))
    found = list(history.decisions())
    history.close()
    return found


def test_a_damaged_history_of_our_own_is_set_aside(tmp_path: Path, logs: list[str]) -> None:
    """A file that vtorc named itself and that SQLite cannot read is renamed, which is logged, and a new one begins."""
    path = tmp_path / "h.sqlite"
    path.write_bytes(GARBAGE)
    writer = HistoryWriter(str(path), renewable=True)
    writer.add_decision(DECISION)
    writer.close()
    assert decisions(path) == [DECISION]
    assert Path(f"{path}{ASIDE}").read_bytes() == GARBAGE
    (said,) = logs
    assert said.endswith(f"it is {path}{ASIDE} now, and a new history begins")


@pytest.mark.parametrize("what", ["file of somebody else", "missing folder"])
def test_what_cannot_be_a_history_is_left_alone(tmp_path: Path, logs: list[str], what: str) -> None:
    """A file that an operator named and that is none stays as it is, nothing is kept, and that is logged once."""
    path = tmp_path / "orc_config.json" if what == "file of somebody else" else tmp_path / "none" / "h.sqlite"
    if what == "file of somebody else":
        path.write_bytes(GARBAGE)
    writer = HistoryWriter(str(path))
    writer.add_decision(DECISION)
    writer.add_decision(DECISION)
    writer.close()
    assert [each.name for each in tmp_path.iterdir()] == (["orc_config.json"] if path.exists() else [])
    (said,) = logs
    assert said.startswith(f"nothing is kept in the history until the next start: history file {path}")


def test_old_entries_are_purged_first(tmp_path: Path) -> None:
    """What is older than it may be is gone once the history is open."""
    path = tmp_path / "h.sqlite"
    for before in (0, 8):
        writer = HistoryWriter(str(path), purge_before=before)
        if not before:
            writer.add_decision(DECISION)
        writer.close()
    assert decisions(path) == []


def test_an_entry_that_cannot_be_kept_is_the_only_one_lost(tmp_path: Path, logs: list[str]) -> None:
    """Whatever an entry is made of, what comes after it is kept."""
    path = tmp_path / "h.sqlite"
    writer = HistoryWriter(str(path))
    writer.add_recovery(
        StoredRecovery(
            id=0, began=0, shard="", code="", recovery="", tablet="", outcome="", sentence="", detail={"x": object()}
        )
    )
    writer.add_decision(DECISION)
    writer.close()
    assert decisions(path) == [DECISION]
    assert ["could not be kept" in said for said in logs] == [True]


def test_closing_waits_for_no_disk_that_hangs(tmp_path: Path, logs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """After its patience closing returns, with an error, whatever the thread still does."""
    disk = threading.Event()
    monkeypatch.setattr(History, "add_decision", lambda _self, _stored: disk.wait())
    writer = HistoryWriter(str(tmp_path / "h.sqlite"))
    writer.add_decision(DECISION)
    writer.close(patience=0.05)
    assert "its last entries are lost" in logs[-1]
    disk.set()
