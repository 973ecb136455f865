"""The credentials that `vtorc ctl` shows to the server, and the authorities that it trusts."""

import base64
import os
import ssl
from dataclasses import dataclass, field

from vtorc.cli.client.errors import WrongWords

PASSWORD_VARIABLE = "VTORC_PASSWORD"
"""The environment variable with the password, which other users cannot read."""

TOKEN_VARIABLE = "VTORC_TOKEN"
"""The environment variable with the bearer token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The operator, and the files of TLS."""

    user: str = ""
    """The user that the server asks for; empty for none."""
    password: str = field(default="", repr=False)
    """The password of that user."""
    token: str = field(default="", repr=False)
    """The bearer token; empty for none."""
    ca: str = ""
    """A PEM file with the authorities of the server; empty for those of this machine."""
    cert: str = ""
    """A PEM file with the certificate that is shown to the server; empty for none."""
    key: str = ""
    """The file of its key; empty if the key is in the same file."""

    @classmethod
    def of_user(cls, user: str, *, ca: str = "", cert: str = "", key: str = "") -> "Credentials":
        """Return those of a user whose password is in the environment, without a user those of a token there.

        Raises WrongWords.
        """
        if key and not cert:
            raise WrongWords("--key needs --cert, the certificate of that key")
        password = os.environ.get(PASSWORD_VARIABLE, "") if user else ""
        if user and not password:
            raise WrongWords(f"--user {user} needs the password in the environment variable {PASSWORD_VARIABLE}")
        try:
            password.encode()
        except UnicodeEncodeError:
            raise WrongWords(f"the environment variable {PASSWORD_VARIABLE} is no text in UTF-8") from None
        token = os.environ.get(TOKEN_VARIABLE, "").strip() if not user else ""
        if not token.isascii() or not token.isprintable():
            raise WrongWords(f"the environment variable {TOKEN_VARIABLE} has no token: expected the text that was told")
        return cls(user=user, password=password, token=token, ca=ca, cert=cert, key=key)

    def headers(self) -> dict[str, str]:
        """Return the headers that name the operator."""
        if self.token:
            return {"Authorization": f"Bearer {self.token}"}
        if not self.user:
            return {}
        encoded = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"Authorization": f"Basic {encoded}"}

    def tls(self) -> ssl.SSLContext:
        """Return the client's side of TLS; raises WrongWords for a file that cannot be used."""
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
        except OSError as error:
            raise WrongWords(f"--ca {self.ca}: expected certificates in PEM there ({_reason(error)})") from error
        if self.cert:
            try:
                context.load_cert_chain(self.cert, self.key or None)
            except OSError as error:
                raise WrongWords(
                    f"--cert {self.cert}: expected a certificate in PEM there, and its key in "
                    f"{self.key or 'the same file'} ({_reason(error)})"
                ) from error
        return context


def _reason(error: OSError) -> str:
    reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
    return reason or str(error)
