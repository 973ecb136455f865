"""Files that may never answer."""

import asyncio
import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from vtorc import files
from vtorc.files import beside_the_loop, contents_of, try_files


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Path]:
    """A pipe without a writer, which stands for a file on a mount that hangs."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    yield path
    for each in tmp_path.glob("pipe*"):  # let the threads that wait for a writer end
        with contextlib.suppress(OSError):
            os.close(os.open(each, os.O_WRONLY | os.O_NONBLOCK))


def _threads() -> set[threading.Thread]:
    return set(threading.enumerate())


def test_a_file_that_answers_is_read(tmp_path: Path) -> None:
    """The contents are returned as they are."""
    (tmp_path / "file").write_bytes(b"\xff\n")
    assert contents_of(tmp_path / "file") == b"\xff\n"


def test_a_silent_file_is_given_up_and_leaves_one_thread_behind(pipe: Path) -> None:
    """The error says what to look for, and a second reading fails without another thread that waits."""
    before = _threads()
    for _ in range(3):
        with pytest.raises(OSError, match="its disk or mount hangs, or it is a pipe without a writer") as caught:
            contents_of(pipe, patience=0.05)
        assert caught.value.errno == errno.ETIMEDOUT
    left = _threads() - before
    assert len(left) == 1
    assert all(each.daemon for each in left)


def test_another_file_in_place_of_a_silent_one_is_read(pipe: Path, tmp_path: Path) -> None:
    """A mended file counts at once, though a thread still waits for the one before."""
    with pytest.raises(TimeoutError):
        contents_of(pipe, patience=0.05)
    pipe.rename(tmp_path / "pipe-before")
    pipe.write_text("mended")
    assert contents_of(pipe) == b"mended"


def test_a_silent_file_that_answers_at_last_is_read_the_next_time(pipe: Path) -> None:
    """What a thread was left behind for is forgotten when it ends."""
    with pytest.raises(TimeoutError):
        contents_of(pipe, patience=0.05)
    (waiting,) = [each for each in _threads() if each.name == f"read {pipe}"]
    pipe.write_text("late")
    waiting.join()
    pipe.unlink()
    pipe.write_text("now")
    assert contents_of(pipe) == b"now"


def test_a_file_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that gives bytes for ever fills no memory."""
    monkeypatch.setattr(files, "MOST_BYTES", 1024 * 1024)
    with pytest.raises(OSError, match="it has more than 1 MiB"):
        contents_of("/dev/zero")


def test_a_path_with_a_zero_byte_is_an_error_of_the_file() -> None:
    """JSON can write such a path; its reader gets the same kind of error as for a missing file."""
    with pytest.raises(OSError, match="null"):
        contents_of("a\0b")


def test_missing_files_are_told_and_empty_names_skipped(tmp_path: Path) -> None:
    """Files that a library is to read are tried first."""
    try_files("", None)
    with pytest.raises(FileNotFoundError):
        try_files(tmp_path / "missing")


async def test_work_that_takes_too_long_is_left_behind() -> None:
    """The loop goes on, and the thread keeps no process from ending."""
    ends = threading.Event()
    began = threading.Event()

    def work() -> None:
        began.set()
        ends.wait(60)

    with pytest.raises(TimeoutError):
        await beside_the_loop(work, patience=0.01)
    await asyncio.to_thread(began.wait)
    assert all(each.daemon for each in _threads() if each.name == "files")
    ends.set()


async def test_the_error_of_the_work_is_raised() -> None:
    """It comes to the task that waits."""
    with pytest.raises(ZeroDivisionError):
        await beside_the_loop(lambda: 1 // 0, patience=60)
