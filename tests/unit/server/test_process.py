"""The server process before it is told anything."""

import subprocess
import sys

HEAVY = ("structlog", "rich", "grpc", "google", "vtorc.config", "vtorc.control", "vtorc.discovery", "vtorc.topo")
"""Packages of vtorc itself that the server needs nothing of: each costs memory, and processor at its start."""


def test_the_server_loads_only_what_it_needs() -> None:
    """It starts in the middle of incidents, beside a vtorc that has a primary to replace."""
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, vtorc.server.process; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "vtorc.server.process" in loaded
    assert [name for name in loaded if name.startswith(HEAVY)] == []
