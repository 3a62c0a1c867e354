"""Conversion of Hydra's `DictConfig` into a checked `RunConfig`. No other package handles a `DictConfig` of a run."""

from __future__ import annotations

import copy
import typing
from collections.abc import Mapping
from dataclasses import MISSING, field, fields, is_dataclass, make_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from warmup_lab.config.errors import ConfigError, lookup, require, unknown_key
from warmup_lab.config.model_schema import MODEL_KINDS
from warmup_lab.config.schema import (
    CompareConfig,
    OptimizerConfig,
    ProbeConfig,
    RunConfig,
    SchedulerConfig,
    TrackingConfig,
)
from warmup_lab.config.task_schema import TASK_KINDS
from warmup_lab.config.value_types import is_python_none, wrong_type

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from omegaconf.errors import OmegaConfBaseException


GROUPS = ("task", "model", "optimizer", "scheduler", "tracking", "probe")
"""The config groups in `conf/`."""

_Schema = TypeVar("_Schema")


def resolve(config: DictConfig | dict[str, Any], *, multirun: bool = False) -> RunConfig:
    """The typed configuration of one run.

    Args:
        config: The composed configuration, with or without its `hydra` section, or its plain values without it.
        multirun: Whether the run is part of a multirun. It decides only the meaning of `num_threads: auto`: 1 in a
            multirun, so that all launchers agree bit for bit.

    Raises:
        ConfigError: a key is unknown, or a value is missing, of the wrong type or out of range.
    """
    values = config.copy() if isinstance(config, dict) else _plain_values(config)
    sections: dict[str, Any] = {
        "task": _section_of_kind(TASK_KINDS, _keys(values, "task"), "task"),
        "model": _section_of_kind(MODEL_KINDS, _keys(values, "model"), "model"),
        "optimizer": _optimizer(_keys(values, "optimizer")),
        "scheduler": _scheduler(_keys(values, "scheduler")),
        "tracking": _section(TrackingConfig, _keys(values, "tracking"), "tracking"),
        "probe": _section(ProbeConfig, _keys(values, "probe", {}), "probe"),
        "compare": _section(CompareConfig, _keys(values, "compare", {}), "compare"),
    }
    values.pop("experiment", None)
    if values.get("num_threads") == "auto":
        values["num_threads"] = 1 if multirun else None
    return RunConfig(**sections, **_typed(_root_schema(), values, ""))


def _plain_values(config: DictConfig) -> dict[str, Any]:
    """The values of all keys except `hydra`, with interpolations resolved."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    values: dict[str, Any] = OmegaConf.to_container(config)  # type: ignore[assignment]
    values.pop("hydra", None)
    if not has_references(values):  # the usual case, in a fifth of the time
        return values
    try:
        plain = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        return OmegaConf.to_container(plain, resolve=True, throw_on_missing=True)  # type: ignore[return-value]
    except OmegaConfBaseException as error:
        raise ConfigError(_with_key(error)) from error


def has_references(values: Any) -> bool:
    """Whether a text in `values` is an interpolation, or stands for a missing value."""
    if isinstance(values, dict):
        return any(map(has_references, values.values()))
    if isinstance(values, list):
        return any(map(has_references, values))
    return isinstance(values, str) and ("${" in values or values == "???")


def _with_key(error: OmegaConfBaseException) -> str:
    """The first line of OmegaConf's message, with the key that it is about."""
    line, key = str(error).splitlines()[0], str(error.full_key or "")
    return line if key in line else f"{key}: {line}"


def section_schema(section: str, kind: str = "") -> type:
    """The dataclass of a section, whose docstrings explain its keys; `''` is the root.

    `kind` chooses among those of `task` and `model`.
    """
    if not section:
        return RunConfig
    kinds: Mapping[str, Mapping[str, type]] = {"task": TASK_KINDS, "model": MODEL_KINDS}
    schema: type = kinds[section][kind] if section in kinds else typing.get_type_hints(RunConfig)[section]
    return schema


def section_title(section: str, values: Mapping[str, Any]) -> str:
    """The name of the task or the model in the results; `values` are the keys of that section alone.

    Raises:
        ConfigError: the section has no such name, or its values are invalid.
    """
    kinds: Mapping[str, Mapping[str, type]] = {"task": TASK_KINDS, "model": MODEL_KINDS}
    require(section in kinds, f"{section} has no title; only {' and '.join(kinds)} have one")
    return str(_section_of_kind(kinds[section], values, section).title)


# ------------------------------------------------------------------------------------------------------- sections


def _keys(values: dict[str, Any], name: str, default: dict[str, Any] | None = None) -> dict[str, Any]:
    """Removes the section `name` from `values`: its keys. `default` stands for a section that is missing or null."""
    section = values.pop(name, None)
    section = default if section is None else section
    require(section is not None, f"{name} is missing: choose one of its options")
    require(isinstance(section, dict), f"{name}={section}: must be a section of keys, such as {name}.KEY=VALUE")
    return section  # type: ignore[return-value]


