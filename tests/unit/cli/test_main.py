"""The command `vtorc`: the choice of the command, exit codes, and the messages when it does not start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vtorc import __version__
from vtorc.cli.main import COMMANDS, main
from vtorc.config.catalogue import USED

_TOPO = ("-topo_implementation=etcd2", "-topo_global_server_address=h:2379", "-topo_global_root=/vitess/global")


def _vtorc(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run vtorc as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "vtorc.cli.main", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_refuses_a_broken_settings_file(tmp_path: Path) -> None:
    """A malformed JSON file ends the start with code 2 and the place of the error."""
    (tmp_path / "broken.json").write_text('{"Debug": true,\n "RecoveryPeriodBlockSeconds": }')
    done = _vtorc(tmp_path, *_TOPO, "-config", "broken.json")
    assert done.returncode == 2
    assert done.stderr == (
        "vtorc: broken.json line 2 column 32: not valid JSON: expecting value\n"
        "vtorc: not started; vtorc --help lists the flags\n"
    )


def test_refuses_wrong_flags_and_keys_together(tmp_path: Path) -> None:
    """An unknown flag, missing flags and a wrong key are reported at once, one line each, and vtorc does not start."""
    (tmp_path / "orc_config.json").write_text('{"InstancePollSeconds": "five"}')
    done = _vtorc(tmp_path, "-config", "orc_config.json", "-topo_implementaton=etcd2", "-log_dir", "logs")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "vtorc: unknown flag -topo_implementaton; did you mean --topo-implementation",
        'vtorc: orc_config.json: key "InstancePollSeconds": expected a whole number of seconds from 0 to 1000000000, '
        'such as 30, got "five"',
        "vtorc: --topo-implementation is required: one of etcd2, consul, zk2, local",
        "vtorc: --topo-global-server-address is required: the addresses of the global topology server",
        "vtorc: --topo-global-root is required: the path of the global data in it, such as /vitess/global",
        "vtorc: not started; vtorc --help lists the flags",
    ]
    assert not (tmp_path / "logs").exists()


@pytest.mark.usefixtures("restore_logging")
def test_refuses_a_log_folder_it_cannot_write_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A log folder that is a file ends the start."""
    (tmp_path / "file").touch()
    assert main([*_TOPO, f"-log_dir={tmp_path / 'file'}"]) == 2
    assert "--log-dir: expected a folder that vtorc.log can be written in" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--version"], ["-version"], ["-v"]])
def test_prints_its_version(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The version flags print the version and nothing else."""
    assert main(words) == 0
    assert capsys.readouterr().out == f"vtorc {__version__}\n"


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"], [*_TOPO, "-help"]])
def test_prints_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Help names every flag that has an effect, and every command."""
    assert main(words) == 0
    out = capsys.readouterr().out
    wanted = [f"--{one.name}" for one in USED if not one.no_effect and not one.secret]
    assert not [flag for flag in wanted if f"  {flag}" not in out]
    assert not [name for name in COMMANDS if f"vtorc {name}" not in out]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_its_module(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command that the help lists can print its own help."""
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"vtorc {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("demno", "did you mean 'vtorc demo'?"),
        ("status", "did you mean 'vtorc ctl status'?"),
        ("statsu", "did you mean 'vtorc ctl status'?"),
        ("zzz", "expected flags or 'vtorc demo' or 'vtorc sim' or 'vtorc ctl' or 'vtorc history'"),
    ],
)
def test_refuses_an_unknown_command(word: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A first word that is no flag and no command is refused by name, with the command that it may be."""
    assert main([word]) == 2
    assert capsys.readouterr().err == f"vtorc: unknown command '{word}'; {hint}\n"


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["sim", "--kinds"]])
def test_an_output_that_is_closed_or_full_ends_in_no_traceback(words: list[str]) -> None:
    """A reader such as `head` takes what it wants, and a full disk is told in one line."""
    reader, closed = os.pipe()
    os.close(reader)
    with Path("/dev/full").open("wb") as full:
        for output, said in ((closed, ""), (full.fileno(), "the output cannot be written: No space left on device")):
            command = [sys.executable, "-m", "vtorc.cli.main", *words]
            ended = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, check=False)
            assert (ended.returncode == 0) == (not said)
            assert said in ended.stderr
            assert ended.stderr.count("\n") == (1 if said else 0)
    os.close(closed)
