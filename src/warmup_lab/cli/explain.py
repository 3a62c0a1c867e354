"""Error messages: what is wrong and how to correct it, whichever library raised the error."""

from __future__ import annotations

import re
from collections.abc import Iterable

from omegaconf import DictConfig, OmegaConf

from warmup_lab.cli.locations import conf_folder
from warmup_lab.config import GROUPS, ConfigError, suggestion
from warmup_lab.schedules import unsupported_reason


def explain(error: BaseException) -> str | None:
    """One or two lines on what is wrong and how to correct it; None if only a traceback helps."""
    from hydra.errors import HydraException, MissingConfigException
    from omegaconf.errors import OmegaConfBaseException

    for link in _chain(error):
        if isinstance(link, ConfigError):
            return str(link)
        if isinstance(link, MissingConfigException) and link.missing_cfg_file:
            return _unknown_option(link.missing_cfg_file, link.options or [])
        if isinstance(link, OSError) and link.strerror:
            return f"{link.strerror}: {link.filename}" if link.filename else link.strerror
        unknown = re.match(r"Could not override '([^']+)'", str(link))
        if unknown:
            return _unknown_key(unknown[1])
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        return "\n".join(str(error).strip().splitlines()[:2])
    return None


def _chain(error: BaseException) -> Iterable[BaseException]:
    """The error and the errors that caused it, outermost first."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _unknown_option(missing: str, options: Iterable[str]) -> str:
    group, _, name = missing.rpartition("/")
    reason = unsupported_reason(name) if group == "scheduler" else None
    if reason:
        return reason
    return f"unknown {group or 'configuration'} {name!r}{suggestion(name, options)}"


def _unknown_key(key: str) -> str:
    section, _, name = key.rpartition(".")
    known = known_keys(section)
    if not known:
        return _unknown_key(section)
    return f"unknown key {key}{suggestion(name, known)}"


def known_keys(section: str) -> set[str]:
    """The keys of a section of the configuration; `''` is the root.

    A group has the keys of all its options. Options that inherit through a defaults list need no special care: the
    option that they inherit from is in the same group.
    """
    if section in GROUPS:
        paths = list((conf_folder() / section).glob("*.yaml"))
        if section == "scheduler":
            paths.append(conf_folder() / "warmup.yaml")  # keys that all schedulers share
        return set().union(*(_keys(OmegaConf.load(path)) for path in paths)) - {"defaults"}
    root = OmegaConf.load(conf_folder() / "config.yaml")
    if section:
        return _keys(OmegaConf.select(root, section))
    return _keys(root) - {"defaults", "hydra"} | set(GROUPS) | {"experiment"}


def _keys(node: object) -> set[str]:
    return {str(key) for key in node} if isinstance(node, DictConfig) else set()
