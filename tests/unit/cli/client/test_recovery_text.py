"""Recoveries and plans as text."""

import pytest

from tests.unit.cli.client.samples import plan, recovery
from vtorc.cli.client.recovery_text import ending_lines, plan_lines, recoveries_lines, recovery_lines


def test_a_list_of_recoveries() -> None:
    """Each recovery says when and why it was, how it ended, what it did, and its id."""
    assert recoveries_lines([recovery(), recovery(outcome="refused", code=None)], 80) == [
        "● 2025-11-30 00:00:00Z  RecoverDeadPrimary for DeadPrimary: succeeded in 1.30 s",
        "    commerce/0: promoted zone2-0000000102",
        "    id 1764460800000000000",
        "✗ 2025-11-30 00:00:00Z  RecoverDeadPrimary for an operator: refused in 1.30 s",
        "    commerce/0: promoted zone2-0000000102",
        "    id 1764460800000000000",
    ]
    assert recoveries_lines([], 80) == ["vtorc keeps no recovery of that kind"]


def test_one_recovery() -> None:
    """A recovery is told with its argument, the tablets that were not chosen, its moments, and its steps by time."""
    assert recovery_lines(
        recovery(rule="late", actor="ann", reason="new host", errant={"zone3-0000000103": "uuid:1"}), 80
    ) == [
        "commerce/0: RecoverDeadPrimary for DeadPrimary",
        "● commerce/0: promoted zone2-0000000102",
        "",
        "  outcome       succeeded by rule late",
        "  began         2025-11-30 00:00:00Z, took 1.300 s",
        "  asked by      ann: new host",
        "  about         zone1-0000000101",
        "  new primary   zone2-0000000102",
        "  safe because  zone1-0000000101 can no longer commit",
        "  not chosen    zone3-0000000103: it did not answer",
        "  errant        zone3-0000000103: uuid:1",
        "  moment        promoted after 1.250 s",
        "",
        "Steps (begin, duration)",
        "  0.000  0.012 s  lock the shard: done",
        "  0.012  0.100 s  stop replication on zone2-0000000102: done",
        "  0.012  1.250 s  stop replication on zone3-0000000103: it does not answer",
    ]


def test_the_end_of_a_recovery_that_was_followed() -> None:
    """The end is its sentence, why that was safe, and what it lost; nothing is told twice."""
    assert ending_lines(recovery(data_loss="1 write is lost"), 80) == [
        "● succeeded in 1.30 s, id 1764460800000000000",
        "  commerce/0: promoted zone2-0000000102",
        "  zone1-0000000101 can no longer commit",
        "  1 write is lost",
    ]
    argued = recovery(sentence="commerce/0: promoted b. a can no longer commit", argument="a can no longer commit")
    assert ending_lines(argued, 80)[1:] == ["  commerce/0: promoted b. a can no longer commit"]


def test_a_plan() -> None:
    """A plan says which tablet takes over, why that is safe, what it costs, why not another tablet, and each step."""
    assert plan_lines(plan(), 80) == [
        "commerce/0: zone2-0000000102 takes over from zone1-0000000101",
        "",
        "  from          zone1-0000000101",
        "  to            zone2-0000000102",
        "  safe because  zone1-0000000101 commits nothing more before zone2-0000000102",
        "                has everything",
        "  write gap     writes wait for about 0.1 s",
        "  not chosen    zone3-0000000103: it is in another cell",
        "  plan          p1, valid until 2025-11-30 00:01:00Z",
        "",
        "Steps",
        "   1. lock the shard",
        "   2. make zone1-0000000101 read-only",
        "   3. promote zone2-0000000102",
    ]


def test_a_forced_promotion_is_not_called_safe() -> None:
    """A plan that rests on an operator's word, and a recovery that went by one, say "because"."""
    word = "An operator names b: 2 writes are lost."
    planned = plan_lines(plan(kind="forced", argument=word), 80)
    ended = recovery_lines(recovery(argument=word, data_loss="2 writes are lost"), 80)
    for lines in (planned, ended):
        assert any(line.split() == ["because", *word.split()] for line in lines)
        assert not any("safe because" in line for line in lines)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"refusal": "no tablet is ready"}, "  refused       no tablet is ready"),
        ({"risk": "3 writes"}, "  at risk       3 writes"),
    ],
)
def test_a_plan_with_a_price(changes: dict[str, object], line: str) -> None:
    """A plan says what it may lose, or why it is refused."""
    assert line in plan_lines(plan(**changes), 80)


def test_a_refused_plan_has_no_term() -> None:
    """A plan that cannot be carried out says nothing of how long it is valid."""
    assert "valid until" not in "\n".join(plan_lines(plan(refusal="no tablet is ready", steps=[]), 80))
