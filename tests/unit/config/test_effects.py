"""The list of settings is right about which of them have no effect in the program."""

import re
from pathlib import Path

import pytest

import vtorc
from vtorc.config.catalogue import USED

_SOURCES = [
    path.read_text(encoding="utf-8")
    for path in Path(vtorc.__file__).parent.rglob("*.py")
    if "config" not in path.relative_to(Path(vtorc.__file__).parent).parts
]


@pytest.mark.parametrize("field", [one.field for one in USED if one.no_effect or one.always])
def test_warns_only_of_settings_that_are_not_read(field: str) -> None:
    """A setting with `no_effect` is read nowhere; code that begins to read it must remove `no_effect`."""
    assert not [source for source in _SOURCES if re.search(rf"settings\.{field}\b", source)]
