"""The settings of access over HTTP: those that v12 served to all clients although a file said otherwise are refused."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.config.helpers import loaded, problems
from vtorc.forms.running_settings import setting_forms


def test_a_file_of_v12_names_the_method_and_its_operator(tmp_path: Path) -> None:
    """The keys of v12 are settings with an effect, and the password is shown nowhere."""
    file = {"AuthenticationMethod": "Basic", "HTTPAuthUser": "ops", "HTTPAuthPassword": "hunter2", "ReadOnly": True}
    found = loaded(tmp_path, file=file)
    assert (found.settings.authentication_method, found.settings.http_auth_user) == ("basic", "ops")
    assert found.settings.http_read_only
    assert found.notes == ()
    assert "hunter2" not in f"{found.settings!r} {setting_forms(found.settings, found.sources)}"


def test_an_empty_method_is_none(tmp_path: Path) -> None:
    """v12's empty word means that operators are not known."""
    assert loaded(tmp_path, file={"AuthenticationMethod": ""}).settings.authentication_method == "none"


@pytest.mark.parametrize(
    ("file", "sentences"),
    [
        ({"AuthenticationMethod": "oauth"}, ["(AuthenticationMethod) oauth is not supported", "use basic, or proxy"]),
        ({"AuthenticationMethod": "token"}, ["(AuthenticationMethod) token is not supported", "use basic, or proxy"]),
        ({"AuthenticationMethod": "ldap"}, ['"AuthenticationMethod": expected one of none, basic, multi, proxy']),
        ({"AuthenticationMethod": "basic"}, ["needs the key HTTPAuthUser", "needs the key HTTPAuthPassword"]),
        ({"AuthenticationMethod": "multi", "HTTPAuthPassword": "x"}, ["needs the key HTTPAuthUser"]),
        (
            {"AuthenticationMethod": "basic", "HTTPAuthPassword": "x", "HTTPAuthUser": "a:b"},
            ["--http-auth-user: expected a name without a colon, got 'a:b'"],
        ),
        ({"AuthenticationMethod": "proxy", "AuthUserHeader": ""}, ["needs --auth-user-header"]),
        ({"TrustedProxies": ["10.0.0.1/8"]}, ['key "TrustedProxies": expected addresses or networks']),
        ({"UseSSL": True}, ["(UseSSL) needs --ssl-cert-file (SSLCertFile)", "needs --ssl-private-key-file"]),
        (
            {"UseMutualTLS": True},
            [
                "(UseMutualTLS) needs --use-ssl (UseSSL) too",
                "needs --ssl-ca-file (SSLCAFile) too",
                "needs --ssl-valid-ous (SSLValidOUs) too",
            ],
        ),
        ({"URLPrefix": "/a/../b"}, ['key "URLPrefix": expected a path of letters']),
        ({"URLPrefix": "/a b"}, ['key "URLPrefix": expected a path of letters']),
        ({"StatusEndpoint": "alive"}, ['key "StatusEndpoint": expected a path such as /api/status']),
    ],
)
def test_a_method_that_would_leave_the_port_open_is_refused(
    tmp_path: Path, file: dict[str, Any], sentences: list[str]
) -> None:
    """Each problem names the setting and what is needed."""
    found = problems(tmp_path, file=file)
    assert len(found) == len(sentences) or "use basic" in found[0]
    text = "\n".join(found)
    assert [sentence for sentence in sentences if sentence not in text] == []


@pytest.mark.parametrize("written", ["/orc", "orc", "/orc/", "//orc"])
def test_a_prefix_gets_one_slash_before_it(tmp_path: Path, written: str) -> None:
    """The prefix is written in v12's forms."""
    assert loaded(tmp_path, file={"URLPrefix": written}).settings.url_prefix == "/orc"


def test_a_password_is_no_flag(tmp_path: Path) -> None:
    """All users of the host could read it on the command line."""
    assert any("http-auth-password" in problem for problem in problems(tmp_path, "--http-auth-password=x"))
