"""The committed protobuf code against the .proto files it is made from."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def check(root: Path) -> subprocess.CompletedProcess[str]:
    """Run the generator's check in a project folder."""
    command = [sys.executable, str(root / "scripts" / "gen_proto.py"), "--check"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Copy what the generator works on."""
    shutil.copytree(ROOT / "src" / "vtorc" / "proto", tmp_path / "src" / "vtorc" / "proto")
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "gen_proto.py", tmp_path / "scripts")
    return tmp_path


def test_the_committed_code_is_current() -> None:
    """The generated modules in the repository are those of their .proto files."""
    result = check(ROOT)
    assert (result.returncode, result.stderr) == (0, "")


def test_stale_files_are_named(project: Path) -> None:
    """The check fails and names the files that a changed, a new and a removed .proto file leave stale."""
    proto = project / "src" / "vtorc" / "proto"
    with (proto / "vttime.proto").open("a") as file:
        file.write("message Era { int64 number = 1; }\n")
    (proto / "era.proto").write_text('syntax = "proto3";\npackage era;\nmessage Era {}\n')
    (proto / "vschema.proto").unlink()
    result = check(project)
    assert result.returncode == 1
    assert sorted(line for line in result.stderr.splitlines() if line.startswith("stale")) == [
        f"stale: src/vtorc/proto/{name}"
        for name in (
            "era_pb2.py",
            "era_pb2.pyi",
            "vschema_pb2.py",
            "vschema_pb2.pyi",
            "vttime_pb2.py",
            "vttime_pb2.pyi",
        )
    ]


def test_another_patch_release_of_the_generators_is_no_change(project: Path) -> None:
    """Version numbers in the generators' output do not make files stale."""
    proto = project / "src" / "vtorc" / "proto"
    messages, stubs = proto / "vttime_pb2.py", proto / "queryservice_pb2_grpc.py"
    before = messages.read_text() + stubs.read_text()
    text = messages.read_text().replace("# Protobuf Python Version: 7.", "# Protobuf Python Version: 8.")
    messages.write_text(text.replace("    7,\n", "    8,\n"))
    stubs.write_text(stubs.read_text().replace("GRPC_GENERATED_VERSION = '1.", "GRPC_GENERATED_VERSION = '2."))
    assert messages.read_text() + stubs.read_text() != before
    assert check(project).returncode == 0


def test_a_refused_proto_file_is_an_error(project: Path) -> None:
    """The check fails, and names the place, when a .proto file cannot be compiled."""
    (project / "src" / "vtorc" / "proto" / "vttime.proto").write_text("nonsense")
    result = check(project)
    assert result.returncode == 1
    assert "vttime.proto" in result.stderr
