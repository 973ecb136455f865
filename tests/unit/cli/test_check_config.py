"""`vtorc --check-config`: whether vtorc would start, and with which settings."""

import json
from pathlib import Path

import pytest

from vtorc.cli.main import main

TOPO = ("-topo_implementation=etcd2", "-topo_global_server_address=h:2379", "-topo_global_root=/vitess/global")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read no settings file but those of the test."""
    monkeypatch.chdir(tmp_path)


def test_tells_each_setting_with_its_origin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Flags, keys of a file and defaults are told apart, and a secret is not shown."""
    (tmp_path / "orc.json").write_text(
        '{"InstancePollSeconds": 7, "MySQLTopologyPassword": "geheim", "RaftEnabled": 1}'
    )
    assert main(["--check-config", *TOPO, "-config=orc.json", "--mysql-replica-user=repl", "-log_dir=logs/new"]) == 0
    out = capsys.readouterr().out
    lines = [line.strip() for line in out.splitlines()]
    assert lines[0] == "vtorc would start."
    assert 'instance-poll-time = 7s  (key "InstancePollSeconds" of orc.json)' in lines
    assert 'mysql-topology-password = ***  (key "MySQLTopologyPassword" of orc.json)' in lines
    why = "Vitess has no replication account but that of each vttablet"
    assert f"mysql-replica-user = repl  (flag --mysql-replica-user)  no effect: {why}" in lines
    assert lines.index("lock-timeout = 45s") > lines.index("Settings with their default:")
    assert [line for line in lines if line.startswith('accepted, no effect: key "RaftEnabled" of orc.json')]
    assert "geheim" not in out
    assert not (tmp_path / "logs").exists()


def test_tells_programs_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json it is one JSON document, in which a secret has no value."""
    (tmp_path / "orc.json").write_text('{"MySQLTopologyPassword": "geheim"}')
    assert main(["--check-config", "--json", *TOPO, "-config=orc.json"]) == 0
    out = capsys.readouterr().out
    found = json.loads(out)
    assert (found["starts"], found["problems"], found["files"]) == (True, [], ["orc.json"])
    settings = {setting["name"]: setting for setting in found["settings"]}
    secret = settings["mysql-topology-password"]
    assert (secret["value"], secret["shown"]) == (None, "***")
    assert settings["lock-timeout"]["source"] == "default"
    assert settings["mysql-replica-user"]["no_effect"] == "Vitess has no replication account but that of each vttablet"
    assert "geheim" not in out


def test_tells_all_problems(capsys: pytest.CaptureFixture[str]) -> None:
    """Settings that cannot be used are the problems of a start, and the exit code is 2."""
    words = ["--check-config", "--durability=half", "-topo_global_root=/", *TOPO[:2]]
    assert main(words) == 2
    assert capsys.readouterr().out.splitlines() == [
        "vtorc would not start:",
        "  flag --durability: expected one of none, semi_sync, cross_cell, semi_sync_with_rdonly_ack, "
        "cross_cell_with_rdonly_ack, specified, test, got 'half'",
        "  flag -topo_global_root: expected the path of the global records, such as /vitess/global, got '/'",
    ]
    assert main([*words, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["starts"] is False


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-log_dir=file/logs"], "--log-dir: expected a folder that vtorc.log can be written in, got 'file/logs'"),
        (["--grpc-auth-static-client-creds=none.json"], "none.json cannot be read: No such file or directory"),
        (
            ["--use-ssl", "--ssl-cert-file=none.pem", "--ssl-private-key-file=none.pem"],
            "SSLCertFile: none.pem: it cannot be read (No such file or directory)",
        ),
        (["--tablet-manager-grpc-ca=file"], "file: expected certificates in PEM"),
        (
            ["--topo-etcd-tls-cert=none", "--topo-etcd-tls-key=none"],
            "topo_etcd_tls_key 'none' cannot be read: No such file or directory; expected a PEM file",
        ),
        (
            ["-topo_implementation=zk2", "--topo-zk-tls-cert=file", "--topo-zk-tls-key=file"],
            "topo_zk_tls_cert 'file' and topo_zk_tls_key 'file' cannot be used: ",
        ),
        (
            ["-topo_implementation=zk2", "--topo-zk-auth-file=file"],
            "topo_zk_auth_file 'file' is malformed: expected <scheme>:<auth>, such as digest:name:password",
        ),
        (
            ["--use-ssl", "--ssl-cert-file=none.pem", "--ssl-private-key-file=file"],
            "SSLCertFile: none.pem: it cannot be read (No such file or directory)",
        ),
        (
            ["-topo_implementation=local", "-topo_global_server_address=."],
            "topo_global_server_address: expected the path of a topology file, got the folder '.'",
        ),
    ],
)
def test_reads_the_files_that_settings_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    """A file or folder that would end the start is a problem that names it, with all settings beside it."""
    (tmp_path / "file").write_text("no PEM")
    assert main(["--check-config", *TOPO, *words]) == 2
    first, problem, *rest = capsys.readouterr().out.splitlines()
    assert first == "vtorc would not start:"
    assert problem.strip().startswith(expected)
    assert "Settings that are given:" in rest


@pytest.mark.parametrize(
    ("flag", "problem"),
    [
        ("-log_dir={long}", "--log-dir: expected a folder that vtorc.log can be written in, got '{long}'"),
        (
            "-topo_global_server_address={long}",
            "topo_global_server_address: expected the path of a topology file, got '{long}'",
        ),
    ],
)
def test_tells_a_place_that_cannot_be_looked_at(capsys: pytest.CaptureFixture[str], flag: str, problem: str) -> None:
    """A place below a folder that is closed to vtorc, or with too long a name, is refused with the reason."""
    long = "x" * 300
    local = ("-topo_implementation=local", "-topo_global_server_address=topo", TOPO[2])
    assert main(["--check-config", *local, flag.format(long=long)]) == 2
    assert f"{problem.format(long=long)} (File name too long)" in capsys.readouterr().out


def test_json_alone_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Without --check-config the daemon has no answer that could be JSON."""
    assert main([*TOPO, "--json"]) == 2
    assert "flag --json: expected --check-config with it" in capsys.readouterr().err
