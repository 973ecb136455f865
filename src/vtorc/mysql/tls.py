"""TLS of the connections that vtorc holds to each mysqld."""

import ssl
from dataclasses import dataclass

from vtorc.errors import SettingsError
from vtorc.files import try_files


@dataclass(frozen=True, slots=True, kw_only=True)
class MysqlTls:
    """Files of TLS with mysqld, as paths; empty for none."""

    ca: str = ""
    """The authorities that the server's certificate is checked against; empty for those that the host trusts."""
    cert: str = ""
    """The client certificate."""
    key: str = ""
    """The key of that certificate."""
    skip_verify: bool = False
    """Whether any certificate of the server is taken, for any host."""

    def context(self) -> ssl.SSLContext:
        """Read the files; raises SettingsError naming the one that cannot be used."""
        try:
            try_files(self.ca)
            made = ssl.create_default_context(cafile=self.ca or None)
        except OSError as error:  # an SSLError is one
            raise _unusable("ca", self.ca, "a PEM file of certificates", error) from error
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.skip_verify:
            made.check_hostname = False
            made.verify_mode = ssl.CERT_NONE
        if self.cert:
            try:
                try_files(self.cert, self.key)
                made.load_cert_chain(self.cert, self.key)
            except OSError as error:
                what = "a PEM file of a certificate that fits --mysql-topology-ssl-private-key-file"
                raise _unusable("cert", self.cert, what, error) from error
        return made


def _unusable(name: str, path: str, expected: str, error: OSError) -> SettingsError:
    reason = error.strerror or type(error).__name__
    return SettingsError([f"--mysql-topology-ssl-{name}-file: expected {expected}, got {path!r} ({reason})"])
