"""How single values are read and shown."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtorc.config.kinds import DURATION, SWITCH, WORDS, ValueKind, choice, parse_duration, show_duration, whole
from vtorc.config.orchestrator import host_and_port, listen_address
from vtorc.config.topo_kinds import CELLS


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("0s", 0.0),
        ("30s", 30.0),
        ("1m30s", 90.0),
        ("500ms", 0.5),
        ("150ms", 0.15),
        ("1h", 3600.0),
        ("168h0m0s", 604800.0),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("2.s", 2.0),
        ("1us", 1e-6),
        ("1µs", 1e-6),
        ("1ns", 1e-9),
        ("+5s", 5.0),
        ("-5s", -5.0),
        ("1s1h", 3601.0),
    ],
)
def test_reads_go_durations(text: str, seconds: float) -> None:
    """A duration is read as Go reads it."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "s", "5 s", " 5s", "5S", "1d", "5s3", "--5s", "1e3s", "1..5s", "9" * 400 + "h"]
)
def test_refuses_what_is_no_go_duration(text: str) -> None:
    """A duration without unit, with another unit, or out of Go's range is refused."""
    with pytest.raises(ValueError):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (15.0, "15s"),
        (90.0, "1m30s"),
        (3600.0, "1h0m0s"),
        (604800.0, "168h0m0s"),
        (0.15, "150ms"),
        (1.5, "1.5s"),
    ],
)
def test_shows_durations_as_go_prints_them(seconds: float, text: str) -> None:
    """A duration is shown as Go's Duration.String writes it."""
    assert show_duration(seconds) == text


@given(st.integers(min_value=-(2**52), max_value=2**52))
def test_reads_back_every_duration_it_shows(nanoseconds: int) -> None:
    """The shown form of a duration reads back as the same duration."""
    assert parse_duration(show_duration(nanoseconds / 10**9)) == nanoseconds / 10**9


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True"])
def test_reads_go_words_for_true(text: str) -> None:
    """Go's six words for true are read."""
    assert SWITCH.from_text(text) is True


@pytest.mark.parametrize("text", ["0", "f", "F", "FALSE", "false", "False"])
def test_reads_go_words_for_false(text: str) -> None:
    """Go's six words for false are read."""
    assert SWITCH.from_text(text) is False


_REFUSED: list[tuple[ValueKind[Any], object]] = [
    (SWITCH, "true"),
    (SWITCH, 1),
    (whole(0), True),
    (whole(0), 5.0),
    (whole(0), "5"),
    (whole(0), -1),
    (whole(0, 65535), 65536),
    (DURATION, 5),
    (DURATION, "5"),
    (DURATION, "-5s"),
    (WORDS, ["a", 1]),
    (WORDS, {"a": 1}),
    (WORDS, ","),
    (CELLS, ["zone1", " "]),
    (choice("a", "b"), "c"),
    (choice("a", "b"), ""),
    (choice("a", "b"), ["a"]),
    (listen_address(), "3000"),
    (listen_address(), ":http"),
    (listen_address(), 3000),
]


@pytest.mark.parametrize(("kind", "value"), _REFUSED)
def test_refuses_values_of_another_type_in_files(kind: ValueKind[Any], value: object) -> None:
    """A file's value of another type or out of range is refused, not converted."""
    with pytest.raises(ValueError):
        kind.from_file(value)


@pytest.mark.parametrize("text", ["yes", "", "on", "tRUE"])
def test_refuses_other_words_for_switches(text: str) -> None:
    """Only Go's words switch something on or off."""
    with pytest.raises(ValueError):
        SWITCH.from_text(text)


@pytest.mark.parametrize("text", ["", "x", "1.0", "1_000", "0x10", "٣", " 1"])
def test_refuses_other_spellings_of_whole_numbers(text: str) -> None:
    """A whole number is plain decimal digits."""
    with pytest.raises(ValueError):
        whole(0).from_text(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [("", ()), ("ks", ("ks",)), ("ks1,ks2/-80", ("ks1", "ks2/-80")), (" a , b ", ("a", "b")), ("a,,b", ("a", "b"))],
)
def test_reads_lists_with_commas(text: str, words: tuple[str, ...]) -> None:
    """A list's words are separated by commas; spaces around them do not count."""
    assert WORDS.from_text(text) == words


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        (":3000", "", 3000),
        ("10.0.0.1:80", "10.0.0.1", 80),
        ("[::1]:3000", "::1", 3000),
        ("db.example:1", "db.example", 1),
    ],
)
def test_splits_listen_addresses(address: str, host: str, port: int) -> None:
    """A listen address is a host, which may be empty, and a port."""
    assert host_and_port(listen_address().from_file(address)) == (host, port)


@pytest.mark.parametrize("address", ["::1", "fe80::1:3000", "[::1", "::1]:3000", "[::1]", "a:b"])
def test_refuses_listen_addresses_that_are_not_clear(address: str) -> None:
    """An IPv6 address without brackets may end with a port or not, so it is refused."""
    with pytest.raises(ValueError):
        listen_address().from_file(address)
