"""Installs the project into `.venv`, and the real servers, promtool and Chromium into `.parts`.

It needs only a bare Python 3.11: Debian's comes without pip and cannot make a complete virtual environment. It writes
only to the project and to the user's cache, and repeats no step that is done.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from vtorc.lab.debian import Debian, unpack  # noqa: E402
from vtorc.lab.errors import PartMissing  # noqa: E402
from vtorc.lab.fetch import fetch  # noqa: E402
from vtorc.lab.parts import CHROMIUM, CONSUL, ETCD, MYSQL, PROMTOOL, ZOOKEEPER  # noqa: E402

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "vtorc-setup"
PROJECT = ["--editable", f"{ROOT}[dev]", "--constraint", str(ROOT / "requirements.lock")]


class Refused(Exception):
    """One way to install does not work on this machine; the message says why."""


def main(words: Sequence[str]) -> int:
    """Install the missing parts; returns the exit code, 1 with one error if a part cannot be installed.

    With `--servers-optional` it succeeds without the real servers if they cannot be fetched.
    """
    try:
        if not (STAMP.exists() and STAMP.read_text() == _state() and _starts()):
            _install()
            STAMP.write_text(_state())
        try:
            fetch(kinds=(MYSQL, ETCD, CONSUL, ZOOKEEPER, PROMTOOL, CHROMIUM), say=_say)
        except PartMissing as missing:
            if "--servers-optional" not in words:
                raise
            _say(f"continuing without what is missing: {missing}")
    except (Refused, PartMissing) as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    return 0


def _say(line: str) -> None:
    print(f"setup: {line}", flush=True)


def _state() -> str:
    """Return a hash of the files that determine the installation, and of its path."""
    inputs = [ROOT / "pyproject.toml", ROOT / "requirements.lock"]
    return hashlib.sha256(b"\0".join([str(ROOT).encode(), *(path.read_bytes() for path in inputs)])).hexdigest()


def _starts() -> bool:
    try:
        return subprocess.run([PYTHON, "-c", ""], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def _install() -> None:
    """Install the project in the first way that works; raises Refused with all reasons if none does."""
    reasons = []
    for way in (_with_uv, _with_own_pip, _with_ensurepip, _with_system_pip, _with_debian_pip):
        try:
            way()
        except (Refused, PartMissing) as refusal:
            reasons.append(str(refusal))
        else:
            return
    raise Refused(
        f"the project could not be installed into {VENV}. Tried: {'; '.join(reasons)}. "
        "Install python3-venv (Debian: apt-get install python3-venv) or uv, and run this again."
    )


def _with_uv() -> None:
    uv = shutil.which("uv") or (str(VENV / "bin" / "uv") if (VENV / "bin" / "uv").exists() and _starts() else None)
    if uv is None:
        raise Refused("no uv on PATH")
    _say(f"installing the project with {uv}")
    if not _starts():
        _run("uv", uv, "venv", "--clear", "--python", sys.executable, VENV)
    _run("uv", uv, "pip", "install", "--python", PYTHON, *PROJECT)


def _with_own_pip() -> None:
    """Use the environment's pip; an environment without pip can be made even where `python3 -m venv` fails."""
    if not _starts():
        _say(f"making a virtual environment with {sys.executable}")
        _run("python3 -m venv", sys.executable, "-m", "venv", "--clear", "--without-pip", VENV, quiet=True)
    if subprocess.run([PYTHON, "-m", "pip", "--version"], check=False, capture_output=True).returncode:
        raise Refused("the new environment has no pip")
    _say("installing the project with pip")
    _run("pip", PYTHON, "-m", "pip", "install", "--no-warn-script-location", *PROJECT)


def _with_ensurepip() -> None:
    _run("ensurepip", PYTHON, "-m", "ensurepip", quiet=True)
    _with_own_pip()


def _with_system_pip() -> None:
    """Let the system's pip install pip into the environment, which works even if it must not change the system."""
    _run("the system's pip", sys.executable, "-m", "pip", "--python", PYTHON, "install", "pip", quiet=True)
    _with_own_pip()


def _with_debian_pip() -> None:
    """Run the pip from Debian's package of wheels, unpacked: no other pip can be installed by apt without root."""
    with tempfile.TemporaryDirectory() as folder:
        debian = Debian(Path(folder))
        _say("fetching pip as a Debian package")
        debian.update()
        for package in debian.download(["python3-pip-whl", "ca-certificates"], Path(folder), progress=lambda _: None):
            unpack(package, Path(folder) / "tree")
        wheel = next(Path(folder).glob("tree/usr/share/python-wheels/pip-*.whl"), None)
        if wheel is None:
            raise Refused("Debian's python3-pip-whl has no pip in it")
        _run("Debian's pip", PYTHON, wheel / "pip", "install", *_certificates(Path(folder), wheel / "pip"), "pip")
    _with_own_pip()


def _certificates(folder: Path, pip: Path) -> list[str]:
    """Return the options that give Debian's pip CA certificates if the system has none, as it has none of its own.

    Certificates of the user's pip configuration, if any, stay in use.
    """
    if Path("/etc/ssl/certs/ca-certificates.crt").exists():
        return []
    options = ["--use-deprecated=legacy-certs"]
    configured = subprocess.run([PYTHON, pip, "config", "list"], check=False, capture_output=True, text=True).stdout
    if ".cert=" not in configured:
        bundle = folder / "certificates.pem"
        public = folder.glob("tree/usr/share/ca-certificates/**/*.crt")
        bundle.write_bytes(b"".join(path.read_bytes() for path in public))
        options += ["--cert", str(bundle)]
    return options


def _run(name: str, *command: str | Path, quiet: bool = False) -> None:
    """Run a step with its output shown, or `quiet`ly if a failure is expected and the next step reports more."""
    try:
        done = subprocess.run(command, check=False, capture_output=quiet, text=True)
    except OSError as error:
        raise Refused(f"{name} does not run ({error.strerror})") from error
    if done.returncode:
        output = ((done.stderr or "") + (done.stdout or "")).strip().splitlines() if quiet else []
        raise Refused(f"{name} failed{': ' + output[0] if output else ' (see above)'}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
