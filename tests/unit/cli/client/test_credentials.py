"""The operator and the files of TLS that `vtorc ctl` is given."""

import json
import ssl
from pathlib import Path

import pytest

from tests.unit.cli.client.fake_server import fake_server, json_reply
from tests.unit.cli.client.samples import status
from tests.unit.cli.client.served import served
from tests.unit.server.access.certificates import Authority
from vtorc.cli import ctl
from vtorc.cli.client.credentials import Credentials
from vtorc.server.access.passwords import hash_password
from vtorc.server.access.rules import AccessRules, Method
from vtorc.server.options import ServerRules

RULES = ServerRules(access=AccessRules(method=Method.BASIC, password=hash_password("ops", "hunter2")))


@pytest.mark.parametrize(
    ("words", "password", "code", "told"),
    [
        (["--user", "ops"], "hunter2", 0, ""),
        (["--user", "ops"], "hunter3", 1, "user or password is wrong"),
        ([], "hunter2", 1, "vtorc ctl takes --user and VTORC_PASSWORD"),
        (["--user", "ops"], "", 2, "--user ops needs the password in the environment variable VTORC_PASSWORD"),
    ],
)
def test_names_its_operator_with_the_password(
    words: list[str],
    password: str,
    code: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The user is a word, and its password comes from the environment."""
    monkeypatch.setenv("VTORC_PASSWORD", password)
    with served([status()], RULES) as vtorc:
        assert ctl.main(["api", "status", "--server", vtorc.address, *words]) == code
    shown = capsys.readouterr()
    assert told in shown.err
    assert "hunter" not in shown.out + shown.err


def test_shows_and_trusts_the_certificates_of_its_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A server that asks for a certificate gets it, and is trusted by the authority that is named."""
    authority = Authority(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(*authority.sign("vtorc"))
    cert, key = authority.sign("alice")
    with fake_server(lambda method, target: json_reply({"a": 1}), tls=context) as server:
        words = ["api", "status", "--server", server.address]
        assert ctl.main([*words, "--ca", str(authority.file), "--cert", str(cert), "--key", str(key)]) == 0
        assert json.loads(capsys.readouterr().out) == {"a": 1}
        assert ctl.main([*words, "--ca", str(authority.file)]) == 2
        assert ctl.main(words) == 2
        assert "--ca names the file of its authority" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--ca", "missing.pem"], "--ca missing.pem: expected certificates in PEM there (No such file or directory)"),
        (["--ca", "empty.pem"], "--ca empty.pem: expected certificates in PEM there ("),
        (["--cert", "missing.pem"], "--cert missing.pem: expected a certificate in PEM there, and its key in the same"),
        (["--cert", "empty.pem", "--key", "k.pem"], "and its key in k.pem"),
        (["--key", "k.pem"], "--key needs --cert"),
    ],
)
def test_names_the_word_of_a_file_that_cannot_be_used(
    words: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The error names the option and the file."""
    monkeypatch.chdir(tmp_path)
    Path("empty.pem").touch()
    assert ctl.main(["status", "--server", "https://127.0.0.1:1", *words]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "password", "told"),
    [
        (["status", "--user", "ops"], "geheim\udcfc", "the environment variable VTORC_PASSWORD is no text in UTF-8"),
        (["topology", "k\udcff/0"], "", "argument 'k\\udcff/0': expected text in UTF-8"),
    ],
)
def test_bytes_that_are_no_text_are_refused(
    words: list[str], password: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A terminal of another encoding gives words that cannot be sent; the error names where, and no password."""
    monkeypatch.setenv("VTORC_PASSWORD", password)
    try:
        code = ctl.main(words)
    except SystemExit as ended:
        code = int(str(ended.code))
    assert code == 2
    err = capsys.readouterr().err
    assert told in err
    assert "geheim" not in err


def test_a_password_is_not_shown() -> None:
    """Not even in the representation that a traceback may show."""
    assert "hunter2" not in repr(Credentials(user="ops", password="hunter2"))
