"""Hostile requests by the description of the API: `python -m bench.hostile [--examples 20]`.

Starts a shard of real servers with a real vtorc, and has schemathesis generate requests from its description, for a
client of each role and for one of some keyspaces. Exits with 1 if an answer is a mistake of vtorc's, or is beside the
description. schemathesis is no part of `make setup`: `pip install schemathesis` into any environment, and name its
program with `--schemathesis`.
"""

import argparse
import asyncio
import json
import shutil
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from vtorc.lab.cluster import LabCluster, LabSpec
from vtorc.lab.vtorc_process import VtorcProcess

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
)
"""What must hold. That a valid request is taken is no part of it: the state of a shard decides that."""

CLIENTS = (("read", None), ("operate", None), ("admin", None), ("operate", ["elsewhere"]))
"""Role and keyspaces of each client."""

PATIENCE = 60.0
"""Seconds until the vtorc has to know its shard."""


async def main(words: Sequence[str]) -> int:
    """Run all clients one after the other; returns the exit code."""
    options = _parser().parse_args(words)
    program = shutil.which(options.schemathesis)
    if program is None:
        sys.stderr.write(f"{options.schemathesis}: not found; name the program of schemathesis with --schemathesis\n")
        return 2
    failed = []
    async with LabCluster(LabSpec(topo="local")) as cluster:
        folder = cluster.folder / "vtorc"
        flags = [*cluster.topo_flags, f"--log-dir={folder}", "--listen-address=127.0.0.1:0", "--actions-per-minute=0"]
        vtorc = VtorcProcess(folder, flags, name="vtorc")
        await vtorc.start()
        try:
            address = await _address(vtorc)
            for number, (role, keyspaces) in enumerate(CLIENTS):
                secret = await asyncio.to_thread(_token, address, f"client-{number}", role, keyspaces)
                where = f"{role} of {', '.join(keyspaces) if keyspaces else 'all keyspaces'}"
                sys.stdout.write(f"--- {where}\n")
                sys.stdout.flush()
                if await _run(program, folder, address, secret, options.examples):
                    failed.append(where)
        finally:
            await vtorc.kill()
    for where in failed:
        sys.stdout.write(f"failed: {where}\n")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.hostile", description=__doc__)
    parser.add_argument("--examples", type=int, default=20, help="requests of each kind for each operation")
    parser.add_argument("--schemathesis", default="schemathesis", help="its program")
    return parser


async def _address(vtorc: VtorcProcess) -> str:
    """Return where the vtorc serves once the vtorc knows its shard."""
    async with asyncio.timeout(PATIENCE):
        serving = await vtorc.wait_for(lambda line: line["event"].startswith("serving HTTP on "))
        await vtorc.wait_for(lambda line: ": watching " in line["event"])
        return str(serving["address"])


def _token(address: str, name: str, role: str, keyspaces: Sequence[str] | None) -> str:
    """Have a token made, and return its secret."""
    body = json.dumps({"name": name, "role": role, "keyspaces": keyspaces}).encode()
    request = urllib.request.Request(f"http://{address}/api/v1/tokens", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return str(json.loads(answer.read())["secret"])


async def _run(program: str, folder: Path, address: str, secret: str, examples: int) -> int:
    """Run schemathesis once; returns its exit code. It must not revoke the token that it sends."""
    process = await asyncio.create_subprocess_exec(
        program,
        "run",
        f"http://{address}/api/v1/openapi.json",
        f"--header=Authorization: Bearer {secret}",
        "--exclude-path=/api/v1/events",
        "--exclude-path=/api/v1/tokens/{name}",
        f"--max-examples={examples}",
        f"--checks={','.join(CHECKS)}",
        "--phases=coverage,fuzzing",
        "--suppress-health-check=all",
        "--no-color",
        "--wait-for-schema=30",
        cwd=folder,  # where it leaves what it found
    )
    return await process.wait()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
