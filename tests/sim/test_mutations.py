"""The simulator catches seeded bugs; `python -m bench.mutations` tries all of them."""

import pytest

from bench.mutants import MUTANTS
from bench.mutations import try_mutant
from bench.patching import Patch
from vtorc.core.detection.replica_evidence import ReplicaEvidence
from vtorc.core.election import forced_promotion, revocation
from vtorc.recovery.session import RecoverySession

QUICK = {
    "skip-revoke-check": "two-writable",
    "take-no-lock": "no-lock",
    "missing-is-false": "needless-change",
}
"""Mutants that few seeds catch, with the invariant that catches them."""


@pytest.mark.parametrize(("name", "rule"), QUICK.items())
def test_seeded_bug_is_caught_within_its_budget(name: str, rule: str) -> None:
    """A seeded bug violates the invariant that is meant to catch it."""
    assert rule in try_mutant(name, MUTANTS[name].budget).caught_by


@pytest.mark.parametrize("name", MUTANTS)
def test_seeded_bug_is_about_code_that_exists(name: str) -> None:
    """Each mutant finds the code that it replaces, and its undoing restores that code."""
    check_lock, unrevoked = RecoverySession.check_lock, revocation.unrevoked
    patch = Patch()
    MUTANTS[name].apply(patch)
    patch.undo()
    assert (RecoverySession.check_lock, revocation.unrevoked, vars(forced_promotion)["unrevoked"]) == (
        check_lock,
        unrevoked,
        unrevoked,
    )


def test_at_least_twenty_bugs_are_seeded() -> None:
    """The list has at least twenty mutants."""
    assert len(MUTANTS) >= 20


def test_mutant_of_code_that_has_moved_is_an_error() -> None:
    """A patch of a method that does not exist raises LookupError instead of mutating nothing."""
    with pytest.raises(LookupError, match="no_such_step"):
        Patch().set(RecoverySession, "no_such_step", None)


def test_mutant_of_code_that_takes_other_parameters_is_an_error() -> None:
    """A patch that cannot be called as the code that it replaces raises TypeError instead of breaking its callers."""
    patch = Patch()
    try:
        with pytest.raises(TypeError, match=r"ReplicaEvidence\.of takes other parameters .*heard_since"):
            patch.set(ReplicaEvidence, "of", staticmethod(lambda view, primary: None))
    finally:
        patch.undo()
