"""Texts from outside, such as records and errors of servers, on one line: they can neither break it nor move a cursor.

A character that does not print is blanked where operators read a sentence, and escaped where they need to know it.
"""


def blanked(text: str) -> str:
    """Return a text with a blank in place of each character that does not print."""
    return "".join(char if char.isprintable() else " " for char in text)


def escaped(text: str) -> str:
    r"""Return a text in which each character that does not print is written as Python writes it, such as `\n`."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
