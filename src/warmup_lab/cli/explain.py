"""Errors in plain words: what is wrong and how to mend it, whichever library noticed."""

from __future__ import annotations

import re
from collections.abc import Iterable

from warmup_lab.config import GROUPS, ROOT, ConfigError, suggestion
from warmup_lab.schedules import why_no_schedule


def explain(error: BaseException) -> str | None:
    """One or two plain lines on what is wrong and how to mend it; None where only a traceback would help."""
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
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _unknown_option(missing: str, options: Iterable[str]) -> str:
    group, _, name = missing.rpartition("/")
    reason = why_no_schedule(name) if group == "scheduler" else None
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
    """Keys of a section of the configuration, over all options of its group; '' is the root's."""
    from omegaconf import DictConfig, OmegaConf

    def keys(node: object) -> set[str]:
        return {str(key) for key in node} if isinstance(node, DictConfig) else set()

    if section in GROUPS:
        files = [*(ROOT / "conf" / section).glob("*.yaml"), *([ROOT / "conf/warmup.yaml"] * (section == "scheduler"))]
        return set().union(*(keys(OmegaConf.load(path)) for path in files))
    root = OmegaConf.load(ROOT / "conf" / "config.yaml")
    if section:
        return keys(OmegaConf.select(root, section))
    return keys(root) - {"defaults", "hydra"} | set(GROUPS) | {"experiment"}
