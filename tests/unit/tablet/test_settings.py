import json
from pathlib import Path

import pytest

from vtorc.errors import TabletClientMisconfigured
from vtorc.tablet.connection import target
from vtorc.tablet.settings import ClientSettings, TlsFiles

FILE = Path("file.pem")


def test_credentials_are_read_as_metadata(tmp_path: Path) -> None:
    """The file is Vitess' own."""
    file = tmp_path / "creds.json"
    file.write_text('{"Username": "vtorc", "Password": "s3cret"}')
    assert ClientSettings(credentials_file=file).read_credentials() == (("username", "vtorc"), ("password", "s3cret"))
    assert ClientSettings().read_credentials() == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        "{}",
        '{"Username": "vtorc"}',
        '{"Username": "vtorc", "Password": 3}',
        '"s3cret"',
        pytest.param("[" * 100_000, id="deep"),
    ],
)
def test_credentials_of_another_form_are_refused_without_showing_them(tmp_path: Path, text: str) -> None:
    """The message names the file and the expected form, never the content."""
    file = tmp_path / "creds.json"
    file.write_text(text)
    with pytest.raises(TabletClientMisconfigured, match=r"creds\.json: expected a JSON object") as caught:
        ClientSettings(credentials_file=file).read_credentials()
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("password", ["pässwörd", "secret\n", "sec\tret", "\x7f"])
def test_credentials_that_cannot_be_sent_are_refused_without_showing_them(tmp_path: Path, password: str) -> None:
    """Headers of gRPC are printable ASCII; the file is named, its text is not."""
    file = tmp_path / "creds.json"
    file.write_text(json.dumps({"Username": "vtorc", "Password": password}))
    with pytest.raises(TabletClientMisconfigured, match=r"creds\.json: .* expected printable ASCII") as caught:
        ClientSettings(credentials_file=file).read_credentials()
    assert password not in str(caught.value)


def test_a_credentials_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The message names the file and the reason."""
    with pytest.raises(TabletClientMisconfigured, match=r"creds\.json cannot be read: No such file"):
        ClientSettings(credentials_file=tmp_path / "creds.json").read_credentials()


@pytest.mark.parametrize(
    ("tls", "wanted"),
    [
        (TlsFiles(), False),
        (TlsFiles(ca=FILE), True),
        (TlsFiles(cert=FILE, key=FILE), True),
        (TlsFiles(cert=FILE), False),
        (TlsFiles(key=FILE), False),
        (TlsFiles(server_name="tablet"), False),
    ],
)
def test_tls_is_used_with_a_certificate_and_its_key_or_an_authority(tls: TlsFiles, wanted: bool) -> None:
    """A certificate without key, or a key without certificate, counts as none, as in Vitess' own programs."""
    assert tls.wanted is wanted


def test_times_become_channel_options_in_milliseconds() -> None:
    """Both keep-alive times and the limits on reconnecting come from the settings."""
    settings = ClientSettings(keepalive_time=12.5, keepalive_timeout=3, connect_timeout=0.25, max_message_size=7)
    options = dict(settings.channel_options())
    assert options["grpc.keepalive_time_ms"] == 12500
    assert options["grpc.keepalive_timeout_ms"] == 3000
    assert options["grpc.min_reconnect_backoff_ms"] == 500
    assert options["grpc.max_receive_message_length"] == 7
    assert options["grpc.max_send_message_length"] == 7
    assert options["grpc.keepalive_permit_without_calls"] == 0


@pytest.mark.parametrize(
    ("tls", "name"),
    [
        (TlsFiles(ca=FILE, server_name="tablet"), "tablet"),
        (TlsFiles(ca=FILE), None),
        (TlsFiles(server_name="tablet"), None),
    ],
)
def test_the_expected_server_name_goes_with_tls(tls: TlsFiles, name: str | None) -> None:
    """Without TLS there is no name to check."""
    assert dict(ClientSettings(tls=tls).channel_options()).get("grpc.ssl_target_name_override") == name


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("tablet.example.com", "dns:///tablet.example.com:15999"),
        ("192.0.2.7", "dns:///192.0.2.7:15999"),
        ("2001:db8::7", "dns:///[2001:db8::7]:15999"),
    ],
)
def test_literal_ipv6_addresses_stand_in_brackets(host: str, expected: str) -> None:
    """Names and other addresses stay as they are."""
    assert target((host, 15999)) == expected
