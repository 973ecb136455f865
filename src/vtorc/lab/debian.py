"""Resolves, downloads and unpacks Debian packages without touching the system's package state.

The mirror, proxies, credentials and keys are the system's own, read through apt at run time. Lists, status and
downloads lie in a separate folder. No root is needed. Source of the settings: apt.conf(5), sources.list(5).
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from vtorc.lab.errors import PartMissing

SUITE = "sid"
"""The one Debian suite that carries MySQL 9."""

_KEYRINGS = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
)

# Without this, the system's hooks would clean its package cache or rebuild its catalogues after each `update`.
_CONFIG = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir::Etc::sourcelist "{home}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "{home}/state";
Dir::State::status "{home}/status";
Dir::Cache "{home}/cache";
APT::Sandbox::User "{user}";
APT::Architecture "{arch}";
APT::Architectures {{ "{arch}"; }};
APT::Default-Release "";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "3";
"""

_C_LOCALE = {"LC_ALL": "C.UTF-8", "LANGUAGE": ""}


class Debian:
    """One private apt state in `home`, reading one suite of one mirror."""

    def __init__(self, home: Path, *, suite: str = SUITE) -> None:
        """Make the folders and files of the state; raises PartMissing if this machine has no apt or dpkg."""
        missing = [tool for tool in ("apt-get", "apt-cache", "dpkg", "dpkg-deb") if shutil.which(tool) is None]
        if missing:
            raise PartMissing(f"this machine has no {', '.join(missing)} (servers are fetched as Debian packages)")
        self.home = home
        self.suite = suite
        self.arch = _run(["dpkg", "--print-architecture"]).strip()
        for folder in ("state/lists/partial", "cache/archives/partial"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        (home / "status").touch()
        user = "root" if os.geteuid() == 0 else ""
        (home / "apt.conf").write_text(_CONFIG.format(home=home, arch=self.arch, user=user))

    def update(self) -> None:
        """Read the suite's signed index from the first configured mirror that has it; else raises PartMissing."""
        mirrors = configured_mirrors()
        if not mirrors:
            raise PartMissing("apt on this machine has no Debian mirror configured (sources.list names none)")
        keyring = next((path for path in _KEYRINGS if path.exists()), None)
        signed_by = f" signed-by={keyring}" if keyring else ""
        failures = []
        for mirror in mirrors:
            line = f"deb [arch={self.arch} target=Packages{signed_by}] {mirror} {self.suite} main\n"
            (self.home / "sources.list").write_text(line)
            try:
                # Without Error-Mode, `apt-get update` exits with 0 even if it could download nothing.
                self._apt("update", "-q", "-o", "APT::Update::Error-Mode=any")
            except PartMissing as error:
                failures.append(str(error))
            else:
                return
        raise PartMissing(f"no configured mirror gives Debian {self.suite}: {'; '.join(failures)}")

    def version(self, package: str) -> str:
        """Return the version of `package` in the suite; raises PartMissing if it has none."""
        shown = _run(["apt-cache", "-c", str(self.home / "apt.conf"), "policy", package])
        candidate = re.search(r"Candidate: (\S+)", shown)
        if candidate is None or candidate[1] == "(none)":
            raise PartMissing(f"Debian {self.suite} has no package {package} for {self.arch}")
        return candidate[1]

    def closure(self, packages: Sequence[str]) -> list[str]:
        """List `packages` and all their dependencies, as apt would install them on an empty system."""
        planned = self._apt("install", "--simulate", *packages)
        return re.findall(r"^Inst (\S+)", planned, flags=re.MULTILINE)

    def download(self, packages: Iterable[str], into: Path, *, progress: Callable[[int], None]) -> list[Path]:
        """Download packages, with signature and checksums checked by apt; calls `progress` with how many began."""
        into.mkdir(parents=True, exist_ok=True)
        command = ["apt-get", "-c", str(self.home / "apt.conf"), "-q", "download", *packages]
        output = []
        environment = {**os.environ, **_C_LOCALE}
        with subprocess.Popen(
            command, cwd=into, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as running:
            assert running.stdout is not None
            for line in running.stdout:
                output.append(line)
                if line.startswith("Get:"):
                    progress(sum(1 for earlier in output if earlier.startswith("Get:")))
        if running.returncode:
            _refuse(command, "".join(output))
        return sorted(into.glob("*.deb"))

    def _apt(self, *arguments: str) -> str:
        return _run(["apt-get", "-c", str(self.home / "apt.conf"), *arguments])


def own_suite(release: Path = Path("/etc/os-release")) -> str:
    """Return the name of this machine's own suite, such as bookworm; raises PartMissing if it tells none."""
    try:
        found = re.search(r"^VERSION_CODENAME=\"?(\w+)", release.read_text(), flags=re.MULTILINE)
    except OSError:
        found = None
    if found is None:
        raise PartMissing(f"{release} names no suite of Debian (VERSION_CODENAME)")
    return found[1]


def configured_mirrors() -> list[str]:
    """List the base addresses of the mirrors in the system's apt sources, Debian's main archive first.

    Addresses of security and update suites come last, since they often lack the wanted suite.
    """
    listed = _run(
        ["apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)", "Identifier: Packages"]
    )
    rows = [row for line in listed.splitlines() if len(row := line.split()) == 3 and row[1] == "main"]
    rows.sort(key=lambda row: ("-" in row[0], "security" in row[2]))
    return list(dict.fromkeys(row[2] for row in rows))


def unpack(package: Path, into: Path) -> None:
    """Unpack the files of one .deb below `into`, without running its scripts."""
    into.mkdir(parents=True, exist_ok=True)
    _run(["dpkg-deb", "-x", str(package), str(into)])


def _run(command: list[str]) -> str:
    environment = {**os.environ, **_C_LOCALE}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        _refuse(command, done.stdout + done.stderr)
    return done.stdout


def _refuse(command: list[str], output: str) -> NoReturn:
    complaints = [line for line in output.splitlines() if line.startswith(("E:", "W:", "dpkg"))] or output.splitlines()[
        -3:
    ]
    raise PartMissing(f"`{command[0]}` failed: {' '.join(complaints) or 'it printed nothing'}")
