"""What stands in a lock, for people: the JSON that Vitess writes (`go/vt/topo/locks.go`)."""

import datetime
import getpass
import json
import socket
from dataclasses import dataclass

# Go's encoder writes these as escapes, so that JSON can be put into HTML.
_GO_ESCAPES = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})


@dataclass(frozen=True, slots=True)
class Holder:
    """Who takes locks: the names that stand in them."""

    host: str
    user: str

    @classmethod
    def this_process(cls) -> "Holder":
        """Ask the system for the names of this host and of the user that runs this process."""
        try:
            user = getpass.getuser()
        except (KeyError, OSError):  # the user id has no name, as in many containers
            user = ""
        return cls(socket.gethostname(), user)


def lock_contents(action: str, holder: Holder, *, wall_ns: int) -> bytes:
    """Write the contents of a lock, byte for byte as Vitess 21+ on a host whose time zone is UTC does."""
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
    """Say in one clause who holds a lock, for what and since when; contents of any kind are shown as they are."""
    try:
        fields = json.loads(contents)
        return f"{fields['UserName']}@{fields['HostName']} since {fields['Time']} for {fields['Action']!r}"
    except (ValueError, KeyError, TypeError):
        text = contents[:200].decode(errors="replace")
        return f"somebody who left the note {text!r}"
