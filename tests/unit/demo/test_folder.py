"""The folders that a demo accepts."""

import fcntl
from pathlib import Path

import pytest

from vtorc.demo.folder import make_ready
from vtorc.lab.errors import LabError


def test_a_new_or_empty_folder_is_taken(tmp_path: Path) -> None:
    """A demo accepts a folder that does not exist yet, or that is empty."""
    assert make_ready(tmp_path) == tmp_path
    assert make_ready(tmp_path / "new") == tmp_path / "new"
    assert not (tmp_path / "new").exists()


def test_what_an_earlier_demo_left_is_deleted(tmp_path: Path) -> None:
    """A demo empties the folder of a demo that has ended."""
    (tmp_path / "owner.lock").touch()
    (tmp_path / "topo.sqlite").write_text("old")
    (tmp_path / "zone1-0000000101" / "data").mkdir(parents=True)
    make_ready(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["owner.lock"]


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    """A demo deletes no file that no demo has made."""
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(LabError, match=r"holds thesis\.tex, which is not a demo's file"):
        make_ready(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_the_folder_of_a_running_demo_is_refused(tmp_path: Path) -> None:
    """A running demo holds a lock on its folder."""
    (tmp_path / "topo.sqlite").write_text("in use")
    with (tmp_path / "owner.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(LabError, match="a demo is running in"):
            make_ready(tmp_path)
    assert (tmp_path / "topo.sqlite").exists()


def test_a_file_is_refused(tmp_path: Path) -> None:
    """A file is not accepted as a folder."""
    (tmp_path / "file").touch()
    with pytest.raises(LabError, match="is not a folder"):
        make_ready(tmp_path / "file")
