"""Debian packages as files; scripts of the test stand in for apt."""

from pathlib import Path

import pytest

from vtorc.lab.debian import Debian, configured_mirrors
from vtorc.lab.errors import PartMissing

# Answers as apt does; a mirror whose address has "broken" in it gives no index.
APT_GET = """\
#!/bin/sh
case "$*" in
indextargets*) cat "$(dirname "$0")/targets" ;;
*update*)
    grep -q broken "${2%apt.conf}sources.list" || exit 0
    echo "E: Release file is not signed"; exit 100 ;;
*install*) printf 'Reading...\\nInst libaio1t64 (0.3 sid)\\nInst mysql-server-core (9.7 sid)\\nConf x\\n' ;;
*download*) for name in one two; do echo "Get:1 mirror $name"; touch "$name.deb"; done ;;
esac
"""
APT_CACHE = (
    '#!/bin/sh\nprintf \'%s:\\n  Installed: (none)\\n  Candidate: %s\\n\' "$4" "$(cat $(dirname $0)/candidate)"\n'
)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that hides the machine's apt."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name, text in (
        ("apt-get", APT_GET),
        ("apt-cache", APT_CACHE),
        ("dpkg", "#!/bin/sh\necho riscv64\n"),
        ("dpkg-deb", "#!/bin/sh\n"),
    ):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder / "targets").write_text("bookworm main http://mirror/debian/\n")
    monkeypatch.setenv("PATH", f"{folder}:/bin")
    return folder


def test_main_archive_is_tried_first(tools: Path) -> None:
    """Each mirror is tried once, the main archive first and that of security last; other components never."""
    (tools / "targets").write_text(
        "bookworm-security main http://mirror/debian-security/\n"
        "bookworm-updates main http://mirror/debian/\n"
        "nodistro contrib http://other/\n"
        "bookworm main http://mirror/debian/\n"
        "stable main http://second/\n"
    )
    assert configured_mirrors() == ["http://mirror/debian/", "http://second/", "http://mirror/debian-security/"]


def test_next_mirror_is_asked_when_one_fails(tools: Path, tmp_path: Path) -> None:
    """The index comes from the first configured mirror that has one."""
    (tools / "targets").write_text("bookworm main http://broken/\nbookworm main http://mirror/debian/\n")
    debian = Debian(tmp_path / "apt")
    debian.update()
    assert "http://mirror/debian/ sid main" in (tmp_path / "apt" / "sources.list").read_text()


def test_no_mirror_says_what_apt_said(tools: Path, tmp_path: Path) -> None:
    """If no mirror has an index, the error has apt's own message."""
    (tools / "targets").write_text("bookworm main http://broken/\n")
    with pytest.raises(PartMissing, match=r"no configured mirror gives Debian sid: .*Release file is not signed"):
        Debian(tmp_path / "apt").update()


def test_machine_without_sources_is_told(tools: Path, tmp_path: Path) -> None:
    """Without a Debian mirror in apt's sources the error says so."""
    (tools / "targets").write_text("")
    with pytest.raises(PartMissing, match="no Debian mirror configured"):
        Debian(tmp_path / "apt").update()


def test_machine_without_apt_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Debian's tools the error names those that are missing."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PartMissing, match="no apt-get, apt-cache, dpkg, dpkg-deb"):
        Debian(tmp_path / "apt")


def test_state_is_private_and_of_the_machine(tools: Path, tmp_path: Path) -> None:
    """Every path that apt writes lies in the private state, and the architecture is dpkg's."""
    home = tmp_path / "apt"
    Debian(home)
    written = (home / "apt.conf").read_text()
    assert f'Dir::State "{home}/state";' in written
    assert f'Dir::Cache "{home}/cache";' in written
    assert 'APT::Architecture "riscv64";' in written


def test_closure_names_what_apt_would_install(tools: Path, tmp_path: Path) -> None:
    """The closure is the list of packages of a simulated installation."""
    assert Debian(tmp_path / "apt").closure(["mysql-server-core"]) == ["libaio1t64", "mysql-server-core"]


def test_version_is_the_candidate(tools: Path, tmp_path: Path) -> None:
    """The version of a package is the one apt would install; a package without one is missing."""
    debian = Debian(tmp_path / "apt")
    (tools / "candidate").write_text("9.7.4-2")
    assert debian.version("mysql-server-core") == "9.7.4-2"
    (tools / "candidate").write_text("(none)")
    with pytest.raises(PartMissing, match="has no package mysql-server-core for riscv64"):
        debian.version("mysql-server-core")


def test_download_counts_as_it_goes(tools: Path, tmp_path: Path) -> None:
    """A download reports how many packages have begun, and returns their files."""
    begun: list[int] = []
    files = Debian(tmp_path / "apt").download(["one", "two"], tmp_path / "debs", progress=begun.append)
    assert begun == [1, 2]
    assert files == [tmp_path / "debs" / "one.deb", tmp_path / "debs" / "two.deb"]
