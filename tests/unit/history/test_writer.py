"""The history's writer goes on, and ends, whatever happens to the file."""

import itertools
import shutil
import sqlite3
import threading
from collections.abc import Iterator, MutableMapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from vtorc.errors import HistoryDamaged, HistoryError
from vtorc.history import writer as writer_module
from vtorc.history.reader import HistoryReader
from vtorc.history.retention import Retention
from vtorc.history.schema import VERSION
from vtorc.history.store import History, StoredDecision, StoredRecovery
from vtorc.history.writer import ASIDE, HistoryWriter

GARBAGE = b"a page that a power cut has torn, and that is longer than a header" * 100
DECISION = StoredDecision(at=7, shard="commerce/0", tablet="", code="DeadPrimary", rule="act", sentence="x")


@pytest.fixture
def logs() -> Iterator[list[str]]:
    """Collect the sentences that are logged during a test."""
    sentences: list[str] = []

    def take(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        sentences.append(str(fields["event"]))
        return fields

    with capture_logs([take]):
        yield sentences


def decisions(path: Path) -> list[StoredDecision]:
    """Read the decisions in a file."""
    with closing(HistoryReader(str(path))) as history:
        return history.decisions()


def test_a_damaged_history_of_our_own_is_set_aside(tmp_path: Path, logs: list[str]) -> None:
    """A damaged file with the name that vtorc chose is renamed, which is logged, and a new one begins."""
    path = tmp_path / "h.sqlite"
    path.write_bytes(GARBAGE)
    writer = HistoryWriter(str(path), replace_damaged=True)
    writer.add_decision(DECISION)
    writer.close()
    assert decisions(path) == [DECISION]
    assert Path(f"{path}{ASIDE}").read_bytes() == GARBAGE
    (sentence,) = logs
    assert sentence.endswith(f"it was renamed to {path}{ASIDE}, and a new history begins")


@pytest.mark.parametrize("kind", ["file of another program", "missing folder"])
def test_a_path_that_cannot_be_a_history_is_left_alone(tmp_path: Path, logs: list[str], kind: str) -> None:
    """A file of another program stays as it is, no history is written, and that is logged once."""
    path = tmp_path / "orc_config.json" if kind == "file of another program" else tmp_path / "none" / "h.sqlite"
    if kind == "file of another program":
        path.write_bytes(GARBAGE)
    writer = HistoryWriter(str(path))
    writer.add_decision(DECISION)
    writer.add_decision(DECISION)
    writer.close()
    assert [each.name for each in tmp_path.iterdir()] == (["orc_config.json"] if path.exists() else [])
    (sentence,) = logs
    assert sentence.startswith(f"no history is written until its file can be used: history file {path}")


def test_old_entries_are_purged_first(tmp_path: Path) -> None:
    """Entries that are too old are deleted when the history is opened."""
    path = tmp_path / "h.sqlite"
    for kept in (Retention(), Retention(seconds=1.0)):
        writer = HistoryWriter(str(path), kept=partial(replace, kept), wall=lambda: 10**10)
        if kept.seconds is None:
            writer.add_decision(DECISION)
        writer.close()
    assert decisions(path) == []


def test_old_entries_are_purged_while_vtorc_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that becomes too old is deleted without a restart, and the history tells how long vtorc ran."""
    monkeypatch.setattr(writer_module, "NOTE_RUN_EVERY", 0.0)
    monkeypatch.setattr(writer_module, "PURGE_EVERY", 0.0)
    path, wall = tmp_path / "h.sqlite", itertools.count(0, 10**9)
    writer = HistoryWriter(str(path), kept=lambda: Retention(seconds=3.0), version="1", wall=wall.__next__)
    writer.add_decision(DECISION)
    while next(wall) < 10 * 10**9:
        pass
    writer.add_decision(replace(DECISION, at=2**62))
    writer.close()
    assert [each.at for each in decisions(path)] == [2**62]
    with closing(HistoryReader(str(path))) as history:
        run = history.run_at(2**62)
    assert run is not None
    assert run.began == 0
    assert run.seen > 10 * 10**9


def test_a_file_of_a_newer_vtorc_is_left_as_it_is(tmp_path: Path, logs: list[str]) -> None:
    """Nothing is written to the file of a newer vtorc, also with leave to replace it, and the log says what to do."""
    path = tmp_path / "h.sqlite"
    History(str(path)).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = path.read_bytes()
    writer = HistoryWriter(str(path), replace_damaged=True)
    writer.add_decision(DECISION)
    writer.close()
    assert path.read_bytes() == before
    (sentence,) = logs
    assert sentence.endswith("run that vtorc, or move the file away and a new one begins")


def test_an_entry_that_cannot_be_written_is_the_only_one_lost(tmp_path: Path, logs: list[str]) -> None:
    """The entries after one that cannot be encoded are written."""
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
    assert ["could not be written" in sentence for sentence in logs] == [True]


@pytest.mark.parametrize("error", [HistoryError, HistoryDamaged])
def test_a_disk_that_takes_no_entry_is_told_once_until_it_takes_one(
    tmp_path: Path, logs: list[str], monkeypatch: pytest.MonkeyPatch, error: type[HistoryError]
) -> None:
    """A line for each entry would fill what room the log has; a file that turns out damaged is replaced at once."""
    path = tmp_path / "h.sqlite"
    left = iter([error("torn")] * (5 if error is HistoryError else 1))
    add = History.add_decision

    def failing(self: History, stored: StoredDecision) -> None:
        for each in left:
            raise each
        add(self, stored)

    monkeypatch.setattr(History, "add_decision", failing)
    writer = HistoryWriter(str(path), replace_damaged=True)
    for _ in range(6):
        writer.add_decision(DECISION)
    writer.close()
    assert decisions(path) == [DECISION] * (1 if error is HistoryError else 5)
    assert logs[0] == "torn"
    assert logs.count("torn") == 1
    assert Path(f"{path}{ASIDE}").exists() == (error is HistoryDamaged)


def test_closing_waits_for_no_disk_that_hangs(tmp_path: Path, logs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """After its patience closing returns, with an error, whatever the thread still does."""
    disk = threading.Event()
    monkeypatch.setattr(History, "add_decision", lambda _self, _stored: disk.wait())
    writer = HistoryWriter(str(tmp_path / "h.sqlite"))
    writer.add_decision(DECISION)
    writer.close(patience=0.05)
    assert "the last entries of the history were not written within 0.05 s" in logs[-1]
    disk.set()
    writer.close(patience=60)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Count each end of an attempt to open a history, and of an attempt to write a decision."""
    ended = threading.Semaphore(0)

    def counted(name: str) -> None:
        real = getattr(History, name)

        def wrapped(*args: Any) -> None:
            try:
                real(*args)
            finally:
                ended.release()

        monkeypatch.setattr(History, name, wrapped)

    counted("__init__")
    counted("add_decision")
    return ended


def test_a_history_is_made_again_with_its_folder(tmp_path: Path, logs: list[str], steps: threading.Semaphore) -> None:
    """Entries are kept again as soon as the folder that was deleted is there again, and one line says so."""
    path = tmp_path / "log" / "h.sqlite"
    path.parent.mkdir()
    writer = HistoryWriter(str(path))
    writer.add_decision(DECISION)
    for _ in ("opened", "written"):
        steps.acquire()
    shutil.rmtree(path.parent)
    path.parent.mkdir()
    writer.add_decision(DECISION)
    writer.close()
    assert decisions(path) == [DECISION]
    assert logs == [f"the history begins anew in {path}: its file was moved or deleted"]


def test_a_folder_that_comes_later_gets_its_history(
    tmp_path: Path, logs: list[str], steps: threading.Semaphore
) -> None:
    """A missing folder is told once, entries are lost until it is there, and its history then begins."""
    path = tmp_path / "log" / "h.sqlite"
    writer = HistoryWriter(str(path))
    writer.add_decision(DECISION)
    for _ in ("opened at the start", "opened for the decision"):
        steps.acquire()
    path.parent.mkdir()
    writer.add_decision(DECISION)
    writer.close()
    assert decisions(path) == [DECISION]
    assert len(logs) == 2
    assert logs[1] == f"the history begins anew in {path}: its file can be used by now"
