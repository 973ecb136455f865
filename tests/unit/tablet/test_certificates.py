"""The files of TLS with tablets, read again while vtorc runs."""

import threading
from collections.abc import Iterator
from typing import cast

import grpc
import pytest
from structlog.testing import capture_logs

from vtorc.errors import TabletClientMisconfigured
from vtorc.tablet import certificates
from vtorc.tablet.certificates import Certificates
from vtorc.tablet.settings import TlsFiles


class Files:
    """Files whose contents a test sets; a list element that is an error is raised."""

    wanted = True

    def __init__(self) -> None:
        self.contents: object = "first"
        self.answers = threading.Event()
        self.answers.set()
        self.readings = 0

    def credentials(self) -> grpc.ChannelCredentials:
        self.readings += 1
        self.answers.wait(60)
        if isinstance(self.contents, Exception):
            raise self.contents
        return cast(grpc.ChannelCredentials, self.contents)


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    monkeypatch.setattr(certificates, "FRESH", 0.0)
    made = Files()
    yield made
    made.answers.set()


async def _used(certificates: Certificates) -> object:
    return await certificates.current()


async def test_the_last_good_certificates_are_used_while_the_files_are_no_use(files: Files) -> None:
    """A file that cannot be used is told once, and its return as well; until then the earlier ones stay in use."""
    made = Certificates(cast(TlsFiles, files))
    with capture_logs() as logs:
        files.contents = TabletClientMisconfigured("ca.pem cannot be read: No such file or directory")
        assert [await _used(made) for _ in range(3)] == ["first"] * 3
        files.contents = "renewed"
        assert await _used(made) == "renewed"
    assert [(line["log_level"], line["event"]) for line in logs] == [
        (
            "error",
            "ca.pem cannot be read: No such file or directory; new connections to tablets use the certificates that "
            "were read before",
        ),
        ("info", "the files of TLS with tablets can be read again, and new connections use them"),
    ]


async def test_files_that_stay_silent_hold_up_no_connection(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """One reading is under way at a time, and each connection meanwhile uses what was read last."""
    monkeypatch.setattr(certificates, "PATIENCE", 0.01)
    made = Certificates(cast(TlsFiles, files))
    files.contents = "renewed"
    files.answers.clear()
    assert [await _used(made) for _ in range(3)] == ["first"] * 3
    assert files.readings == 2
    files.answers.set()
    while await _used(made) != "renewed":
        pass
    await made.close()


async def test_without_tls_nothing_is_read() -> None:
    """Without files of TLS there are no credentials."""
    assert await Certificates(TlsFiles()).current() is None
