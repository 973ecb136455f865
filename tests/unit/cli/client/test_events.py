"""Server-sent events as they come over the wire."""

import pytest

from vtorc.cli.client.events import ServerEvent, parse_events


@pytest.mark.parametrize(
    ("lines", "events"),
    [
        pytest.param([b"event: shard\n", b'data: {"a": 1}\n', b"\n"], [("shard", b'{"a": 1}', "")], id="an event"),
        pytest.param([b"data:1\r\n", b"\r\n"], [("message", b"1", "")], id="no name, no space, CRLF"),
        pytest.param([b"data: 1\n", b"data: 2\n", b"\n"], [("message", b"1\n2", "")], id="data of two lines"),
        pytest.param(
            [b"id: 7\n", b"data: 1\n", b"\n", b"data: 2\n", b"\n"],
            [("message", b"1", "7"), ("message", b"2", "7")],
            id="an id holds until the next",
        ),
        pytest.param([b": hello\n", b"\n", b"retry: 5\n", b"event: x\n", b"\n"], [], id="nothing without data"),
        pytest.param([b"data: 1\n"], [], id="cut short"),
    ],
)
def test_reads_events(lines: list[bytes], events: list[tuple[str, bytes, str]]) -> None:
    """Each event that is complete comes out with its name, its data and the last id."""
    assert list(parse_events(lines)) == [ServerEvent(name=name, data=data, id=id_) for name, data, id_ in events]
