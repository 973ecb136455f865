"""TLS of v12's listener, with real certificates and a real server process."""

import asyncio
import base64
import http.client
import json
import os
import signal
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from tests.unit.server.access.certificates import Authority
from tests.unit.server.told import LOST, snapshot
from vtorc.config.http_settings import HttpSettings
from vtorc.errors import ListenerTlsError
from vtorc.forms.frames import ReplyFrame, RequestFrame
from vtorc.server.access.guesses import FREE_FAILURES
from vtorc.server.listener import Listener, bind
from vtorc.server.opening import server_rules
from vtorc.server.supervisor import ServerSupervisor

pytestmark = pytest.mark.usefixtures("quiet")

CANCEL = f"/api/v1/shards/{LOST}/cancel"


@pytest.fixture
def quiet() -> Iterator[None]:
    """Keep the log lines of the test out of the output."""
    with capture_logs():
        yield


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """An authority."""
    return Authority(tmp_path)


async def who_asks(request: RequestFrame) -> ReplyFrame:
    """Answer with the operator of the request."""
    return ReplyFrame(id=request.id, status=202, body=msgspec.Raw(msgspec.json.encode({"actor": request.actor})))


class Running:
    """A server process with both listeners."""

    def __init__(self, supervisor: ServerSupervisor, ports: dict[Listener, int]) -> None:
        self.supervisor = supervisor
        self.ports = ports

    async def ask(
        self, context: ssl.SSLContext | None, path: str, *, listener: Listener = Listener.V12, login: str = ""
    ) -> tuple[int, Any]:
        """Ask for a path, or post to one that acts; returns the status and the JSON."""
        return await asyncio.to_thread(self._ask, context, path, listener, login)

    def _ask(self, context: ssl.SSLContext | None, path: str, listener: Listener, login: str) -> tuple[int, Any]:
        address = ("127.0.0.1", self.ports[listener])
        connection = (
            http.client.HTTPConnection(*address, timeout=30)
            if context is None
            else http.client.HTTPSConnection(*address, timeout=30, context=context)
        )
        headers = {"content-type": "application/json"}
        if login:
            headers["authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
        try:
            if path.endswith("/cancel"):
                connection.request("POST", path, b'{"reason":"x"}', headers)
            else:
                connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[Running]:
    """Run a server process with these settings."""
    bound = [bind(listener, "127.0.0.1", 0) for listener in Listener]
    supervisor = ServerSupervisor(bound, server_rules(HttpSettings(**settings)))
    task = asyncio.create_task(supervisor.run(snapshot, who_asks))
    found = Running(supervisor, {each.listener: each.sock.getsockname()[1] for each in bound})
    try:
        async with asyncio.timeout(60):
            while True:
                if task.done() or await _is_told(found):
                    break
                await asyncio.sleep(0.02)
        assert not task.done(), task.exception()
        yield found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for each in bound:
            each.sock.close()


async def _is_told(found: Running) -> bool:
    try:
        return (await found.ask(None, "/debug/health", listener=Listener.TODAY))[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def tls(authority: Authority, **more: Any) -> dict[str, Any]:
    """Return the settings of a server with a certificate of the authority."""
    cert, key = authority.sign("vtorc")
    return {"use_ssl": True, "ssl_cert_file": str(cert), "ssl_private_key_file": str(key), **more}


def client(authority: Authority, files: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    """Return a client's side of TLS, with a certificate if one is given."""
    context = ssl.create_default_context(cafile=authority.file)
    if files is not None:
        context.load_cert_chain(*files)
    return context


async def test_v12s_listener_speaks_tls_and_todays_does_not(authority: Authority) -> None:
    """A client that trusts the authority is answered, in TLS 1.2 as well as 1.3; one in clear text is not."""
    async with running(**tls(authority)) as server:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = client(authority)
            context.minimum_version = context.maximum_version = version
            assert (await server.ask(context, "/api/v1/status"))[0] == 200
        with pytest.raises((OSError, http.client.HTTPException)):
            await server.ask(None, "/api/v1/status")
        assert (await server.ask(None, "/api/v1/status", listener=Listener.TODAY))[0] == 200


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_versions_before_1_2_are_refused(authority: Authority) -> None:
    """A client that knows TLS 1.1 only gets no connection."""
    async with running(**tls(authority)) as server:
        context = client(authority)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises(OSError):
            await server.ask(context, "/api/v1/status")


async def test_a_client_certificate_is_asked_for(authority: Authority, tmp_path: Path) -> None:
    """Its unit lets a client read and act under its name; probes need none, and foreign ones get no connection."""
    settings = tls(authority, use_mutual_tls=True, ssl_ca_file=str(authority.file), ssl_valid_ous=("dba",))
    others = tmp_path / "others"
    others.mkdir()
    foreign = Authority(others).sign("mallory", "dba")
    async with running(**settings) as server:
        dba = client(authority, authority.sign("alice", "staff", "dba"))
        assert (await server.ask(dba, "/api/clusters"))[0] == 200
        assert await server.ask(dba, CANCEL) == (202, {"actor": "alice"})
        sales = client(authority, authority.sign("bob", "sales"))
        for context in (sales, client(authority)):
            assert (await server.ask(context, "/api/clusters"))[0] == 403
            assert (await server.ask(context, CANCEL))[0] == 403
            assert (await server.ask(context, "/debug/health"))[0] == 200
        with pytest.raises(OSError):
            await server.ask(client(authority, foreign), "/debug/health")


async def test_the_password_is_nowhere_to_be_seen() -> None:
    """Neither it nor its hash is in the command line or the environment of the server, nor in the settings it shows."""
    settings = HttpSettings(authentication_method="basic", http_auth_user="ops", http_auth_password="hunter2")
    async with running(authentication_method="basic", http_auth_user="ops", http_auth_password="hunter2") as server:
        assert await server.ask(None, CANCEL, login="ops:hunter2") == (202, {"actor": "ops"})
        assert (await server.ask(None, CANCEL, login="ops:hunter3"))[0] == 401
        folder = Path(f"/proc/{server.supervisor.pid}")
        given = b"".join((folder / name).read_bytes() for name in ("cmdline", "environ"))
        for listener in Listener:
            status, shown = await server.ask(None, "/api/config", listener=listener, login="ops:hunter2")
            assert status == 200
            assert "hunter2" not in json.dumps(shown)
    assert b"vtorc.server.process" in given
    assert [text for text in (b"hunter2", b"ops", b"salt", b"scrypt", b"password") if text in given] == []
    assert "hunter2" not in repr(settings)


def _renamed(file: Path, to: Path) -> Path:
    return file.rename(to)


async def test_a_certificate_that_is_gone_at_a_restart_is_named_in_one_line(authority: Authority) -> None:
    """A server process that starts anew says which file it lacks, and serves as soon as that is back."""
    settings = tls(authority)
    cert = Path(settings["ssl_cert_file"])
    with capture_logs() as logged:
        async with running(**settings) as server:
            kept = _renamed(cert, cert.with_suffix(".kept"))
            os.kill(server.supervisor.pid or 0, signal.SIGKILL)
            async with asyncio.timeout(300):
                while True:
                    if any("it cannot be read" in line["event"] for line in logged):
                        break
                    await asyncio.sleep(0.02)
                _renamed(kept, cert)
                while True:
                    if await _is_told(server):
                        break
                    await asyncio.sleep(0.02)
            assert (await server.ask(client(authority), "/api/v1/status"))[0] == 200
    said = {line["event"] for line in logged if "says" in line["event"]}
    assert said == {
        f"the HTTP server says: SSLCertFile: {cert}: it cannot be read (No such file or directory); "
        "correct the file or the setting, or start without --use-ssl"
    }


async def test_guesses_are_in_the_log_of_vtorc() -> None:
    """The first pause of an address is told there, without any password."""
    with capture_logs() as logged:
        async with running(authentication_method="basic", http_auth_user="ops", http_auth_password="hunter2") as server:
            for _ in range(FREE_FAILURES + 1):
                await server.ask(None, CANCEL, login="ops:guess")
            async with asyncio.timeout(60):
                while True:
                    if logged:
                        break
                    await asyncio.sleep(0.02)
    (line,) = logged
    assert line["event"].endswith("'127.0.0.1' sent 4 wrong passwords; its next one waits 1 s")


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"ssl_cert_file": "missing.pem"}, "SSLCertFile: missing.pem: it cannot be read"),
        ({"ssl_private_key_file": "missing.pem"}, "SSLPrivateKeyFile: missing.pem: it cannot be read"),
        ({"ssl_cert_file": "empty.pem"}, "SSLCertFile: empty.pem: expected a certificate in PEM there"),
        ({"ssl_private_key_file": "other-key.pem"}, "SSLCertFile: vtorc-cert.pem: expected .* its key in other-key"),
        ({"ssl_private_key_file": "closed-key.pem"}, "SSLPrivateKeyFile: closed-key.pem: expected a key without a"),
        ({"use_mutual_tls": True, "ssl_ca_file": "missing.pem"}, "SSLCAFile: missing.pem: it cannot be read"),
        ({"use_mutual_tls": True, "ssl_ca_file": "empty.pem"}, "SSLCAFile: empty.pem: expected certificates of auth"),
    ],
)
def test_a_file_that_cannot_be_used_ends_the_start(
    changes: dict[str, Any], key: str, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the key of the settings and the file."""
    monkeypatch.chdir(tmp_path)
    authority.sign("vtorc")
    authority.sign("other")
    authority.sign("closed", password=b"x")
    (tmp_path / "empty.pem").touch()
    settings = {"use_ssl": True, "ssl_cert_file": "vtorc-cert.pem", "ssl_private_key_file": "vtorc-key.pem", **changes}
    with pytest.raises(ListenerTlsError, match=key):
        server_rules(HttpSettings(**settings))
