"""The arguments of requests: each wrong one is refused by key, value and what was expected."""

from collections.abc import Callable

import pytest

from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.desk.arguments import LONGEST_REASON, RequestArguments
from vtorc.desk.problems import DeskRefusal
from vtorc.forms.frames import ProblemForm


def refused(read: Callable[[RequestArguments], object], **given: object) -> ProblemForm:
    """Return the problem that reading these arguments gives."""
    arguments = RequestArguments("plan", given)
    with pytest.raises(DeskRefusal) as caught:
        read(arguments)
    assert caught.value.form.status == 422
    return caught.value.form


def test_right_arguments_are_read() -> None:
    """Each kind of argument comes as a value of its type."""
    given = {"shard": "commerce/-80", "to": "zone1-101", "reason": " a drill ", "kind": "forced", "accept_loss": True}
    arguments = RequestArguments("plan", given)
    assert arguments.shard() == ShardId("commerce", "-80")
    assert arguments.alias_or_none("to") == TabletAlias("zone1", 101)
    assert arguments.alias_or_none("from") is None
    assert arguments.reason() == "a drill"
    assert arguments.choice("kind", ("planned", "forced")) == "forced"
    assert arguments.flag("accept_loss") is True
    assert arguments.flag("missing", default=False) is False
    arguments.end()


@pytest.mark.parametrize(
    ("read", "given", "what", "why"),
    [
        (RequestArguments.shard, {"shard": "commerce"}, 'shard: "commerce"', "expected <keyspace>/<shard>"),
        (RequestArguments.shard, {"shard": 7}, "shard: 7", "expected <keyspace>/<shard>"),
        (RequestArguments.shard, {}, "shard: null", "expected <keyspace>/<shard>"),
        (lambda a: a.alias_or_none("to"), {"to": "zone1"}, 'to: "zone1"', "expected the alias of a tablet"),
        (lambda a: a.alias_or_none("to"), {"to": 5}, "to: 5", "expected the alias of a tablet"),
        (RequestArguments.reason, {"reason": "  "}, 'reason: "  "', "expected the reason"),
        (lambda a: a.choice("kind", ("planned",)), {"kind": "now"}, 'kind: "now"', "expected one of planned"),
        (lambda a: a.flag("accept_loss"), {"accept_loss": "yes"}, 'accept_loss: "yes"', "expected true or false"),
        (lambda a: a.flag("accept_loss"), {}, "accept_loss: null", "expected true or false"),
    ],
)
def test_a_wrong_argument_is_named_with_its_value_and_what_was_expected(
    read: Callable[[RequestArguments], object], given: dict[str, object], what: str, why: str
) -> None:
    """The operator learns what to send instead."""
    problem = refused(read, **given)
    assert problem.what == what
    assert problem.why.startswith(why)


def test_an_argument_that_is_not_known_is_refused_with_those_that_are() -> None:
    """A key that nothing reads was meant to have an effect."""

    def read(arguments: RequestArguments) -> None:
        arguments.shard()
        arguments.alias_or_none("to")
        arguments.end()

    problem = refused(read, shard="commerce/0", too="zone1-101")
    assert problem.what == 'too: "zone1-101"'
    assert problem.why == "expected no such key; plan takes shard, to"


def test_a_reason_cannot_forge_a_line_of_the_log() -> None:
    """Line breaks and escape sequences are blanked."""
    assert RequestArguments("cancel", {"reason": "a drill\nerror: \x1b[2J"}).reason() == "a drill error:  [2J"


def test_a_long_reason_is_refused_and_shown_in_part() -> None:
    """The refusal is no longer than an operator reads."""
    problem = refused(RequestArguments.reason, reason="x" * (LONGEST_REASON + 1))
    assert problem.what.endswith("…")
    assert len(problem.what) < LONGEST_REASON
