"""Asks the real election (`vtorc.core.election.choice`) for its choice in a state of the model."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vtorc.core.election.ack_arithmetic import NOTHING_SEEN, ObservedSemiSync
from vtorc.core.election.candidates import CandidateSet, StoppedTablet
from vtorc.core.election.choice import Choice, Refusal, choose
from vtorc.core.facts.durability import Member
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.sim.model.plan import ModelPlan
from vtorc.sim.model.state import JOURNAL, NO_TABLET, Known, Seen, bits


class Question(NamedTuple):
    """The facts of one election."""

    primary: int
    known: tuple[Known, ...]
    seen: Seen
    exempt: int
    origins: tuple[int, ...]


class Pick(NamedTuple):
    """One way to go on: promote any of `winners` once it has applied its relay log.

    With a `source` there is one winner, which is promoted once it has fetched `required` from there.
    """

    winners: tuple[int, ...]
    source: int
    required: int
    sentence: str


class Verdict(NamedTuple):
    """The result of an election: several picks if they depend on the names of tablets, none if it refuses."""

    picks: tuple[Pick, ...]
    refusal: str = ""


@dataclass(slots=True)
class Oracle:
    """Answers questions, and remembers the answers."""

    plan: ModelPlan
    _answers: dict[Question, Verdict] = field(default_factory=dict)

    def ask(self, question: Question) -> Verdict:
        """Return the real election's choice under every naming of replicas that are alike."""
        found = self._answers.get(question)
        if found is None:
            found = self._answers[question] = self._ask(question)
        return found

    @property
    def refusals(self) -> set[str]:
        """The names of the rules by which elections were refused."""
        return {verdict.refusal for verdict in self._answers.values()} - {""}

    def _ask(self, question: Question) -> Verdict:
        picks: dict[Pick, None] = {}
        refusal = ""
        for naming in _namings(self.plan):
            outcome = _Translation(self.plan, question, naming).outcome()
            if isinstance(outcome, Refusal):
                refusal = outcome.rule.value
            else:
                picks[_pick(outcome, naming, question)] = None
        # Names of tablets may decide between equals, never whether any tablet can be promoted.
        assert not (picks and refusal), question
        return Verdict(tuple(picks), refusal)


def _namings(plan: ModelPlan) -> Iterator[tuple[Member, ...]]:
    """Yield the members in every order of those that are alike."""
    for orders in itertools.product(*(itertools.permutations(group) for group in plan.alike)):
        naming = list(plan.members)
        for group, order in zip(plan.alike, orders, strict=True):
            for place, other in zip(group, order, strict=True):
                naming[place] = plan.members[other]
        yield tuple(naming)


def _pick(choice: Choice, naming: Sequence[Member], question: Question) -> Pick:
    places = {member.alias: place for place, member in enumerate(naming)}
    required = sum(1 << number for number, gtid in enumerate(gtids(question.origins)) if choice.required.contains(gtid))
    source = NO_TABLET if choice.source is None else places[choice.source]
    winners = (choice.winner,) if choice.source is not None else choice.holders
    return Pick(tuple(sorted(places[alias] for alias in winners)), source, required, choice.argument.sentence)


@dataclass(frozen=True, slots=True)
class _Translation:
    plan: ModelPlan
    question: Question
    naming: tuple[Member, ...]

    def outcome(self) -> Choice | Refusal:
        return choose(self._candidates(), self.plan.policy)

    def _candidates(self) -> CandidateSet:
        question, rules = self.question, self.plan.rules
        stopped = {self.naming[place].alias: self._stopped(place, known) for place, known in self._reached()}
        seen = question.seen
        primary = self.naming[question.primary].alias
        known = self._gtids(seen.executed) if seen.at_all else EMPTY_GTID_SET
        exempt = {self.naming[place].alias: "it was down before" for place in self._excused()}
        if not rules.check_revoked:
            exempt = {each.alias: "not stopped" for each in self.naming if each.alias not in stopped}
        return CandidateSet(
            members=self.naming,
            stopped=stopped,
            primary=primary,
            primary_uuids=frozenset({uuid(question.primary)}),
            primary_executed=known,
            primary_committed=known if seen.waited else EMPTY_GTID_SET,
            semi_sync=ObservedSemiSync(wait_counts={primary: self.plan.acks}) if seen.at_all else NOTHING_SEEN,
            exempt=exempt,
        )

    def _reached(self) -> Iterator[tuple[int, Known]]:
        for place, known in enumerate(self.question.known):
            if known.reached or not self.plan.rules.unreached_counts:
                yield place, known

    def _excused(self) -> Iterator[int]:
        """Yield tablets that were down before the primary was last seen, if others hold all its commits of then."""
        held = 0
        for _, known in self._reached():
            held |= known.received
        if not self.question.seen.executed & ~held:
            yield from (place for place in bits(self.question.exempt) if not self.question.known[place].reached)

    def _stopped(self, place: int, known: Known) -> StoppedTablet:
        received = known.received if self.plan.rules.count_received else known.executed
        return StoppedTablet(
            member=self.naming[place],
            server_uuid=uuid(place),
            executed=self._gtids(known.executed),
            received=self._gtids(received),
            source_uuid=uuid(known.source) if known.source != NO_TABLET else "",
            was_primary=known.was_primary,
        )

    def _gtids(self, writes: int) -> GtidSet:
        names = gtids(self.question.origins)
        return EMPTY_GTID_SET.union(*(names[number] for number in bits(writes)))


def uuid(place: int) -> str:
    """Return the UUID of a tablet's server, which does not depend on the tablet's name."""
    return f"{place:08d}-0000-0000-0000-000000000000"


def gtids(origins: Sequence[int]) -> list[GtidSet]:
    """Return the GTID of each write; those of one server are numbered one after the other."""
    counts: dict[int, int] = {}
    names = []
    for origin in origins:
        place = origin % JOURNAL
        counts[place] = counts.get(place, 0) + 1
        names.append(GtidSet.of(uuid(place), counts[place]))
    return names
