"""TLS between the client and tablets."""

import ipaddress
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.wire.fake_tablet import HOST, PING, FakeTablet, calling, reason_of_failure, running
from vtorc.errors import TabletClientMisconfigured, TabletUnreachable
from vtorc.tablet.client import GrpcTabletManager
from vtorc.tablet.settings import ClientSettings, TlsFiles


@pytest.fixture
async def tablet() -> AsyncIterator[FakeTablet]:
    fake = FakeTablet()
    async with running(fake):
        yield fake


class Authority:
    """A certificate authority for one test; files are PEM."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.file = self._write("ca.pem", self._certificate("ca", self._key, is_ca=True))

    def issue(self, name: str) -> tuple[Path, Path]:
        """Return the files of a new certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return self._write(f"{name}.pem", self._certificate(name, key)), self._write(f"{name}.key", pem)

    def _certificate(self, name: str, key: ec.EllipticCurvePrivateKey, *, is_ca: bool = False) -> bytes:
        now = datetime.now(UTC)
        alternatives = x509.SubjectAlternativeName(
            [x509.DNSName(name), *([] if "." in name else [x509.IPAddress(ipaddress.ip_address(HOST))])]
        )
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(alternatives, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)

    def _write(self, name: str, pem: bytes) -> Path:
        file = self._folder / name
        file.write_bytes(pem)
        return file


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def server_side(authority: Authority, name: str) -> grpc.ServerCredentials:
    """Credentials of a tablet that requires client certificates."""
    cert, key = authority.issue(name)
    return grpc.ssl_server_credentials(
        [(key.read_bytes(), cert.read_bytes())],
        root_certificates=authority.file.read_bytes(),
        require_client_auth=True,
    )


async def test_tls_shows_and_checks_certificates(authority: Authority) -> None:
    """Client and tablet accept each other's certificates of the same authority."""
    cert, key = authority.issue("vtorc")
    tablet = FakeTablet()
    tablet.credentials = server_side(authority, "tablet")
    tablet.answers("Ping", PING)
    tls = TlsFiles(cert=cert, key=key, ca=authority.file)
    async with running(tablet), calling(ClientSettings(tls=tls)) as client:
        await client.ping(tablet.record)


async def test_tls_can_expect_another_name_than_the_hostname(authority: Authority) -> None:
    """The certificate's name is compared with the one in the settings, if there is one."""
    cert, key = authority.issue("vtorc")
    tablet = FakeTablet()
    tablet.credentials = server_side(authority, "tablet.example.com")
    tablet.answers("Ping", PING)
    tls = TlsFiles(cert=cert, key=key, ca=authority.file)
    async with running(tablet):
        async with calling(ClientSettings(tls=replace(tls, server_name="tablet.example.com"))) as client:
            await client.ping(tablet.record)
        async with calling(ClientSettings(tls=tls)) as client:
            assert await reason_of_failure(client, tablet.record) == "unreachable"


async def test_tls_refuses_a_certificate_of_another_authority(authority: Authority, tmp_path: Path) -> None:
    """The reason is in the message, and the next call tries again."""
    folder = tmp_path / "other"
    folder.mkdir()
    cert, key = authority.issue("vtorc")
    tablet = FakeTablet()
    tablet.credentials = server_side(authority, "tablet")
    tls = TlsFiles(cert=cert, key=key, ca=Authority(folder).file)
    async with running(tablet), calling(ClientSettings(tls=tls)) as client:
        for _ in range(2):
            with pytest.raises(TabletUnreachable, match=r"though a process listens.*certificate"):
                await client.ping(tablet.record)


async def test_certificates_that_go_missing_change_nothing(authority: Authority) -> None:
    """A tablet is reached by the files that were read before they went missing."""
    tablet = FakeTablet()
    tablet.credentials = server_side(authority, "tablet")
    tablet.answers("Ping", PING)
    cert, key = authority.issue("vtorc")
    tls = TlsFiles(cert=cert, key=key, ca=authority.file)
    async with running(tablet), calling(ClientSettings(tls=tls)) as client:
        authority.file.unlink()
        await client.ping(tablet.record)


async def test_renewed_certificates_are_used_without_a_restart(authority: Authority, tmp_path: Path) -> None:
    """A new connection uses the authorities that are in the file by then."""
    folder = tmp_path / "renewed"
    folder.mkdir()
    renewed = Authority(folder)
    tablet = FakeTablet()
    tablet.credentials = server_side(renewed, "tablet")
    tablet.answers("Ping", PING)
    cert, key = authority.issue("vtorc")
    tls = TlsFiles(cert=cert, key=key, ca=authority.file)
    async with running(tablet), calling(ClientSettings(tls=tls)) as client:
        new_cert, new_key = renewed.issue("vtorc")
        for file, new in ((authority.file, renewed.file), (cert, new_cert), (key, new_key)):
            file.write_bytes(new.read_bytes())
        await client.ping(tablet.record)


def test_certificates_that_cannot_be_used_are_refused_at_the_start(authority: Authority, tmp_path: Path) -> None:
    """The message names a file that is no certificate, and the files of a key that does not match."""
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")
    cert, _ = authority.issue("vtorc")
    _, key = authority.issue("another")
    with pytest.raises(TabletClientMisconfigured, match=r"junk\.pem: expected certificates in PEM"):
        GrpcTabletManager(ClientSettings(tls=TlsFiles(ca=junk)))
    with pytest.raises(
        TabletClientMisconfigured, match=r"vtorc\.pem, .*another\.key: expected a certificate and its key"
    ):
        GrpcTabletManager(ClientSettings(tls=TlsFiles(cert=cert, key=key)))
