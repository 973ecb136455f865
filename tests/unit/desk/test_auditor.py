"""What the desk tells of each request that acts, and of refusals."""

from tests.unit.desk.requests import ANN
from vtorc.core.facts.ids import ShardId
from vtorc.desk.auditor import FREE_REFUSALS, MOST_CLIENTS, TOGETHER, Auditor
from vtorc.forms.audit import AuditForm
from vtorc.forms.frames import ProblemForm, RequestFrame

SHARD = ShardId("commerce", "0")
PROBLEM = ProblemForm(title="Conflict", status=409, what="commerce/0", why="it is busy", do="wait")
REQUEST = RequestFrame(
    id=1, kind="execute", arguments={"plan": "1-1", "reason": "a\ndrill", "accept_loss": False}, caller=ANN
)


class Heard:
    """Keeps entries, under a clock that a test moves."""

    def __init__(self) -> None:
        self.entries: list[AuditForm] = []
        self.time = 100.0
        self.auditor = Auditor(self, self)

    def now(self) -> float:
        return self.time

    def wall(self) -> int:
        return 1_700_000_000_000_000_000

    def audited(self, entry: AuditForm) -> None:
        self.entries.append(entry)


def test_an_entry_says_what_was_asked_for_and_by_which_operator() -> None:
    """The reason stands on one line, and the other arguments are told in short."""
    heard = Heard()
    heard.auditor.done(REQUEST, SHARD, "commerce/0: ann asked", "17")
    (entry,) = heard.entries
    assert (entry.action, entry.result, entry.recovery) == ("execute", "begun", "17")
    assert (entry.actor, entry.means, entry.role, entry.origin) == (ANN.actor, ANN.means, ANN.role, ANN.origin)
    assert (entry.shard, entry.reason) == ("commerce/0", "a drill")
    assert entry.arguments == {"plan": "1-1", "accept_loss": "false"}


def test_a_long_argument_is_cut() -> None:
    """An entry stays small, whatever the client sends."""
    heard = Heard()
    heard.auditor.failed(RequestFrame(id=1, kind="x", arguments={"plan": "y" * 10_000}, caller=ANN), None, "failed")
    assert len(heard.entries[0].arguments["plan"]) < 300


def test_many_refusals_of_one_kind_become_one_entry() -> None:
    """The first ones have entries of their own, and the others are told together after a minute."""
    heard = Heard()
    for _ in range(FREE_REFUSALS + 5):
        heard.auditor.refused(REQUEST, SHARD, PROBLEM)
    assert [entry.times for entry in heard.entries] == [1] * FREE_REFUSALS
    heard.auditor.tell_counted()
    assert len(heard.entries) == FREE_REFUSALS
    heard.time += TOGETHER
    heard.auditor.tell_counted()
    assert [entry.times for entry in heard.entries[FREE_REFUSALS:]] == [5]
    heard.auditor.refused(REQUEST, SHARD, PROBLEM)
    assert heard.entries[-1].times == 1


def test_what_was_counted_is_told_at_the_end() -> None:
    """A vtorc that stops leaves no refusal untold."""
    heard = Heard()
    for _ in range(FREE_REFUSALS + 2):
        heard.auditor.refused(REQUEST, SHARD, PROBLEM, unlisted=3)
    heard.auditor.tell_counted(all_=True)
    assert heard.entries[-1].times == 2
    assert "3 other requests were refused" in heard.entries[-1].sentence


def test_the_kinds_that_are_counted_are_bounded() -> None:
    """A client that changes what it asks for takes no more and more memory, and loses no entry by it."""
    heard = Heard()
    for number in range(MOST_CLIENTS + 3):
        for _ in range(FREE_REFUSALS + 1):
            heard.auditor.refused(RequestFrame(id=1, kind=f"k{number}", arguments={}, caller=ANN), None, PROBLEM)
    heard.auditor.tell_counted(all_=True)
    assert len(heard.entries) == (MOST_CLIENTS + 3) * (FREE_REFUSALS + 1)
