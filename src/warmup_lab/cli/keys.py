"""The keys of the configuration, read from `conf/`: of each section, and of each option of a group."""

from __future__ import annotations

from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from warmup_lab.cli.locations import conf_folder
from warmup_lab.config import GROUPS

_SHARED = {"scheduler": "warmup.yaml"}
"""Group -> file with the keys that all of its options share."""


@cache
def option_values(group: str) -> dict[str, dict[str, Any]]:
    """The keys and values of each option of a group, those that it inherits through its defaults list included."""
    names = sorted(path.stem for path in (conf_folder() / group).glob("*.yaml"))
    shared = _load(_SHARED[group]) if group in _SHARED else {}
    return {name: {**shared, **_inherited(group, name)} for name in names}


def parents(group: str, name: str) -> list[str]:
    """The options in the defaults list of an option, from which it inherits."""
    return [item for item in _load(f"{group}/{name}.yaml").get("defaults", []) if item != "_self_"]


def known_keys(section: str) -> set[str]:
    """The keys of a section of the configuration; `''` is the root. A group has the keys of all its options."""
    if section in GROUPS:
        return set().union(*option_values(section).values())
    root = _load("config.yaml")
    if section:
        return set(root[section]) if isinstance(root.get(section), dict) else set()
    return set(root) - {"defaults", "hydra"} | set(GROUPS) | {"experiment"}


def options_with(group: str, key: str) -> list[str]:
    """The options of a group that have a key."""
    return [name for name, values in option_values(group).items() if key in values]


def keys_named(name: str) -> list[str]:
    """Every key of the configuration whose last part is `name`, that of the root first."""
    root = _load("config.yaml")
    plain = [key for key in root if key not in ("defaults", "hydra") and not isinstance(root[key], dict)]
    sections = [key for key in root if key != "hydra" and isinstance(root[key], dict)]
    found = [name] if name in plain else []
    return found + [f"{section}.{name}" for section in (*GROUPS, *sections) if name in known_keys(section)]


@cache
def _load(path: str) -> dict[str, Any]:
    """A file of `conf/`; interpolations stay as they are written."""
    node = OmegaConf.load(conf_folder() / path)
    assert isinstance(node, DictConfig)
    return OmegaConf.to_container(node)  # type: ignore[return-value]


def _inherited(group: str, name: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for parent in parents(group, name):
        values |= _inherited(group, parent)
    return values | {key: value for key, value in _load(f"{group}/{name}.yaml").items() if key != "defaults"}
