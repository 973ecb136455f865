"""The operator's commands: what they are told, and how they end."""

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.unit.demo.shards import A, B, C, judge, primary, replica
from tests.unit.notifier.receivers import until
from vtorc.core.facts.ids import ShardId
from vtorc.notifier.commands import KEPT_OUTPUT, filled, run_command
from vtorc.recovery.hooks import HookOccasion

VIEW = judge(primary(), replica(B), replica(C)).view
RECORDS = {tablet.alias: tablet.record for tablet in VIEW.tablets}
OCCASION = HookOccasion(
    shard=ShardId("commerce", "0"),
    code="DeadPrimary",
    description='it\'s dead; `rm -rf` $(x) "y"',
    recovery=17,
    failed=RECORDS[A],
    replicas=(RECORDS[B], RECORDS[C]),
    successor=RECORDS[B],
)
WORDS = OCCASION.words()
LONG = 60.0


async def test_a_command_gets_placeholders_and_variables() -> None:
    """Placeholders are filled in, variables have the same values, and both vocabularies are there."""
    told = await run_command(
        "bash",
        "echo {failureType} {failedHost}:{failedPort} {failureClusterAlias} {successorAlias} {countSlaves} {unknown}; "
        'echo "$ORC_FAILURE_TYPE $ORC_SUCCESSOR_HOST:$ORC_SUCCESSOR_PORT $ORC_IS_MASTER $ORC_REPLICA_HOSTS" >&2',
        WORDS,
        LONG,
    )
    assert told.result == "done"
    assert told.output.splitlines() == [
        f"DeadPrimary 127.0.0.1:3101 commerce:0 {B} 2 {{unknown}}",
        "DeadPrimary 127.0.0.1:3102 true 127.0.0.1:3102,127.0.0.1:3103",
    ]


@pytest.mark.parametrize("command", ["echo {x}", "echo '{x}'", 'echo "{x}"'])
@pytest.mark.parametrize("value", ["a; touch {mark}", "$(touch {mark})", "`touch {mark}`", "'; touch {mark}; '", "\n"])
async def test_a_value_is_never_a_command(tmp_path: Path, command: str, value: str) -> None:
    """A hostile value runs nothing, however the operator has quoted its placeholder."""
    mark = tmp_path / "mark"
    told = await run_command("bash", command, {"x": value.replace("{mark}", str(mark))}, LONG)
    assert told.result == "done"
    assert not mark.exists()


async def test_a_variable_has_the_value_unchanged() -> None:
    """What placeholders must not say, variables do."""
    told = await run_command("bash", 'echo "$ORC_FAILURE_DESCRIPTION"', WORDS, LONG)
    assert told.output == OCCASION.description
    assert filled("{failureDescription}", WORDS) == "it_s dead_ _rm -rf_ __x_ _y_"


async def test_a_failure_is_told_with_its_output() -> None:
    """The exit code and what was printed are kept, of much output the end."""
    told = await run_command("bash", "seq 1 100000; echo the end; exit 3", WORDS, LONG)
    assert told.result == "ended with exit code 3"
    assert told.output.startswith("… ")
    assert told.output.endswith("the end")
    assert len(told.output) <= KEPT_OUTPUT + 2


async def test_a_shell_that_is_not_there_is_named() -> None:
    """The result names the shell, and the key that chooses it."""
    told = await run_command("/none/bash", "true", WORDS, LONG)
    assert told.result == (
        "could not be run by /none/bash (No such file or directory; ProcessesShellCommand names the shell)"
    )


async def test_a_signal_without_a_name_is_told_by_its_number() -> None:
    """Most real-time signals have no name."""
    assert (await run_command("bash", "kill -40 $$", WORDS, LONG)).result == "ended by signal 40"


async def test_a_command_runs_though_no_disk_takes_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a full or missing folder for temporary files it is run from memory, with its variables."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    told = await run_command("bash", "echo grün $ORC_FAILED_HOST; exit 3", WORDS, LONG)
    assert (told.result, told.output) == ("ended with exit code 3", f"grün {RECORDS[A].hostname}")


def test_a_command_is_written_in_utf8_whatever_the_locale() -> None:
    """Under a locale of plain ASCII a command with an umlaut could not be run, and its recovery waited for it."""
    program = (
        "import asyncio; from vtorc.notifier.commands import run_command as run; "
        "print(asyncio.run(run('bash', 'echo gr\\xfcn', {}, 60)).result)"
    )
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **plain}, check=True, capture_output=True, text=True
    )
    assert done.stdout == "done\n"


async def test_a_command_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    """At its limit the whole process group ends, also what ignores SIGTERM."""
    pid = tmp_path / "pid"
    told = await run_command(
        "bash", f"trap '' TERM; (trap '' TERM; sleep 1000) & echo $! > {pid}; echo begun; wait", WORDS, 0.5
    )
    assert told.result == "took longer than 0.5 s and was ended"
    assert told.output == "begun"
    await until(lambda: not _runs(int(pid.read_text())))


async def test_a_cancelled_command_is_ended(tmp_path: Path) -> None:
    """A recovery that is broken off leaves no command of its own behind."""
    pid = tmp_path / "pid"
    command = f"echo $$ > {pid}.new; mv {pid}.new {pid}; sleep 1000"
    running = asyncio.create_task(run_command("bash", command, WORDS, LONG))
    await until(pid.exists)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await until(lambda: not _runs(int(pid.read_text())))


async def test_a_child_that_keeps_the_output_holds_nothing_up() -> None:
    """A command has ended when its own process has, whatever it left running."""
    told = await run_command("bash", "sleep 20 & echo done", WORDS, 10.0)
    assert told.result == "done"
    assert told.output == "done"


def _runs(pid: int) -> bool:
    """Return whether a process runs; one that nobody has waited for yet does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text() and os.getpgid(pid) > 0
    except (FileNotFoundError, ProcessLookupError):
        return False
