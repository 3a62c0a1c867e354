"""Reading the configuration: Hydra's `DictConfig` becomes a `RunConfig` once, and is checked whole.

Below `resolve` nothing knows Hydra. The dataclasses themselves are in `schema`.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import field, fields, is_dataclass, make_dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from warmup_lab.config.errors import ConfigError, lookup, suggestion
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

if TYPE_CHECKING:
    from omegaconf import DictConfig


ROOT = Path(__file__).resolve().parents[3]
"""The checkout: `conf/` and `experiments/` lie in it."""
GROUPS = ("task", "model", "optimizer", "scheduler", "tracking", "probe")
"""Groups of `conf/`."""


# ------------------------------------------------------------------------------------------- reading Hydra's


_Schema = TypeVar("_Schema")


def _typed(schema: type, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`values` converted to the types of the dataclass `schema`; unknown keys and wrong types are refused."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    known = [item.name for item in fields(schema)]
    for key in values:
        if key not in known:
            raise ConfigError(f"unknown key {where}{key}{suggestion(str(key), known)}")
    try:
        container = OmegaConf.to_container(OmegaConf.merge(_structured(schema), dict(values)))
    except OmegaConfBaseException as error:
        _refuse_wrong_type(schema, values, where)
        raise ConfigError(str(error).splitlines()[0]) from error
    return {str(key): value for key, value in container.items() if key in values}  # type: ignore[union-attr]


def _refuse_wrong_type(schema: type, values: Mapping[str, Any], where: str) -> None:
    """Names the value that is to blame."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    for key, value in values.items():
        try:
            OmegaConf.merge(_structured(schema), {key: value})
        except OmegaConfBaseException as error:
            wanted = next(item.type for item in fields(schema) if item.name == key)
            name = getattr(wanted, "__name__", str(wanted))
            raise ConfigError(f"{where}{key}={value}: must be of type {name}") from error


@cache
def _structured(schema: type) -> Any:
    """OmegaConf's form of a dataclass, made once: a sweep reads the configuration several times a cell."""
    from omegaconf import OmegaConf

    return OmegaConf.structured(schema)


def _build(schema: type[_Schema], values: Mapping[str, Any], where: str) -> _Schema:
    section: _Schema = schema(**_typed(schema, values, where))
    return section


def _kind(kinds: Mapping[str, type[_Schema]], values: Mapping[str, Any], section: str) -> _Schema:
    schema: type[_Schema] = lookup(kinds, str(values.get("kind")), f"{section}.kind")
    return _build(schema, values, f"{section}.")


def _optimizer(values: Mapping[str, Any]) -> OptimizerConfig:
    options = {key: value for key, value in values.items() if key not in ("name", "lr")}
    return OptimizerConfig(**_typed(_NamedOptimizer, _only(values, "name", "lr"), "optimizer."), options=options)


_NamedOptimizer = make_dataclass("Optimizer", [("name", str), ("lr", float)])
_SHARED = [item for item in fields(SchedulerConfig) if item.name not in ("name", "options")]
_Warmup = make_dataclass("Warmup", [(item.name, item.type, field(default=item.default)) for item in _SHARED])


def _scheduler(values: Mapping[str, Any]) -> SchedulerConfig:
    shared = [item.name for item in _SHARED]
    named = _typed(_Warmup, _only(values, *shared), "scheduler.")
    if "warmup" in named:
        named["warmup"] = named["warmup"].lower()
    options = {key: value for key, value in values.items() if key != "name" and key not in shared}
    return SchedulerConfig(str(values["name"]).lower(), options, **named)


def _only(values: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: values[key] for key in keys if key in values}


def resolve(config: DictConfig, *, multirun: bool = False) -> RunConfig:
    """The typed configuration of one run; raises `ConfigError` on whatever is wrong with it.

    `multirun` only decides what `num_threads: auto` means: 1, so that all launchers agree bit for bit.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        plain = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        values: dict[str, Any] = OmegaConf.to_container(plain, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    except OmegaConfBaseException as error:
        raise ConfigError(str(error).splitlines()[0]) from error
    sections: dict[str, Any] = {
        "task": _kind(TASK_KINDS, values.pop("task"), "task"),
        "model": _kind(MODEL_KINDS, values.pop("model"), "model"),
        "optimizer": _optimizer(values.pop("optimizer")),
        "scheduler": _scheduler(values.pop("scheduler")),
        "tracking": _build(TrackingConfig, values.pop("tracking"), "tracking."),
        "probe": _build(ProbeConfig, values.pop("probe", {}) or {}, "probe."),
        "compare": _build(CompareConfig, values.pop("compare", {}) or {}, "compare."),
    }
    values.pop("experiment", None)
    if values.get("num_threads") == "auto":
        values["num_threads"] = 1 if multirun else None
    return RunConfig(**sections, **_typed(_root_schema(), values, ""))


@cache
def _root_schema() -> type:
    """The root keys of `RunConfig` without its sections, for the type check."""
    hints = typing.get_type_hints(RunConfig)
    plain = [item for item in fields(RunConfig) if not is_dataclass(hints[item.name])]
    return make_dataclass("RunKeys", [(item.name, hints[item.name], field(default=item.default)) for item in plain])
