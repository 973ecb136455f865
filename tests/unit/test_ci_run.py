"""What `.ci/run` and `make test` run, and in which order."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN = (ROOT / ".ci" / "run").read_text(encoding="utf-8")

CHECKS = (
    "ruff check",
    "ruff format --check",
    "mypy",
    "lint-imports",
    "scripts/check_house.py",
    "scripts/gen_proto.py --check",
)
WITHOUT_SERVERS = "pytest -n 2 tests/unit tests/wire tests/sim"
WORLDS = "vtorc sim --seeds"
BUGS = "-m bench.mutations"
END_TO_END = "tests/e2e"


def commands(*words: str) -> list[str]:
    """List the commands that make would run for these words."""
    if shutil.which("make") is None:
        pytest.skip("no make on PATH")
    done = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", *words],
        cwd=ROOT,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.splitlines()


def place(part: str, lines: list[str]) -> int:
    """Tell which of the lines runs a part; it must be one."""
    found = [number for number, line in enumerate(lines) if part in line]
    assert len(found) == 1, f"{part}: {found} in {lines}"
    return found[0]


def test_ci_ends_with_the_end_to_end_tests() -> None:
    """Checks, quick tests, simulated worlds, seeded bugs, and last the end-to-end tests, whose closing line counts."""
    *_, last = RUN.splitlines()
    assert last.startswith("exec make ")
    lines = commands(*last.removeprefix("exec make ").removesuffix(" 2>&1").split())
    places = [place(part, lines) for part in (*CHECKS, WITHOUT_SERVERS, WORLDS, BUGS, END_TO_END)]
    assert places == sorted(places)
    assert places[-1] == len(lines) - 1
    assert "SEEDS=0..2000" in last
    assert "0..2000" in lines[places[-3]]


def test_no_test_run_hides_its_closing_line() -> None:
    """Each run of tests says how many passed: none is quiet."""
    runs = [line.split() for line in commands("test", "quick") if "pytest" in line]
    assert len(runs) == 3
    assert not [words for words in runs if {"-q", "--quiet", "--no-summary"} & set(words)]


def test_the_seeded_bugs_may_be_left_out() -> None:
    """`make test` by itself tries no seeded bug."""
    assert not [line for line in commands("test") if BUGS in line]


def test_quick_needs_no_server() -> None:
    """`make quick` runs all checks first, then unit and wire tests, the model and some worlds, and nothing slower."""
    lines = commands("quick")
    places = [place(part, lines) for part in (*CHECKS, "tests/unit tests/wire tests/sim/model", WORLDS)]
    assert places == sorted(places)
    assert not [line for line in lines if END_TO_END in line or BUGS in line]


def test_the_public_workflow_runs_the_same() -> None:
    """The workflow runs `.ci/run` on Debian 12, within a time limit, and may write nothing."""
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    for line in ("container: debian:12", "timeout-minutes: ", "- run: .ci/run", "contents: read"):
        assert line in workflow
    assert "secrets." not in workflow
