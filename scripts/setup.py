"""Makes the project runnable: `.venv` with the project in it, and the real servers in `.parts`.

Runs with nothing but a bare Python 3.11: Debian's comes without pip and without the means to make a complete virtual
environment. Nothing outside the project and the user's cache is written, and what is done already is not done again.
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

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "vtorc-setup"
PROJECT = ["--editable", f"{ROOT}[dev]", "--constraint", str(ROOT / "requirements.lock")]


class Refused(Exception):
    """One way to install does not work on this machine; the message says why."""


def main(words: Sequence[str]) -> int:
    """Set up what is missing; 0 when all is there, 1 with one error when something cannot be had.

    With `--servers-optional` it does without the real servers where they cannot be had.
    """
    try:
        if not (STAMP.exists() and STAMP.read_text() == _state() and _starts()):
            _install()
            STAMP.write_text(_state())
        try:
            fetch(say=_say)
        except PartMissing as missing:
            if "--servers-optional" not in words:
                raise
            _say(f"going on without real servers: {missing}")
    except (Refused, PartMissing) as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    return 0


def _say(line: str) -> None:
    print(f"setup: {line}", flush=True)


def _state() -> str:
    """Hash everything that decides what is installed, and where."""
    inputs = [ROOT / "pyproject.toml", ROOT / "requirements.lock"]
    return hashlib.sha256(b"\0".join([str(ROOT).encode(), *(path.read_bytes() for path in inputs)])).hexdigest()


def _starts() -> bool:
    try:
        return subprocess.run([PYTHON, "-c", ""], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def _install() -> None:
    """Install the project by the first way that works; raises Refused with every reason when none does."""
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
    """Use the environment's pip; an environment without one can be made even where `python3 -m venv` is refused."""
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
    """Have the system's pip put a pip into the environment: it may, even where it must not change the system."""
    _run("the system's pip", sys.executable, "-m", "pip", "--python", PYTHON, "install", "pip", quiet=True)
    _with_own_pip()


def _with_debian_pip() -> None:
    """Run the pip in Debian's package of wheels, unpacked: the only pip that apt can bring without root."""
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
    """Give Debian's pip certificates to trust where the system has none: it carries none of its own.

    Those that the user's pip configuration names, if any, stay in force.
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
    """Run a step in the open, or `quiet`ly where failing is expected and the next way says more."""
    try:
        done = subprocess.run(command, check=False, capture_output=quiet, text=True)
    except OSError as error:
        raise Refused(f"{name} does not run ({error.strerror})") from error
    if done.returncode:
        said = ((done.stderr or "") + (done.stdout or "")).strip().splitlines() if quiet else []
        raise Refused(f"{name} failed{': ' + said[0] if said else ' (see above)'}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
