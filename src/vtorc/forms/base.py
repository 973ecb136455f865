"""The base of all forms."""

import msgspec


class Form(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A form: its fields are the keys of its JSON object, and do not change."""
