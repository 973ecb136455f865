"""Renders the templates of orchestrator's pages: variables and `{{yield}}`, escaped as Go's `html/template` does.

The web files of all versions need no more of Go's template language. The escaping depends on where a variable stands.
So a name out of a topology server can break out of no text, attribute, address or script.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import quote, urlsplit

Values = Mapping[str, str | int | bool | None]

_ACTION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_VARIABLE = re.compile(r"\s*\.(\w+)\s*")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_OPEN_ATTRIBUTE = re.compile(r"""<[^<>]*?\s([\w-]+)\s*=\s*(?:"([^"]*)|'([^']*)|([^\s"'>]*))$""")
_ADDRESSES = frozenset({"href", "src", "action", "formaction", "poster", "data"})
_SAFE_SCHEMES = frozenset({"", "http", "https", "mailto"})

_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;", "+": "&#43;", "\0": "\ufffd"}
_SCRIPT = {
    "\\": "\\\\",
    "/": "\\/",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    **{character: f"\\u{ord(character):04x}" for character in "\"'<>&+`=\0\x0b\x0c\u2028\u2029"},
}


class TemplateError(Exception):
    """A template has a construct that is none of the web files'; the message names file, line and construct."""


def render(name: str, source: str, values: Values, *, inner: str | None = None) -> str:
    """Return a template with its variables filled in, and `inner` in the place of `{{yield}}`, as it is.

    A variable without a value is empty, and comments are left out, as Go does. Raises TemplateError for all else
    between `{{` and `}}`.
    """
    source = _COMMENT.sub("", source)
    parts: list[str] = []
    written = ""
    end = 0
    for action in _ACTION.finditer(source):
        text = source[end : action.start()]
        parts.append(text)
        written += text
        end = action.end()
        if action[1].strip() == "yield" and inner is not None:
            parts.append(inner)
            continue
        variable = _VARIABLE.fullmatch(action[1])
        if variable is None:
            line = source.count("\n", 0, action.start()) + 1
            raise TemplateError(f"{name}, line {line}: {action[0]} is none of {{{{.name}}}} and {{{{yield}}}}")
        parts.append(_escape_for(written)(_text(values.get(variable[1]))))
        written += "x"
    return "".join([*parts, source[end:]])


def _text(value: str | int | bool | None) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _escape_for(before: str) -> Callable[[str], str]:
    """Return how a value is escaped that follows this text."""
    if _is_in_script(before):
        return _in_script
    attribute = _OPEN_ATTRIBUTE.search(before)
    if attribute is not None and attribute[1].lower() in _ADDRESSES:
        return partial(_in_address, attribute[2] or attribute[3] or attribute[4] or "")
    return _in_html


def _is_in_script(before: str) -> bool:
    lowered = before.lower()
    opened = lowered.rfind("<script")
    return opened >= 0 and lowered.find("</script", opened) < 0 and ">" in lowered[opened:]


def _in_html(value: str) -> str:
    return "".join(_HTML.get(character, character) for character in value)


def _in_script(value: str) -> str:
    return "".join(_SCRIPT.get(character, character) for character in value)


def _in_address(before: str, value: str) -> str:
    """Return a value as a part of an address that begins with `before`, where it can make no scheme of its own."""
    try:
        scheme = urlsplit(before + value).scheme.lower()
    except ValueError:
        scheme = "unreadable"
    if scheme not in _SAFE_SCHEMES and not before.startswith(("/", "?", "#")):
        return "#ZgotmplZ"
    return _in_html(quote(value, safe="!#$&*+,/:;=?@[]%-._~"))
