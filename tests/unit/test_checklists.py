"""The steps of CONTRIBUTING.md's checklists that no other test would miss."""

import inspect
import random
import re
from pathlib import Path

import pytest

import vtorc
from vtorc.config.catalogue import USED
from vtorc.config.topo_settings import TOPO_IMPLEMENTATIONS
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.durability import POLICY_NAMES, policy
from vtorc.recovery import runner
from vtorc.sim.cluster.plan import failover_plan
from vtorc.topo import open as topo_open

PACKAGE = Path(vtorc.__file__).parent
TESTS = Path(__file__).parent


def source_of(folder: Path, *, but: tuple[str, ...] = ()) -> str:
    """Read all Python files below a folder, except those of these names."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py")) if path.name not in but)


DETECTION = source_of(PACKAGE / "core" / "detection", but=("problems.py",))
DETECTION_TESTS = source_of(TESTS / "core" / "detection")
_DECLARED = ("settings.py", "file_settings.py", "filter_settings.py", "http_settings.py", "topo_settings.py")
PROGRAM = source_of(PACKAGE, but=_DECLARED)


@pytest.mark.parametrize("code", Code)
def test_each_problem_is_found_and_its_finding_is_tested(code: Code) -> None:
    """Detection reports each code of the catalogue, and a test of detection expects it."""
    name = re.compile(rf"\bCode\.{code.name}\b")
    assert name.search(DETECTION), "report it in a check of core/detection"
    assert name.search(DETECTION_TESTS), "add a case to tests/unit/core/detection/test_analysis.py"


@pytest.mark.parametrize("recovery", Recovery)
def test_each_recovery_is_carried_out(recovery: Recovery) -> None:
    """The runner names each recovery, be it to refuse it."""
    assert re.search(rf"\bRecovery\.{recovery.name}\b", inspect.getsource(runner)), "add a case to the runner"


def test_each_kind_of_topology_server_can_be_set() -> None:
    """What --topo-implementation takes is what there is."""
    assert sorted(TOPO_IMPLEMENTATIONS) == sorted(topo_open._IMPLEMENTATIONS)


@pytest.mark.parametrize("field", [one.field for one in USED if not one.no_effect and not one.always])
def test_each_setting_with_an_effect_is_read(field: str) -> None:
    """The program reads each setting that is not said to have no effect."""
    told = f'settings.get("{field.replace("_", "-")}")'  # the server process knows it as a form
    assert re.search(rf"\.{field}\b", PROGRAM) or told in PROGRAM, "hand it on in app.py, or give it no_effect"


@pytest.mark.parametrize("name", [name for name in POLICY_NAMES if policy(name).has_semi_sync])
def test_each_policy_is_simulated(name: str) -> None:
    """Worlds for failovers are drawn with each policy that asks for acknowledgements."""
    plans = (failover_plan(random.Random(seed), shards=4) for seed in range(50))
    assert any(name == shard.durability for plan in plans for shard in plan.shards), "add it to sim/cluster/plan.py"
