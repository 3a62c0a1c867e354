"""Errors that the user can correct, and the checks that raise them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


class ConfigError(ValueError):
    """A wrong value, key or combination. The message states the value and how to correct it."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """The end of an error message about an unknown `name`: `; did you mean 'x'? Known: x, y`."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return (f"; did you mean {close[0]!r}?" if close else ".") + f" Known: {', '.join(names)}"


def lookup(registry: Mapping[str, Any], name: str, what: str) -> Any:
    """The registry's entry `name`, case-insensitive; keys of the registry are in lower case.

    Raises:
        ConfigError: the registry has no such entry; the message calls it an unknown `what`.
    """
    if name.lower() not in registry:
        raise ConfigError(f"unknown {what} {name!r}{suggestion(name.lower(), registry)}")
    return registry[name.lower()]


def require(condition: bool, message: str) -> None:
    """Raises `ConfigError(message)` unless `condition` is true."""
    if not condition:
        raise ConfigError(message)


def require_positive(value: float | None, key: str) -> None:
    """Raises `ConfigError` unless the whole number `value` of the configuration key `key` is positive or None."""
    require(value is None or value > 0, f"{key}={value}: must be at least 1")
