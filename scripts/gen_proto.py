"""Generate the Python modules of `src/vtorc/proto` from its .proto files, or check that the committed ones are current.

`python scripts/gen_proto.py` rewrites them; `--check` writes nothing, names the stale files and exits 1 if there are
any. Both need the `dev` extra (grpcio-tools, mypy-protobuf) in the environment of the interpreter.
"""

import argparse
import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
PROTO = SOURCE / "vtorc" / "proto"

# The generators' own versions in their output. The comparison leaves them out, so that another patch release of a
# generator that writes the same code does not make the committed files stale.
_VERSION_MARKS = (
    re.compile(r"^# Protobuf Python Version: .*$", re.MULTILINE),
    re.compile(r"ValidateProtobufRuntimeVersion\(\s*\S+,\s*\d+,\s*\d+,\s*\d+,\s*'[^']*',"),
    re.compile(r"^GRPC_GENERATED_VERSION = .*$", re.MULTILINE),
)


def without_versions(code: str) -> str:
    """Return generated `code` without the version numbers of its generator."""
    for mark in _VERSION_MARKS:
        code = mark.sub("", code)
    return code


def generate() -> dict[str, str]:
    """Return the generated files, name to text, for all .proto files of `PROTO`.

    Raises:
        SystemExit: a generator is not installed, or refuses a .proto file.
    """
    sources = sorted(PROTO.glob("*.proto"))
    with_services = [path for path in sources if re.search(r"^service ", path.read_text(), re.MULTILINE)]
    with tempfile.TemporaryDirectory() as out:
        _run_protoc(sources, f"--python_out={out}", f"--mypy_out=quiet:{out}")
        grpc_types = f"--mypy_grpc_out=quiet,only_async,generate_concrete_servicer_stubs:{out}"
        _run_protoc(with_services, f"--grpc_python_out={out}", grpc_types)
        made = sorted((Path(out) / PROTO.relative_to(SOURCE)).iterdir())
        return {path.name: path.read_text() for path in made}


def _run_protoc(sources: list[Path], *outputs: str) -> None:
    scripts = Path(sysconfig.get_path("scripts"))
    plugins = [scripts / "protoc-gen-mypy", scripts / "protoc-gen-mypy_grpc"]
    if missing := [plugin.name for plugin in plugins if not plugin.exists()]:
        sys.exit(f"{', '.join(missing)} not found in {scripts}: pip install -e '.[dev]'")
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{SOURCE}", *outputs, *map(str, sources)]
    command += [f"--plugin={plugin.name}={plugin}" for plugin in plugins]
    if subprocess.run(command, check=False).returncode:
        sys.exit("protoc failed, see above; if grpc_tools is missing: pip install -e '.[dev]'")


def committed() -> dict[str, str]:
    """Return the generated files in `PROTO`, name to text."""
    return {path.name: path.read_text() for path in PROTO.glob("*_pb2*.py*")}


def stale(made: dict[str, str], present: dict[str, str]) -> list[str]:
    """Return the names of files that are missing, changed or left over in `present`, compared with `made`."""
    return sorted(
        name
        for name in made.keys() | present.keys()
        if name not in made or name not in present or without_versions(made[name]) != without_versions(present[name])
    )


def main() -> int:
    """Generate the files, or check them with `--check`, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a generated file is stale")
    check: bool = parser.parse_args().check
    made, present = generate(), committed()
    names = stale(made, present)
    if check:
        for name in names:
            sys.stderr.write(f"stale: {(PROTO / name).relative_to(ROOT)}\n")
        if names:
            sys.stderr.write("run: python scripts/gen_proto.py\n")
        return 1 if names else 0
    for name in names:
        if name in made:
            (PROTO / name).write_text(made[name])
        else:
            (PROTO / name).unlink()
    sys.stdout.write(f"{len(made)} files made, {len(names)} changed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
