"""The sources of settings, and their precedence."""

from pathlib import Path

import pytest

from tests.unit.config.helpers import TOPO, loaded, problems, write
from vtorc.config.load import load
from vtorc.config.settings import Settings
from vtorc.errors import SettingsError


def test_gives_the_defaults(tmp_path: Path) -> None:
    """With only the required flags, all other settings have their defaults."""
    found = loaded(tmp_path)
    assert found.settings == Settings(
        topo_implementation="etcd2", topo_global_server_address="h:2379", topo_global_root="/vitess/global"
    )
    assert found.sources["topo_implementation"] == "flag -topo_implementation"
    assert found.sources["cell"] == "default"


def test_prefers_flag_over_file_over_default(tmp_path: Path) -> None:
    """A flag takes precedence over the file, the file over the default, and each setting has its source."""
    found = loaded(
        tmp_path, "--instance-poll-time=2s", file={"InstancePollSeconds": 9, "ReasonableReplicationLagSeconds": 3}
    )
    assert (found.settings.instance_poll_time, found.sources["instance_poll_time"]) == (
        2.0,
        "flag --instance-poll-time",
    )
    assert (found.settings.reasonable_replication_lag, found.sources["reasonable_replication_lag"]) == (
        3.0,
        'key "ReasonableReplicationLagSeconds" of orc_config.json',
    )


def test_prefers_flag_over_environment(tmp_path: Path) -> None:
    """The environment names the file unless a flag does."""
    write(tmp_path, {"cell": "one"}, "one.json")
    write(tmp_path, {"cell": "two"}, "two.json")
    environment = {"VT_CONFIG_FILE": "one.json"}
    found = loaded(tmp_path, environment=environment)
    assert (found.settings.cell, found.sources["config_file"]) == ("one", "environment VT_CONFIG_FILE")
    assert loaded(tmp_path, "--config-file=two.json", environment=environment).settings.cell == "two"


def test_requires_the_topology_server(tmp_path: Path) -> None:
    """Missing flags of the topology server are reported by name, all three at once."""
    with pytest.raises(SettingsError) as caught:
        load([], {}, folder=tmp_path)
    assert caught.value.problems == (
        "--topo-implementation is required: one of etcd2, consul, zk2, local",
        "--topo-global-server-address is required: the addresses of the global topology server",
        "--topo-global-root is required: the path of the global data in it, such as /vitess/global",
    )


def test_asks_once_for_a_flag_with_a_wrong_value(tmp_path: Path) -> None:
    """A required flag with a wrong value is not also reported as missing."""
    with pytest.raises(SettingsError) as caught:
        load(["-topo_implementation=k8s", *TOPO[1:]], {}, folder=tmp_path)
    assert caught.value.problems == ("flag -topo_implementation: expected one of etcd2, consul, zk2, local, got 'k8s'",)


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ("topo-etcd-tls-cert", "topo-etcd-tls-key"),
        ("topo-etcd-tls-key", "topo-etcd-tls-cert"),
        ("topo-zk-tls-cert", "topo-zk-tls-key"),
        ("topo-zk-tls-key", "topo-zk-tls-cert"),
        ("tablet-manager-grpc-cert", "tablet-manager-grpc-key"),
        ("tablet-manager-grpc-key", "tablet-manager-grpc-cert"),
    ],
)
def test_wants_certificate_and_key_together(tmp_path: Path, given: str, missing: str) -> None:
    """A certificate without its key, or a key without its certificate, is refused."""
    assert problems(tmp_path, f"--{given}=f") == [
        f"--{given} needs --{missing} too: a certificate and its key go together"
    ]


def test_reads_the_files_of_the_usual_places(tmp_path: Path) -> None:
    """Without a flag, v12's files and v22's are found, and later ones take precedence."""
    (tmp_path / "conf").mkdir()
    write(tmp_path, {"InstancePollSeconds": 1, "Debug": True}, "conf/orchestrator.conf.json")
    write(tmp_path, {"InstancePollSeconds": 2, "cell": "a"}, "orchestrator.conf.json")
    write(tmp_path, {"cell": "b"}, "vtconfig.json")
    found = loaded(tmp_path)
    assert (found.settings.log_level, found.settings.instance_poll_time, found.settings.cell) == ("debug", 2.0, "b")
    assert [Path(name).name for name in found.files] == [
        "orchestrator.conf.json",
        "orchestrator.conf.json",
        "vtconfig.json",
    ]


def test_searches_the_given_folders(tmp_path: Path) -> None:
    """A path and a name lead to the first file found."""
    (tmp_path / "b").mkdir()
    write(tmp_path, 'cell = "x"', "b/my.toml")
    assert loaded(tmp_path, "--config-path=a,b", "--config-name=my").settings.cell == "x"


@pytest.mark.parametrize("words", [["--config-file=no.json"], ["--config-name=no"], ["--config-path=no"]])
@pytest.mark.parametrize(
    ("handling", "notes", "wrong"), [("ignore", 0, 0), ("warn", 1, 0), ("error", 0, 1), ("exit", 0, 1)]
)
def test_handles_a_missing_file_as_set(tmp_path: Path, words: list[str], handling: str, notes: int, wrong: int) -> None:
    """A file that is not found is ignored, reported, or refused."""
    words = [*words, f"--config-file-not-found-handling={handling}"]
    if wrong:
        assert len(problems(tmp_path, *words)) == wrong
    else:
        assert len(loaded(tmp_path, *words).notes) == notes


def test_refuses_files_of_one_name_with_different_endings(tmp_path: Path) -> None:
    """Two files that the search finds in one folder are both named, and none of them is read."""
    write(tmp_path, {"cell": "a"}, "vtconfig.json")
    write(tmp_path, 'cell = "b"', "vtconfig.toml")
    assert problems(tmp_path) == [
        f"{tmp_path}/vtconfig.json and {tmp_path}/vtconfig.toml are settings files of one name: keep one, "
        "or name it in --config-file"
    ]


def test_tells_files_of_one_name_apart(tmp_path: Path) -> None:
    """Of two files with the same name in two folders, a problem names the folder too."""
    (tmp_path / "conf").mkdir()
    for name in ("conf/orchestrator.conf.json", "orchestrator.conf.json"):
        write(tmp_path, {"Debug": name}, name)
    assert problems(tmp_path) == [
        f'{tmp_path}/{name}: key "Debug": expected true or false, got "{name}"'
        for name in ("conf/orchestrator.conf.json", "orchestrator.conf.json")
    ]


def test_takes_an_address_for_the_kind_of_topology_server(tmp_path: Path) -> None:
    """A path is an address of a local topology, and several endpoints with a scheme are one of etcd."""
    for words in (
        ("-topo_implementation=local", "-topo_global_server_address=/var/topo.sqlite"),
        ("-topo_global_server_address=https://a:1,[::1]:2379",),
    ):
        assert loaded(tmp_path, *words).settings.topo_global_server_address == words[-1].partition("=")[2]


def test_refuses_two_settings_files(tmp_path: Path) -> None:
    """The old and the new flag for the settings file are not given together."""
    assert problems(tmp_path, "-config=a", "--config-file=b") == [
        "flag --config and --config-file both name a settings file: keep one"
    ]


def test_keeps_secrets_out_of_sight(tmp_path: Path) -> None:
    """A password is not in the settings' text."""
    file = {"MySQLTopologyUser": "u", "MySQLTopologyPassword": "hunter2", "MySQLReplicaPassword": "hunter2"}
    found = loaded(tmp_path, file=file)
    assert "hunter2" not in repr(found)
