import time

import pytest

from vtorc.topo.lock_contents import Holder, describe_lock, lock_contents

WALL = 1_772_366_400_000_000_000


def test_contents_are_written_as_vitess_does() -> None:
    """The contents are JSON, indented by two, with Vitess' keys in Vitess' order and the time in RFC 3339."""
    contents = lock_contents(
        "VTOrc Recovery for DeadPrimary on zone1-0000000100", Holder("host-7", "vitess"), wall_ns=WALL + 999_999_999
    )
    assert contents == (
        b"{\n"
        b'  "Action": "VTOrc Recovery for DeadPrimary on zone1-0000000100",\n'
        b'  "HostName": "host-7",\n'
        b'  "UserName": "vitess",\n'
        b'  "Time": "2026-03-01T12:00:00Z",\n'
        b'  "Options": {},\n'
        b'  "Status": "Running"\n'
        b"}"
    )


def test_the_time_is_that_of_utc_in_every_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends in Z, so that it is the same moment wherever it is read."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        contents = lock_contents("a", Holder("h", "u"), wall_ns=WALL)
    time.tzset()
    assert b'"Time": "2026-03-01T12:00:00Z"' in contents


def test_special_characters_are_escaped_as_go_does() -> None:
    """Go's encoder escapes the characters of HTML and leaves other letters alone."""
    contents = lock_contents("<a> & ü", Holder("h", "u"), wall_ns=WALL)
    assert '"Action": "\\u003ca\\u003e \\u0026 ü"'.encode() in contents


def test_holder_is_named_in_one_clause() -> None:
    """Contents of Vitess or vtorc are described by user, host, beginning and purpose."""
    contents = lock_contents("PlannedReparentShard", Holder("host-7", "vitess"), wall_ns=WALL)
    assert describe_lock(contents) == "vitess@host-7 since 2026-03-01T12:00:00Z for 'PlannedReparentShard'"


def test_strange_contents_are_shown_as_they_are() -> None:
    """Contents that are not Vitess' JSON are quoted."""
    assert describe_lock(b"\xffmine") == "a holder that left the contents '\ufffdmine'"
    assert describe_lock(b"[1]") == "a holder that left the contents '[1]'"
    assert describe_lock(b"") == "a holder that left the contents ''"
    assert describe_lock(b"[" * 100_000) == f"a holder that left the contents '{'[' * 200}'"


def test_this_process_has_a_name() -> None:
    """The holder of this process has the host's name."""
    assert Holder.this_process().host
