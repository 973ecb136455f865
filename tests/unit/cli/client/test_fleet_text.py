"""All shards as text."""

import pytest
from msgspec import structs

from tests.unit.cli.client.samples import HEALTHY, LOST, REFUSED, UNREADY, readiness, recovery, shard, status_form
from vtorc.cli.client.fleet_text import problems_lines, shards_lines, status_lines
from vtorc.forms.fleet import StatusForm, shard_row
from vtorc.forms.frames import AnnouncementForm

ADDRESS = "http://127.0.0.1:3000"

ROWS = [
    shard_row(shard(LOST)),
    shard_row(structs.replace(shard(HEALTHY, name="customer/-80"), ready=readiness(UNREADY))),
]
"""A lost primary, and a healthy shard that is not ready."""


def test_the_status_of_healthy_shards() -> None:
    """The sentence comes first, then the counts, then which vtorc says so."""
    assert status_lines(status_form(), [], ADDRESS, 80) == [
        "all 2 shards are healthy",
        "",
        "  ● healthy         2",
        "  ▲ repairing       0",
        "  ■ standing still  0",
        "  ? unknown         0",
        "",
        "vtorc 0.1.0 at http://127.0.0.1:3000, process 4711, since 2025-11-29 12:00:00Z",
    ]


def test_the_status_names_shards_with_problems() -> None:
    """Each shard that has problems follows with its sentence, and healthy ones are only counted."""
    lines = status_lines(status_form(), ROWS[:1], ADDRESS, 80)
    assert lines[-3:] == [
        "",
        "▲ commerce/0: zone1-0000000101 answers that its MySQL is down and none of its 2",
        "  replicas receives from it; replacing the primary",
    ]


def test_the_status_names_shards_that_are_not_ready() -> None:
    """A shard that would not survive the death of its primary is named with the reason, also while all is well."""
    assert status_lines(status_form(), ROWS[1:], ADDRESS, 90)[-3:] == [
        "",
        "✗ customer/-80 is not ready for the death of its primary: emergency reparents are disabled",
        "  (allow-emergency-reparent)",
    ]


def test_the_status_ends_with_the_last_recovery() -> None:
    """It is told in short, with the command that shows all of it in one piece."""
    assert status_lines(status_form(), [], ADDRESS, 80, last=recovery())[-3:] == [
        "",
        "● last recovery, 2025-11-30 00:00:00Z: commerce/0: RecoverDeadPrimary for",
        "  DeadPrimary: succeeded; vtorc ctl recovery 1764460800000000000",
    ]


@pytest.mark.parametrize(
    ("status", "note"),
    [
        (
            status_form(emergency_reparents_allowed=False),
            "! no lost primary is replaced: that is not allowed (--allow-emergency-reparent)",
        ),
        (status_form(clusters_to_watch=["a/0", "b"]), "! vtorc acts on a/0, b only (--clusters-to-watch)"),
        (status_form(topology_failures=["cell zone2: no answer"]), "! cell zone2: no answer"),
        (
            status_form(announcements=[AnnouncementForm(rule="breaker", since="", sentence="5 shards wait")]),
            "! 5 shards wait",
        ),
    ],
)
def test_the_status_says_what_holds_for_all(status: StatusForm, note: str) -> None:
    """All that holds for the whole fleet is told before its shards."""
    assert note in status_lines(status, [], ADDRESS, 100)


def test_the_table_of_shards() -> None:
    """Columns line up, and shards with problems are explained under the table."""
    assert shards_lines(ROWS, 80) == [
        "STATE        SHARD         PRIMARY           LAG  ACKS        WRITES    READY",
        "▲ repairing  commerce/0    zone1-0000000101  0 s  0, needs 1  in doubt  –",
        "● healthy    customer/-80  zone1-0000000101  0 s  2, needs 1  yes       no",
        "",
        "▲ commerce/0: zone1-0000000101 answers that its MySQL is down and none of its 2",
        "  replicas receives from it; replacing the primary",
    ]


def test_what_is_not_known_of_a_shard() -> None:
    """A shard without a primary shows that, and dashes for what follows from it."""
    row = structs.replace(ROWS[1], ready=None, primary=None, largest_lag_seconds=None, acks=None, takes_writes=False)
    assert shards_lines([row], 80)[1].split() == ["●", "healthy", "customer/-80", "none", "–", "–", "no", "–"]


def test_no_shards() -> None:
    """A filter that leaves nothing is told."""
    assert shards_lines([], 80) == ["no shard is of that kind"]


def test_problems_are_told_with_what_is_done() -> None:
    """The most urgent of all shards comes first, each finding with its rule, its sentence, and whether vtorc acts."""
    findings = [*reversed(shard(REFUSED).findings), *shard(LOST).findings]
    lines = problems_lines(findings, 80)
    assert lines[0] == "4 findings in 1 shard"
    assert [line for line in lines if line.endswith(")") and "severity" in line] == [
        "▲ DeadPrimaryAndSomeReplicas (severity shard, rule act)",
        "▲ DeadPrimary (severity shard, rule act)",
        "■ ReplicaSemiSyncMustNotBeSet (severity medium, rule primary-first)",
        "■ InvalidReplica (severity low, rule no-remedy)",
    ]
    told = " ".join(" ".join(lines).split())
    assert all(finding.sentence in told for finding in findings)


def test_a_problem_that_needs_an_operator_says_so() -> None:
    """Where trying has not helped, the title asks for an operator."""
    finding = structs.replace(shard(LOST).findings[0], needs_operator=True)
    assert "▲ DeadPrimary (severity shard, rule act, needs an operator)" in problems_lines([finding], 80)


def test_no_problems() -> None:
    """That nothing is wrong is told in words."""
    assert problems_lines([], 80) == ["nothing is wrong in any shard"]


@pytest.mark.parametrize("width", [40, 80])
def test_sentences_fit(width: int) -> None:
    """Wrapped text fits the width, as all names here are shorter than that."""
    lines = [*status_lines(status_form(), ROWS, ADDRESS, width), *problems_lines(shard(REFUSED).findings, width)]
    assert max(map(len, lines)) <= width
