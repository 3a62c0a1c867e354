"""Errors that the user can correct, and the lookups that raise them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


class ConfigError(ValueError):
    """A wrong value, key or combination; the message says the value and how to mend it."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'? Known: ...` for an unknown `name`."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return (f"; did you mean {close[0]!r}?" if close else ".") + f" Known: {', '.join(names)}"


def lookup(registry: Mapping[str, Any], name: str, what: str) -> Any:
    """The registry's entry of that name, in any case of letters."""
    if name.lower() not in registry:
        raise ConfigError(f"unknown {what} {name!r}{suggestion(name.lower(), registry)}")
    return registry[name.lower()]


def require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


def require_positive(value: float | None, key: str) -> None:
    require(value is None or value > 0, f"{key}={value}: must be at least 1")
