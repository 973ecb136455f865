"""The JSON forms of all that vtorc tells others: one place for the API, the events, the command line and notifications.

A form is a frozen msgspec struct with names in snake_case. Times are RFC 3339 in UTC, and durations seconds. A field
that is None is not known or does not apply, as its docstring says. The structs also give the schemas of the OpenAPI
description.
"""
