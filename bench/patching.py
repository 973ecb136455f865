"""Replaces right code by wrong code, in this process only."""

import inspect
import sys
from collections.abc import Callable
from typing import Any


class Patch:
    """Replaces functions, methods and properties; `undo` restores them.

    Raises LookupError for a name that does not exist, as a mutant of code that has moved would mutate nothing. Raises
    TypeError for wrong code that cannot be called as the right code is, as it would be caught for breaking.
    """

    def __init__(self) -> None:
        self._before: list[tuple[Any, str, Any]] = []

    def set(self, owner: Any, name: str, new: Any) -> None:
        """Replace one attribute of a class or a module."""
        if name not in vars(owner):
            raise LookupError(f"{owner.__name__} has no {name} of its own any more: bring the mutant up to date")
        right, before = getattr(owner, name), vars(owner)[name]
        setattr(owner, name, new)
        try:
            if callable(right) and not isinstance(right, type):
                _check_parameters(right, getattr(owner, name))
        except TypeError:
            setattr(owner, name, before)
            raise
        self._before.append((owner, name, before))

    def everywhere(self, old: Callable[..., Any], new: Callable[..., Any]) -> None:
        """Replace a function in every module of vtorc that has imported it."""
        for module in list(sys.modules.values()):
            if getattr(module, "__name__", "").startswith("vtorc."):
                for name, value in list(vars(module).items()):
                    if value is old:
                        self.set(module, name, new)

    def undo(self) -> None:
        """Restore everything, the latest first."""
        while self._before:
            owner, name, right = self._before.pop()
            setattr(owner, name, right)


def _check_parameters(right: Callable[..., Any], wrong: Callable[..., Any]) -> None:
    """Raise TypeError unless a caller of the right one can call the wrong one."""
    positional, keywords = list[str](), dict[str, str]()
    for parameter in inspect.signature(right).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            keywords[parameter.name] = parameter.name
        elif parameter.kind is not parameter.VAR_POSITIONAL and parameter.kind is not parameter.VAR_KEYWORD:
            positional.append(parameter.name)
    try:
        inspect.signature(wrong).bind(*positional, **keywords)
    except TypeError as error:
        raise TypeError(
            f"{right.__qualname__} takes other parameters by now ({error}): bring the mutant up to date"
        ) from None
