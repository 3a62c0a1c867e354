"""Errors that the user can correct, and the checks that raise them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from warmup_lab.config.foreign_keys import advice, advice_in_section, foreign_keys

_MAX_LISTED = 12
"""A longer list of keys is not printed; `--help` has them all."""


class ConfigError(ValueError):
    """A wrong value, key or combination. The message states the value and how to correct it.

    Control characters, which may come from a file, are shown as escapes.
    """

    def __init__(self, message: object = "") -> None:
        visible = (one if one.isprintable() or one == "\n" else ascii(one)[1:-1] for one in str(message))
        super().__init__("".join(visible))


def suggestion(name: str, known: Iterable[str]) -> str:
    """The end of an error message about an unknown `name`: `; did you mean 'x'? Known: x, y`."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return (f"; did you mean {close[0]!r}?" if close else ".") + f" Known: {', '.join(names)}"


def unknown_key(key: str, known: Iterable[str], value: Any = "") -> str:
    """The error message for an unknown `key` of a section with the keys `known`: what to type instead.

    `key` has its section as a prefix, the known keys have not. `value` is what the user gave it.
    """
    names, (_, _, name) = sorted(known), key.rpartition(".")
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    others = [other for other in sorted(foreign_keys()) if len(other) > 5] if name == key else []
    misspelt = difflib.get_close_matches(name, [*others, *close], n=1, cutoff=0.8)
    instead = advice_in_section(key, str(value)) or advice(misspelt[0] if misspelt else name, str(value))
    if instead:
        return f"unknown key {key}; {instead}"
    listed = f"Known: {', '.join(names) or 'none'}" if len(names) <= _MAX_LISTED else "--help lists all keys"
    return f"unknown key {key}" + (f"; did you mean {close[0]!r}?" if close else ".") + f" {listed}"


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


def require_positive(value: float | None, key: str, *, most: int = 1_000_000_000) -> None:
    """Raises `ConfigError` unless the whole number `value` of the key `key` is None, or in 1 .. `most`."""
    require(value is None or value > 0, f"{key}={value}: must be at least 1")
    require(value is None or value <= most, f"{key}={value}: must be at most {most:,}")


def require_seed(value: int, key: str) -> None:
    """Raises `ConfigError` unless `value` is a seed that all libraries take: 0 .. 2**63 - 1."""
    require(value >= 0, f"{key}={value}: must not be negative")
    require(value < 2**63, f"{key}={value}: must be below 2**63, which is {2**63}")
