"""The page of codes."""

from pathlib import Path

from vtorc.core.detection.problems import Code
from vtorc.server.today.code_doc import markdown_of_codes
from vtorc.server.today.code_guide import GUIDES, SUMMARY_GUIDES, WARNING_GUIDES
from vtorc.server.today.structure import STRUCTURE_WARNINGS
from vtorc.server.today.summaries import SUMMARIES
from vtorc.sim.scenario.folder import SCRIPTS, ScenarioFolder

_PAGE = Path(__file__).parents[4] / "docs" / "codes.md"
_VITESS = """
    InvalidPrimary InvalidReplica PrimaryDiskStalled DeadPrimaryWithoutReplicas DeadPrimary DeadPrimaryAndReplicas
    DeadPrimaryAndSomeReplicas IncapacitatedPrimary PrimaryHasPrimary PrimaryIsReadOnly ReplicaIsWritable
    PrimarySemiSyncMustBeSet PrimarySemiSyncMustNotBeSet ReplicaSemiSyncMustBeSet ReplicaSemiSyncMustNotBeSet
    PrimarySemiSyncBlocked PrimaryCurrentTypeMismatch StaleTopoPrimary ErrantGTIDDetected ClusterHasNoPrimary
    PrimaryTabletDeleted NotConnectedToPrimary ReplicaMisconfigured ConnectedToWrongPrimary ReplicationStopped
    UnreachablePrimaryWithLaggingReplicas UnreachablePrimary UnreachablePrimaryWithBrokenReplicas LockedSemiSyncPrimary
    LockedSemiSyncPrimaryHypothesis PrimarySingleReplicaNotReplicating PrimarySingleReplicaDead
    AllPrimaryReplicasNotReplicating AllPrimaryReplicasNotReplicatingOrDead
"""
"""All codes of Vitess' vtorc v24 (`go/vt/vtorc/inst/analysis.go`)."""


def test_the_page_of_codes_is_current() -> None:
    """docs/codes.md is what `python -m vtorc.server.today.code_doc` writes."""
    expected = markdown_of_codes()
    assert _PAGE.read_text(encoding="utf-8") == expected, "run: python -m vtorc.server.today.code_doc > docs/codes.md"


def test_each_code_and_each_warning_is_explained() -> None:
    """No code and no warning is told without its place on the page."""
    assert GUIDES.keys() == set(Code)
    assert SUMMARY_GUIDES.keys() == SUMMARIES.keys()
    assert WARNING_GUIDES.keys() == STRUCTURE_WARNINGS.keys()


def test_each_code_of_vitess_is_told() -> None:
    """Dashboards that match on a code of Vitess find it here."""
    told = {code.value for code in Code} | SUMMARIES.keys()
    assert not set(_VITESS.split()) - told


def test_each_code_has_a_scenario() -> None:
    """The scenario of each code exists; the tests of scenarios see that the code is found in it."""
    names = {script.name for script in ScenarioFolder.read(SCRIPTS).scripts}
    assert not {guide.scenario for guide in GUIDES.values()} - names
