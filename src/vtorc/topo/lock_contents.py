"""The contents of a lock, for operators to read: the JSON that Vitess writes (`go/vt/topo/locks.go`)."""

import datetime
import getpass
import json
import socket
from dataclasses import dataclass

# Go's encoder writes these as escapes, so that JSON can be put into HTML.
_GO_ESCAPES = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})


@dataclass(frozen=True, slots=True)
class Holder:
    """The host and user that the contents of this process' locks name."""

    host: str
    user: str

    @classmethod
    def this_process(cls) -> "Holder":
        """Return the names of this host and of the user that runs this process."""
        try:
            user = getpass.getuser()
        except (KeyError, OSError):  # the user id has no name, which is common in containers
            user = ""
        return cls(socket.gethostname(), user)


def lock_contents(action: str, holder: Holder, *, wall_ns: int) -> bytes:
    """Return the contents of a lock, byte for byte as Vitess 21+ writes them on a host in the time zone UTC."""
    moment = datetime.datetime.fromtimestamp(wall_ns // 10**9, datetime.UTC)
    fields = {
        "Action": action,
        "HostName": holder.host,
        "UserName": holder.user,
        "Time": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "Options": {},
        "Status": "Running",
    }
    return json.dumps(fields, indent=2, ensure_ascii=False).translate(_GO_ESCAPES).encode()


def describe_lock(contents: bytes) -> str:
    """Name in one clause the holder of a lock, since when it holds it and for what; other contents are quoted."""
    try:
        fields = json.loads(contents)
        return f"{fields['UserName']}@{fields['HostName']} since {fields['Time']} for {fields['Action']!r}"
    except (ValueError, KeyError, TypeError, RecursionError):
        text = contents[:200].decode(errors="replace")
        return f"a holder that left the contents {text!r}"
