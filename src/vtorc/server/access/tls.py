"""TLS of v12's listener."""

import ssl

from vtorc.errors import ListenerTlsError
from vtorc.files import contents_of
from vtorc.server.options import ListenerTls


def tls_context(files: ListenerTls) -> ssl.SSLContext:
    """Return the server's side of TLS 1.2 or newer; raises ListenerTlsError for a file that cannot be used.

    A client need not send a certificate, as probes have none; one that it sends must be of the given authorities.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _read("SSLCertFile", files.cert)
    _read("SSLPrivateKeyFile", files.key)
    try:
        context.load_cert_chain(files.cert, files.key, password=lambda: _no_password(files.key))
    except (ssl.SSLError, ValueError) as error:
        expected = f"expected a certificate in PEM there, and its key in {files.key}"
        raise ListenerTlsError("SSLCertFile", files.cert, f"{expected} ({_reason(error)})") from error
    if files.ca is not None:
        _read("SSLCAFile", files.ca)
        try:
            context.load_verify_locations(files.ca)
        except ssl.SSLError as error:
            raise ListenerTlsError(
                "SSLCAFile", files.ca, f"expected certificates of authorities in PEM ({_reason(error)})"
            ) from error
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _read(key: str, path: str) -> None:
    try:
        contents_of(path)
    except OSError as error:
        raise ListenerTlsError(key, path, f"it cannot be read ({error.strerror})") from error


def _no_password(key: str) -> str:
    raise ListenerTlsError("SSLPrivateKeyFile", key, "expected a key without a password, which vtorc cannot ask for")


def _reason(error: Exception) -> str:
    return (error.reason if isinstance(error, ssl.SSLError) else None) or str(error)
