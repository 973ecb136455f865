"""The words of one command of a scenario."""

from dataclasses import dataclass

from vtorc.sim.errors import SimPlanError


@dataclass(frozen=True, slots=True)
class CommandWords:
    """The words of one command: those that stand alone, and `key=value` ones."""

    line: str
    plain: tuple[str, ...]
    named: dict[str, str]

    @classmethod
    def split(cls, line: str) -> "CommandWords":
        """Split a line."""
        words = line.split()
        named = dict(word.split("=", 1) for word in words[1:] if "=" in word)
        return cls(line, tuple(word for word in words[1:] if "=" not in word), named)

    def number(self, key: str, default: float) -> float:
        """Return the value of a key as a number; raises SimPlanError."""
        text = self.named.get(key, str(default))
        try:
            return float(text)
        except ValueError:
            raise SimPlanError(f"{self.line!r}: {key}={text}: expected a number of seconds") from None

    def only(self, *keys: str, plain: int = 0) -> None:
        """Raise SimPlanError for a key that is not listed, and for more than `plain` words."""
        unknown = [key for key in self.named if key not in keys]
        if unknown or len(self.plain) > plain:
            expected = ", ".join([*(f"{key}=" for key in keys), *([f"up to {plain} words"] if plain else [])])
            word = unknown[0] if unknown else self.plain[plain]
            raise SimPlanError(f"{self.line!r}: unexpected {word!r}; expected {expected or 'nothing more'}")
