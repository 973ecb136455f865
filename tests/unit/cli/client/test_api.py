"""The connection to vtorc: paths, pages, and each way in which an answer may fail to come."""

import socket
import ssl
from pathlib import Path

import pytest

from tests.e2e.topo.certificates import make_tls
from tests.unit.cli.client.fake_server import Reply, fake_server, json_reply, list_reply, problem_reply, stream_reply
from tests.unit.cli.client.samples import recovery
from vtorc.cli.client.address import ServerAddress
from vtorc.cli.client.api import ApiClient, shard_path
from vtorc.cli.client.errors import AnswerNotUnderstood, RequestRefused, ServerUnreachable, WrongWords
from vtorc.forms.fleet import ListForm
from vtorc.forms.recovery import RecoveryForm


def _client(address: str) -> ApiClient:
    return ApiClient(ServerAddress.parse(address))


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("commerce/-80", "shards/commerce/-80"),
        ("a b/x?y", "shards/a%20b/x%3Fy"),
        ("ks/ä#", "shards/ks/%C3%A4%23"),
    ],
)
def test_names_are_encoded_in_paths(name: str, path: str) -> None:
    """The two parts of a name are one segment each, whatever is in them."""
    assert shard_path(name) == path


@pytest.mark.parametrize("name", ["commerce", "/0", "commerce/", "a/b/c", ""])
def test_refuses_what_is_no_shard(name: str) -> None:
    """A name without two parts is refused before vtorc is asked."""
    with pytest.raises(WrongWords, match="expected KEYSPACE/SHARD, for example commerce/-80"):
        shard_path(name)


def test_asks_below_the_prefix() -> None:
    """The prefix of the address stands before the path, and values that are None stay out of the query."""
    with fake_server(lambda method, target: json_reply({})) as server:
        _client(f"{server.address}/orc").get("shards", {"state": "healthy", "q": "a b&c", "cell": None})
    assert server.asked == [("GET", "/orc/api/v1/shards?state=healthy&q=a+b%26c")]


def test_reads_all_pages() -> None:
    """A list is read page by page until one has no cursor."""
    pages = {None: ("a", "x1"), "x1": ("b", "x2"), "x2": ("c", None)}

    def answer(method: str, target: str) -> Reply:
        cursor = target.partition("cursor=")[2] or None
        id_, following = pages[cursor]
        return json_reply({"items": [recovery(id=id_)], "revision": 4, "cursor": following})

    with fake_server(answer) as server:
        found = _client(server.address).items("recoveries", {"shard": "commerce/0"}, ListForm[RecoveryForm])
    assert [one.id for one in found.items] == ["a", "b", "c"]
    assert (found.revision, found.cursor) == (4, None)
    assert all("shard=commerce%2F0" in target for _, target in server.asked)


def test_no_server_is_told_with_what_to_do() -> None:
    """Where nothing listens, the error names the address, the reason, and what to try."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ServerUnreachable) as error:
            _client(address).get("status")
    assert str(error.value) == (
        f"vtorc at {address} does not answer (connection refused): is vtorc running with --listen-address or --port? "
        "name another with --server"
    )


def test_no_socket_is_told_with_its_reason(tmp_path: Path) -> None:
    """A Unix socket that is missing is told like a port that is closed."""
    with pytest.raises(ServerUnreachable, match=r"does not answer \(no such file or directory\)"):
        _client(f"unix:{tmp_path / 'none.sock'}").get("status")


def test_asks_through_a_socket(tmp_path: Path) -> None:
    """A Unix socket is asked like a port."""
    with fake_server(lambda method, target: json_reply({"a": 1}), path=tmp_path / "vtorc.sock") as server:
        assert _client(server.address).get("status").body == b'{"a":1}'


def test_asks_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate has to be trusted: by the machine, or by the file that SSL_CERT_FILE names."""
    files = make_tls(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.cert, files.key)
    with fake_server(lambda method, target: json_reply({"a": 1}), tls=context) as server:
        with pytest.raises(ServerUnreachable, match=r"its certificate is not trusted: .*; --ca names the file"):
            _client(server.address).get("status")
        monkeypatch.setenv("SSL_CERT_FILE", str(files.ca))
        assert _client(server.address).get("status").body == b'{"a":1}'


