"""What `python -m bench.mutations` writes where no terminal is: plain lines, one for each seeded bug."""

import re

import pytest

from bench.mutations import Verdict, line_of, main, summary_of

CAUGHT = Verdict(
    name="skip-a-check", caught_by=("no-lock", "crash"), text="vtorc-1 sent it\nat 3 s", seeds=1, seconds=2
)
MISSED = Verdict(name="forget-a-tablet", caught_by=(), text="", seeds=40, seconds=12.34)


@pytest.mark.parametrize(
    ("verdict", "line"),
    [
        (CAUGHT, "skip-a-check: caught by no-lock, crash (1 run, 2.0 s): vtorc-1 sent it at 3 s"),
        (MISSED, "forget-a-tablet: NOT CAUGHT (40 runs, 12.3 s)"),
    ],
)
def test_a_verdict_is_one_line(verdict: Verdict, line: str) -> None:
    """Name, caught or not, invariants, runs and seconds stand on one line, whatever the violation said."""
    assert line_of(verdict) == line


def test_the_summary_names_what_was_missed() -> None:
    """The last line counts the seeded bugs, and names those that no invariant caught."""
    assert summary_of([CAUGHT, MISSED]) == "1 of 2 seeded bugs caught; not caught: forget-a-tablet"
    assert summary_of([CAUGHT]) == "1 of 1 seeded bugs caught"


@pytest.mark.parametrize(
    ("budget", "code", "last"),
    [
        ([], 0, "1 of 1 seeded bugs caught"),
        (["--budget", "0"], 1, "0 of 1 seeded bugs caught; not caught: missing-is-false"),
    ],
)
def test_a_pipe_gets_lines_and_no_table(
    capsys: pytest.CaptureFixture[str], budget: list[str], code: int, last: str
) -> None:
    """One line for each bug and the summary, no table; the exit code tells whether all were caught."""
    assert main(["--only", "missing-is-false", "--jobs", "1", *budget]) == code
    first, *rest = capsys.readouterr().out.splitlines()
    assert re.match(r"missing-is-false: (caught by|NOT CAUGHT)", first)
    assert rest == [last]
