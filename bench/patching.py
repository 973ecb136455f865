"""Puts wrong code in the place of right code, in this process only."""

import sys
from collections.abc import Callable
from typing import Any


class Patch:
    """Replaces functions, methods and properties; `undo` puts them back.

    Raises LookupError for what is not there: a mutant of code that has moved would mutate nothing.
    """

    def __init__(self) -> None:
        self._before: list[tuple[Any, str, Any]] = []

    def set(self, owner: Any, name: str, new: Any) -> None:
        """Replace one attribute of a class or a module."""
        if name not in vars(owner):
            raise LookupError(f"{owner.__name__} has no {name} of its own any more: bring the mutant up to date")
        self._before.append((owner, name, vars(owner)[name]))
        setattr(owner, name, new)

    def everywhere(self, old: Callable[..., Any], new: Callable[..., Any]) -> None:
        """Replace a function in every module of ours that has imported it."""
        for module in list(sys.modules.values()):
            if getattr(module, "__name__", "").startswith("vtorc."):
                for name, value in list(vars(module).items()):
                    if value is old:
                        self.set(module, name, new)

    def undo(self) -> None:
        """Put everything back, the latest first."""
        while self._before:
            setattr_back = self._before.pop()
            setattr(*setattr_back)
