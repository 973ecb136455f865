"""Certificates for a server and a client of one authority."""

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vtorc.lab.etcd import ServerTls
from vtorc.topo.etcd2 import EtcdTls

_LIFE = datetime.timedelta(days=1)


def make_tls(folder: Path, *, common_name: str = "client") -> ServerTls:
    """Make an authority, a server for 127.0.0.1 and a client of that name, as PEM files in `folder`."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = _builder("authority", "authority", ca_key.public_key())
    ca = ca.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    (folder / "ca.pem").write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    for name in ("server", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        builder = _builder(common_name if name == "client" else name, "authority", key.public_key())
        signed = builder.add_extension(usage, critical=False).add_extension(address, critical=False)
        pem = signed.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        (folder / f"{name}.pem").write_bytes(pem)
        (folder / f"{name}-key.pem").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    client = EtcdTls(cert=f"{folder}/client.pem", key=f"{folder}/client-key.pem", ca=f"{folder}/ca.pem")
    return ServerTls(folder / "server.pem", folder / "server-key.pem", folder / "ca.pem", client)


def _builder(subject: str, issuer: str, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LIFE)
        .not_valid_after(now + _LIFE)
    )
