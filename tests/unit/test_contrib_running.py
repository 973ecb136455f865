"""The unit of systemd, the manifests and the image start a vtorc that would run, with probes and paths that exist."""

import configparser
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from vtorc.config.catalogue import FLAGS, fold
from vtorc.config.load import Loaded, load
from vtorc.core.facts.watched import watched_ranges
from vtorc.server.probes import HEALTH, LIVENESS

ROOT = Path(__file__).parents[2]
UNIT_FILE = ROOT / "contrib/systemd/vtorc.service"
SETTINGS = ROOT / "contrib/systemd/vtorc.json"
KUBERNETES = ROOT / "contrib/kubernetes"
PASSWORD = "MYSQL_TOPOLOGY_PASSWORD"
STATE = "/var/lib/vtorc"
COMMAND = "/vt/bin/vtorc"

OF_THE_OPERATOR = [
    "--cell=zone1",
    "--clusters_to_watch=commerce/-",
    "--logtostderr=true",
    "--port=15000",
    "--topo_global_root=/vitess/example/global",
    "--topo_global_server_address=example-etcd-client:2379",
    "--topo_implementation=etcd2",
]
"""The flags that vitess-operator gives (`pkg/operator/vtorc/deployment.go` there, July 2026)."""


def unit() -> configparser.ConfigParser:
    """Read the unit; a key that systemd lets stand twice may not."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT_FILE, encoding="utf-8")
    return parser


def manifests(name: str) -> list[dict[str, Any]]:
    """Read all documents of a manifest."""
    return list(yaml.safe_load_all((KUBERNETES / name).read_text(encoding="utf-8")))


def one(kind: str) -> dict[str, Any]:
    """Return the object of a kind in the manifest without the operator."""
    (found,) = [each for each in manifests("vtorc.yaml") if each["kind"] == kind]
    return found


def loaded(flags: list[str], settings: str, tmp_path: Path) -> Loaded:
    """Load flags whose settings file has this text in place of the one that they name."""
    file = tmp_path / "vtorc.json"
    file.write_text(settings, encoding="utf-8")
    words = [re.sub(r"^--config=.*", f"--config={file}", flag) for flag in flags]
    assert words != flags, "the flags name no settings file"
    return load(words, {PASSWORD: "secret"}, folder=tmp_path)


def test_the_unit_of_systemd_starts_with_its_settings(tmp_path: Path) -> None:
    """vtorc would start with them, without a remark, and keeps its files where the unit lets it write."""
    service = unit()["Service"]
    program, *flags = service["ExecStart"].split()
    assert program == "/opt/vtorc/bin/vtorc"
    found = loaded(flags, SETTINGS.read_text(encoding="utf-8"), tmp_path)
    assert not found.notes
    assert found.settings.mysql_topology_password == f"${{{PASSWORD}}}"
    assert Path(found.settings.sqlite_data_file).parent == Path("/var/lib") / service["StateDirectory"]
    assert "--config=/etc/vtorc/vtorc.json" in flags


def test_the_unit_of_systemd_lets_recoveries_end(tmp_path: Path) -> None:
    """SIGTERM reaches vtorc alone, and systemd waits longer than vtorc does; wrong settings are not tried again."""
    service = unit()["Service"]
    found = load(["--topo-implementation=local", *_REQUIRED], {}, folder=tmp_path)
    assert service["KillMode"] == "mixed"
    assert int(service["TimeoutStopSec"]) > found.settings.shutdown_wait_time
    assert service["Restart"] == "always"
    assert service["RestartPreventExitStatus"] == "2"


_REQUIRED = ["--topo-global-server-address=/tmp/topo.sqlite", "--topo-global-root=/vitess/global"]


def test_the_pods_start_with_their_settings(tmp_path: Path) -> None:
    """vtorc would start with the arguments and the settings of the manifest, and its paths are mounted."""
    pod = one("StatefulSet")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    found = loaded(container["args"], one("ConfigMap")["data"]["vtorc.json"], tmp_path)
    assert not found.notes
    assert [each["name"] for each in container["env"]] == [PASSWORD]
    assert found.settings.mysql_topology_password == f"${{{PASSWORD}}}"
    mounted = {each["mountPath"] for each in container["volumeMounts"]}
    assert str(Path(found.settings.sqlite_data_file).parent) in mounted
    assert {"/etc/vtorc", "/tmp"} <= mounted
    volumes = {each["name"] for each in pod["volumes"]} | {
        each["metadata"]["name"] for each in one("StatefulSet")["spec"]["volumeClaimTemplates"]
    }
    assert {each["name"] for each in container["volumeMounts"]} == volumes
    assert container["ports"] == [{"name": "web", "containerPort": found.settings.port}]
    assert pod["terminationGracePeriodSeconds"] > found.settings.shutdown_wait_time
    assert not found.settings.bind_address, "the probes come from another host"


def test_the_probes_of_the_pods_exist() -> None:
    """Readiness asks for health, liveness for life, at the port of the container."""
    (container,) = one("StatefulSet")["spec"]["template"]["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"] == {"path": HEALTH, "port": "web"}
    assert container["livenessProbe"]["httpGet"] == {"path": LIVENESS, "port": "web"}


def test_objects_of_the_manifest_select_the_same_pods() -> None:
    """Service, disruption budget, spread and StatefulSet mean the pods of the template."""
    labels = one("StatefulSet")["spec"]["template"]["metadata"]["labels"]
    spread = one("StatefulSet")["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert one("Service")["spec"]["selector"] == labels
    assert one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert one("StatefulSet")["spec"]["selector"]["matchLabels"] == labels
    assert all(each["labelSelector"]["matchLabels"] == labels for each in spread)


def test_the_flags_of_vitess_operator_start_vtorc(tmp_path: Path) -> None:
    """vtorc would start with the operator's flags and those of the example, and acts on the one shard only."""
    (cluster,) = manifests("vitess-operator.yaml")
    (keyspace,) = cluster["spec"]["keyspaces"]
    vtorc = keyspace["vitessOrchestrator"]
    extra = [f"--{name}={value}" for name, value in vtorc["extraFlags"].items()]
    found = load([*OF_THE_OPERATOR, *extra], {}, folder=tmp_path)
    assert found.settings.port == 15000
    assert [each.partition(":")[0] for each in found.notes if "logtostderr" not in each and "cell" not in each] == []
    assert list(watched_ranges(found.settings.clusters_to_watch[0]))
    mounted = {each["mountPath"] for each in vtorc["extraVolumeMounts"]}
    assert str(Path(found.settings.sqlite_data_file).parent) in mounted == {STATE}
    assert [each["name"] for each in vtorc["extraVolumes"]] == [each["name"] for each in vtorc["extraVolumeMounts"]]


def test_the_image_has_what_it_is_built_of() -> None:
    """What the image copies is in the project, and vtorc is where vitess-operator looks for it."""
    lines = (KUBERNETES / "Dockerfile").read_text(encoding="utf-8").splitlines()
    sources = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    assert sources
    assert not [source for source in sources if not (ROOT / source).exists()]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "vtorc" in project["scripts"]
    assert {project["readme"], *project["license-files"], "pyproject.toml", "src"} <= set(sources)
    assert f'ENTRYPOINT ["{COMMAND}"]' in lines
    assert any(line.endswith(f" {COMMAND}") for line in lines)


@pytest.mark.parametrize("name", ["docs/running.md", "docs/permissions.md"])
def test_pages_about_running_name_flags_that_exist(name: str) -> None:
    """Each flag of vtorc in the pages about running it is one."""
    text = (ROOT / name).read_text(encoding="utf-8")
    named = {fold(flag) for flag in re.findall(r"`--?([a-z][\w-]+)", text)}
    assert named
    assert not named - FLAGS.keys()