def test_another_protocol_is_told() -> None:
    """A server that speaks no HTTP is told apart from one that is down."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = ApiClient(ServerAddress.parse(f"127.0.0.1:{listener.getsockname()[1]}"), patience=0.2)
        with pytest.raises(ServerUnreachable, match=r"\(no answer in time\)"):
            client.get("status")


def test_an_answer_that_breaks_off_is_told() -> None:
    """Half an answer is never taken for all of it."""
    with (
        fake_server(lambda method, target: Reply(pieces=[b'{"items"'], is_cut=True)) as server,
        pytest.raises(ServerUnreachable, match="broke off its answer to GET /api/v1/shards"),
    ):
        _client(server.address).get("shards")


def test_a_refusal_has_all_of_its_words() -> None:
    """A problem of vtorc is told as the sentence of its three parts."""
    with (
        fake_server(lambda m, t: problem_reply(409, what="plan p1", why="the shard changed", do="plan anew")) as server,
        pytest.raises(RequestRefused) as refused,
    ):
        _client(server.address).post("plans/p1/execute", {})
    assert str(refused.value) == "plan p1: the shard changed; plan anew"
    assert refused.value.is_refusal


@pytest.mark.parametrize(
    ("status", "is_refusal"),
    [(400, False), (401, True), (403, True), (404, False), (409, True), (429, True), (503, False)],
)
def test_only_rules_refuse(status: int, is_refusal: bool) -> None:
    """A refusal is told apart from words that were wrong, and from a server that cannot answer."""
    with (
        fake_server(lambda method, target: problem_reply(status)) as server,
        pytest.raises(RequestRefused) as refused,
    ):
        _client(server.address).get("status")
    assert refused.value.is_refusal is is_refusal


@pytest.mark.parametrize(
    ("status", "page", "told"),
    [(404, b"<html>", "answers 404 Not Found"), (200, b"<html>", "answers 200 OK"), (200, b'{"a": ', "answers 200 OK")],
)
def test_another_server_is_told(status: int, page: bytes, told: str) -> None:
    """A page of another program is told with its status, and is neither a refusal of vtorc nor an answer."""
    reply = Reply(status=status, content_type="text/html", pieces=[page])
    with (
        fake_server(lambda method, target: reply) as server,
        pytest.raises(AnswerNotUnderstood, match=f"{told} to GET /api/v1/status: expected the API of vtorc"),
    ):
        _client(server.address).get("status")


def test_a_form_of_another_version_is_told() -> None:
    """An answer that lacks what this version needs is told with the field."""
    with (
        fake_server(lambda method, target: list_reply({"id": "a"})) as server,
        pytest.raises(AnswerNotUnderstood, match=r"missing required field `shard`.*use the vtorc ctl of the version"),
    ):
        _client(server.address).items("recoveries", {}, ListForm[RecoveryForm])


def test_a_stream_is_no_answer() -> None:
    """A path that streams is refused where one answer is wanted, instead of waiting for its end."""
    with (
        fake_server(lambda method, target: stream_reply(b"data: 1\n\n")) as server,
        pytest.raises(WrongWords, match="/api/v1/events is a stream of events"),
    ):
        _client(server.address).get("events")


def test_events_come_until_the_stream_ends() -> None:
    """Events are yielded as they come, and the end of the stream is an error, as vtorc ends none."""
    with fake_server(lambda method, target: stream_reply(b"event: shard\ndata: 1\n\n", b"data: 2\n\n")) as server:
        events = _client(server.address).events({"shard": "a/b"})
        assert [next(events).data, next(events).data] == [b"1", b"2"]
        with pytest.raises(ServerUnreachable, match="has ended the stream of events"):
            next(events)
    assert server.asked == [("GET", "/api/v1/events?shard=a%2Fb")]
