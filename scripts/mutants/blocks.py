"""The code whose mutants are tried, in blocks of modules that the same tests judge."""

from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src" / "vtorc"

SCENARIOS = ("sim/scenarios",)
"""The tests that judge what survives the unit tests of its block."""


@dataclass(frozen=True)
class Block:
    """Modules that are tried together, and the tests that they are judged by."""

    modules: tuple[str, ...]
    """Glob patterns below `src/vtorc`, without `.py`."""
    tests: tuple[str, ...]
    """Folders and files below `tests`."""


BLOCKS = {
    "lock": Block(("topo/lease", "topo/shard_lock", "topo/shared_reading", "topo/lock_contents"), ("unit/topo",)),
    "control": Block(("control/budget", "control/breaker", "control/shard_loop", "control/shares"), ("unit/control",)),
    "recovery": Block(("recovery/*",), ("unit/recovery",)),
    "decision": Block(("core/decision/*",), ("unit/core/decision",)),
    "detection": Block(("core/detection/*",), ("unit/core/detection", "unit/core/decision")),
    "election": Block(("core/election/*",), ("unit/core/election",)),
    "memory": Block(
        (
            "core/facts/observed_term",
            "core/facts/tablet_memory",
            "core/facts/last_probe",
            "core/facts/remembered",
            "discovery/probe",
            "discovery/probe_budget",
            "discovery/probe_pace",
            "discovery/gaps",
            "discovery/watch",
            "discovery/memory_keeper",
        ),
        ("unit/core/facts", "unit/discovery"),
    ),
    "holds": Block(
        ("core/facts/holds", "control/hold_book"),
        ("unit/core/facts/test_holds.py", "unit/control/test_hold_book.py"),
    ),
    "facts": Block(("core/facts/gtid", "core/facts/intervals", "core/facts/durability"), ("unit/core/facts",)),
    "evidence": Block(
        tuple(
            f"core/facts/{name}"
            for name in (
                "rolled_back",
                "fitness",
                "unfitness",
                "past_proof",
                "ack_path",
                "client_span",
                "external_source",
                "effective_policy",
                "watched",
                "views",
                "status",
                "direct_answer",
                "client_count",
            )
        ),
        ("unit/core",),
    ),
}


def chosen(block: Block, prefix: str) -> list[str]:
    """Return the modules of a block that begin with `prefix`."""
    found = sorted(path for pattern in block.modules for path in SOURCE.glob(f"{pattern}.py"))
    names = (path.relative_to(SOURCE).with_suffix("").as_posix() for path in found if path.name != "__init__.py")
    return [name for name in names if name.startswith(prefix)]
