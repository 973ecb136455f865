"""Frames go through the channel whole, however their bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtorc.errors import ChannelError
from vtorc.server.channel import FrameCutter, framed


@given(st.lists(st.binary(max_size=40)), st.integers(1, 9))
def test_frames_come_out_as_they_went_in(frames: list[bytes], step: int) -> None:
    """Whatever the pieces, each frame comes out once, whole and in order."""
    data = b"".join(map(framed, frames))
    cutter = FrameCutter(40)
    found = [frame for at in range(0, len(data), step) for frame in cutter.feed(data[at : at + step])]
    assert found == frames


def test_a_frame_that_is_too_long_is_refused_by_its_length() -> None:
    """A length above the limit is an error before the bytes have come."""
    cutter = FrameCutter(40)
    with pytest.raises(ChannelError, match="41 bytes, expected at most 40"):
        list(cutter.feed(framed(b"x" * 41)[:4]))
