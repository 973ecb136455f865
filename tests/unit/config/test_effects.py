"""What the list of settings says about their effect is true of the program."""

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


@pytest.mark.parametrize("field", [one.field for one in USED if one.no_effect])
def test_warns_only_of_settings_that_nobody_reads(field: str) -> None:
    """A setting that is said to have no effect is read nowhere; whoever begins to read it takes `no_effect` away."""
    assert not [source for source in _SOURCES if re.search(rf"settings\.{field}\b", source)]
