"""Options of a schedule or an optimizer, checked against the signature of its factory."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

from warmup_lab.config.errors import ConfigError, require, unknown_key
from warmup_lab.config.value_types import wrong_type


def bind_options(factory: Callable[..., Any], options: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The keyword arguments for `factory` that `options` describe, converted to their annotated types.

    The signature of the factory is the schema: every parameter with a default is an option. A whole number is accepted
    for a float, and a list for a tuple.

    Args:
        factory: A function with annotated parameters.
        options: Option names and values, as configured.
        where: Prefix of the keys in error messages, such as `optimizer.`.

    Raises:
        ConfigError: an option is unknown or has the wrong type.
    """
    signature = inspect.signature(factory, eval_str=True).parameters.values()
    known = {item.name: item for item in signature if item.default is not inspect.Parameter.empty}
    bound: dict[str, Any] = {}
    for key, value in options.items():
        if key not in known:
            raise ConfigError(unknown_key(f"{where}{key}", known, value))
        bound[key] = _convert(value, known[key].annotation, f"{where}{key}")
    return bound


def _convert(value: Any, annotation: Any, key: str) -> Any:
    """`value` as the annotated type: a plain type, a union, or a tuple of fixed length."""
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is tuple:
        fits = isinstance(value, (list, tuple)) and len(value) == len(arguments)
        require(fits, f"{key}={value}: must be a list of {len(arguments)}")
        return tuple(_convert(item, kind, key) for item, kind in zip(value, arguments, strict=True))
    if value is None and type(None) in arguments:
        return None
    kinds = arguments or (annotation,)
    for kind in kinds:
        if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):  # True is an int to Python
            return value
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    raise ConfigError(wrong_type(key, value, annotation))
