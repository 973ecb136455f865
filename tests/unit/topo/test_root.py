"""How the keys of a topology's records follow from its root."""

import pytest

from vtorc.topo.root import TopoRoot


@pytest.mark.parametrize(
    ("root", "path", "key"),
    [
        ("/vitess/global", "cells/zone1/CellInfo", "/vitess/global/cells/zone1/CellInfo"),
        ("vitess/global", "cells/zone1/CellInfo", "vitess/global/cells/zone1/CellInfo"),
        ("//vitess//global/", "/cells//zone1/", "/vitess/global/cells/zone1"),
        ("/", "cells", "/cells"),
        ("", "cells", "cells"),
        ("/vitess/global", "", "/vitess/global"),
    ],
)
def test_joins_root_and_path_with_single_slashes(root: str, path: str, key: str) -> None:
    """A key begins with a slash if its root does, and has single slashes between its parts."""
    assert TopoRoot(root).key(path) == key


@pytest.mark.parametrize(
    ("root", "directory", "prefix"),
    [
        ("/vitess/global", "keyspaces", "/vitess/global/keyspaces/"),
        ("/vitess/global", "", "/vitess/global/"),
        ("/", "", "/"),
    ],
)
def test_ends_prefixes_with_one_slash(root: str, directory: str, prefix: str) -> None:
    """The prefix of a directory ends with one slash, so that its neighbour `keyspaces2` is not below it."""
    assert TopoRoot(root).prefix(directory) == prefix


@pytest.mark.parametrize("text", ["/vitess/global", "vitess/global", "/", "/vitess/global/"])
def test_takes_the_root_off_the_keys_it_makes(text: str) -> None:
    """The path of a key is the path from which the key was made."""
    root = TopoRoot(text)
    assert root.path(root.key("tablets/zone1-0000000100/Tablet")) == "tablets/zone1-0000000100/Tablet"