def _section(schema: type[_Schema], values: Mapping[str, Any], name: str) -> _Schema:
    section: _Schema = schema(**_typed(schema, values, f"{name}."))
    return section


def _section_of_kind(kinds: Mapping[str, type[_Schema]], values: Mapping[str, Any], name: str) -> _Schema:
    """A section whose dataclass depends on its key `kind`."""
    schema: type[_Schema] = lookup(kinds, str(values.get("kind")), f"{name}.kind")
    return _section(schema, values, name)


# Only the keys that all optimizers, or all schedulers, share are typed here. The others are options, and the signature
# of the factory is their schema.
_SharedOptimizerKeys = make_dataclass("Optimizer", [("name", str), ("lr", float)])
_SHARED_SCHEDULER_FIELDS = [item for item in fields(SchedulerConfig) if item.name not in ("name", "options")]
_SharedSchedulerKeys = make_dataclass(
    "Warmup", [(item.name, item.type, field(default=item.default)) for item in _SHARED_SCHEDULER_FIELDS]
)


def _optimizer(values: Mapping[str, Any]) -> OptimizerConfig:
    shared, options = _split(values, ["name", "lr"])
    return OptimizerConfig(**_typed(_SharedOptimizerKeys, shared, "optimizer."), options=options)


def _scheduler(values: Mapping[str, Any]) -> SchedulerConfig:
    require(bool(values.get("name")), "scheduler.name is missing: type scheduler=warmuplinear or another one")
    name = str(values["name"]).lower()
    shared, options = _split(values, [item.name for item in _SHARED_SCHEDULER_FIELDS])
    typed = _typed(_SharedSchedulerKeys, shared, "scheduler.")
    if "warmup" in typed:
        typed["warmup"] = typed["warmup"].lower()
    return SchedulerConfig(name, {key: value for key, value in options.items() if key != "name"}, **typed)


def _split(values: Mapping[str, Any], keys: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values of `keys`, in that order and as far as they are set, and all other values."""
    chosen = {key: values[key] for key in keys if key in values}
    return chosen, {key: value for key, value in values.items() if key not in chosen}


@cache
def _root_schema() -> type:
    """The root keys of `RunConfig` without its sections, for the type check."""
    hints = typing.get_type_hints(RunConfig)
    plain = [item for item in fields(RunConfig) if not is_dataclass(hints[item.name])]
    return make_dataclass("RunKeys", [(item.name, hints[item.name], field(default=item.default)) for item in plain])


# ----------------------------------------------------------------------------------------------------- type check


_CONVERTED: dict[tuple[type, str, str], Any] = {}
"""Values that were converted before, by schema, key and text: most cells of a sweep have the same values."""


def _typed(schema: type, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`values` converted to the types of the dataclass `schema`. `where` is the prefix of the keys in messages.

    Raises:
        ConfigError: a key is unknown, or a value has the wrong type.
    """
    known = {item.name: item.type for item in fields(schema)}
    for item in fields(schema):
        required = item.default is MISSING and item.default_factory is MISSING
        require(not required or item.name in values, f"{where}{item.name} is missing: give it a value")
    for key, value in values.items():
        if key not in known:
            raise ConfigError(unknown_key(f"{where}{key}", known, value))
        if is_python_none(value, known[key]):
            raise ConfigError(f"{where}{key}={value}: type {where}{key}=null")
    places = {key: (schema, key, repr(value)) for key, value in values.items()}
    new = {key: values[key] for key, place in places.items() if place not in _CONVERTED}
    if new:
        converted = _converted(schema, new, where)
        _CONVERTED.update({places[key]: value for key, value in converted.items()})
    return {key: copy.deepcopy(_CONVERTED[place]) for key, place in places.items()}


def _converted(schema: type, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        container = OmegaConf.to_container(OmegaConf.merge(_structured(schema), dict(values)))
    except OmegaConfBaseException as error:
        _refuse_wrong_type(schema, values, where)
        raise ConfigError(str(error).splitlines()[0]) from error
    return {str(key): value for key, value in container.items() if key in values}  # type: ignore[union-attr]


def _refuse_wrong_type(schema: type, values: Mapping[str, Any], where: str) -> None:
    """Raises an error that names the first value of the wrong type."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    for key, value in values.items():
        try:
            OmegaConf.merge(_structured(schema), {key: value})
        except OmegaConfBaseException as error:
            expected = next(item.type for item in fields(schema) if item.name == key)
            raise ConfigError(wrong_type(f"{where}{key}", value, expected)) from error


@cache
def _structured(schema: type) -> Any:
    """OmegaConf's form of a dataclass, cached because a sweep converts the configuration of each cell several times."""
    from omegaconf import OmegaConf

    return OmegaConf.structured(schema)
