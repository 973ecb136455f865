"""The book of plans: a plan is executed once, within a minute, and a shard is not acted on all the time."""

from dataclasses import replace

import pytest

from tests.unit.core.builders import alias, primary, replica, shard
from tests.unit.desk.requests import ANN
from vtorc.core.facts.durability import policy
from vtorc.desk.basis import PlanBasis
from vtorc.desk.outlook import Outlook
from vtorc.desk.plans import KEPT_PLANS, PLAN_LASTS, Plan, PlanBook
from vtorc.desk.problems import DeskRefusal
from vtorc.forms.frames import ProblemForm

VIEW = shard(primary(), replica("zone1-101"), replica("zone1-102"))
PRIMARY, FIRST, SECOND = (alias(f"zone1-{number}") for number in (100, 101, 102))
BASIS = PlanBasis.of(VIEW, policy("semi_sync"), ())
PLAN = Plan(
    id="1-1",
    kind="planned",
    basis=BASIS,
    revision=3,
    outlook=Outlook(to=FIRST, why_not={SECOND: "lags"}, steps=("one",), argument="it has all", write_gap="short"),
    created=0.0,
    created_wall=10**18,
)


class Book:
    """A book of plans whose clock a test turns."""

    def __init__(self) -> None:
        self.now = 0.0
        self.book = PlanBook(lambda: self.now)

    def refused(self, name: str) -> ProblemForm:
        """Return why a plan cannot be executed."""
        with pytest.raises(DeskRefusal) as caught:
            self.book.to_execute(name, ANN)
        return caught.value.form


def test_a_plan_lasts_a_minute() -> None:
    """At the end of it the plan can still be executed, and not after."""
    case = Book()
    case.book.add(PLAN)
    case.now = PLAN_LASTS
    assert case.book.to_execute("1-1", ANN) is PLAN
    case.now = PLAN_LASTS + 1.0
    problem = case.refused("1-1")
    assert (problem.status, problem.why) == (409, "it is 61 s old, and a plan lasts 60 s")


def test_a_plan_is_executed_once() -> None:
    """The second operator hears which recovery it became."""
    case = Book()
    case.book.add(PLAN)
    case.book.note_execution(PLAN, "17")
    problem = case.refused("1-1")
    assert (problem.status, problem.why) == (409, "it was executed already, as recovery 17")


def test_a_plan_that_was_never_made_is_not_found() -> None:
    """One of an earlier process is not either."""
    assert Book().refused("1-1").status == 404


def test_the_oldest_of_too_many_plans_is_forgotten() -> None:
    """Plans that no operator executes take no more and more memory."""
    case = Book()
    for number in range(KEPT_PLANS + 1):
        case.book.add(replace(PLAN, id=str(number)))
    assert case.refused("0").status == 404
    assert case.book.to_execute("1", ANN).id == "1"
    assert case.book.to_execute(str(KEPT_PLANS), ANN).id == str(KEPT_PLANS)


def test_a_plan_is_told_with_all_that_an_operator_reads() -> None:
    """Its candidates are all tablets but the present primary."""
    form = PLAN.form()
    assert (form.shard, form.from_primary, form.to) == ("commerce/0", str(PRIMARY), str(FIRST))
    assert [(each.tablet, each.chosen, each.why_not) for each in form.candidates] == [
        (str(FIRST), True, None),
        (str(SECOND), False, "lags"),
    ]
    assert form.sentence == f"commerce/0: would move the primary from {PRIMARY} to {FIRST}"
    assert (form.created, form.expires) == ("2001-09-09T01:46:40.000Z", "2001-09-09T01:47:40.000Z")
    assert (form.steps, form.refusal, form.shard_revision) == (["one"], None, 3)


def test_a_refused_plan_says_why_instead() -> None:
    """Where nothing speaks against a tablet, the refusal of the whole plan does."""
    form = replace(PLAN, outlook=Outlook(refusal="not promoting: none is left")).form()
    assert form.sentence == "commerce/0: not promoting: none is left"
    assert (form.to, form.refusal) == (None, "not promoting: none is left")
    assert {each.why_not for each in form.candidates} == {"is not promoted, as no tablet is"}
