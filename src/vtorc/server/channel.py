"""The bytes between vtorc and its server process: each frame after its length, in four bytes."""

import struct
from collections.abc import Iterator

from vtorc.errors import ChannelError

LONGEST_FRAME = 64 << 20
"""Bytes of the longest frame of vtorc that the server takes."""

LONGEST_REQUEST = 2 << 20
"""Bytes of the longest request of the server that vtorc takes."""

_LENGTH = struct.Struct(">I")

LENGTH_BYTES = _LENGTH.size
"""Bytes of a length."""


def framed(data: bytes) -> bytes:
    """Return a frame with its length before it."""
    return _LENGTH.pack(len(data)) + data


def frame_length(data: bytes) -> int:
    """Return the length that stands before a frame."""
    (length,) = _LENGTH.unpack(data)
    return int(length)


class FrameCutter:
    """Cuts what comes through the channel into frames."""

    def __init__(self, longest: int) -> None:
        """Take frames of at most `longest` bytes."""
        self._longest = longest
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take more bytes, and yield the frames that are complete; raises ChannelError for one that is too long."""
        self._buffer += data
        at = 0
        try:
            while len(self._buffer) - at >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(self._buffer, at)
                if length > self._longest:
                    raise ChannelError(
                        f"the other process sent a frame of {length} bytes, expected at most {self._longest}"
                    )
                end = at + _LENGTH.size + length
                if len(self._buffer) < end:
                    return
                frame = bytes(self._buffer[at + _LENGTH.size : end])
                at = end
                yield frame
        finally:
            del self._buffer[:at]
