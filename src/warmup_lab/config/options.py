"""Options of a schedule or an optimizer, checked against the signature of the function that takes them."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

from warmup_lab.config.errors import ConfigError, require, suggestion


def bind_options(factory: Callable[..., Any], options: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`options` checked against the keyword arguments of `factory`, whose signature is their schema.

    Keyword-only parameters with a default are options; a float parameter takes whole numbers too.
    """
    signature = inspect.signature(factory, eval_str=True).parameters.values()
    known = {item.name: item for item in signature if item.default is not inspect.Parameter.empty}
    bound: dict[str, Any] = {}
    for key, value in options.items():
        if key not in known:
            raise ConfigError(f"unknown key {where}{key}{suggestion(key, known)}")
        bound[key] = _convert(value, known[key].annotation, f"{where}{key}")
    return bound


def _convert(value: Any, wanted: Any, key: str) -> Any:
    arguments = typing.get_args(wanted)
    if typing.get_origin(wanted) is tuple:
        good = isinstance(value, (list, tuple)) and len(value) == len(arguments)
        require(good, f"{key}={value}: must be a list of {len(arguments)}")
        return tuple(_convert(item, kind, key) for item, kind in zip(value, arguments, strict=True))
    if value is None and type(None) in arguments:
        return None
    kinds = arguments or (wanted,)
    for kind in kinds:
        if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
            return value
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    names = " or ".join(getattr(kind, "__name__", str(kind)) for kind in kinds)
    raise ConfigError(f"{key}={value}: must be of type {names}")
