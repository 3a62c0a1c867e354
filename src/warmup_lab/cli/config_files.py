"""Which keys a configuration file may set. An experiment may be downloaded, so it must not be able to run code.

Hydra makes objects from `_target_`, and log handlers from `hydra.job_logging`. Here a file may choose options and set
the keys of warmup-lab. It may also set the keys of Hydra's sweeper and launcher that `--help` lists.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from hydra._internal.core_plugins import file_config_source, structured_config_source
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from omegaconf import OmegaConf

from warmup_lab.cli.key_docs import hydra_docs
from warmup_lab.cli.locations import conf_folder
from warmup_lab.config import GROUPS, ConfigError, require
from warmup_lab.system import shown_path

_HYDRA_GROUPS = ("hydra/sweeper", "hydra/launcher")
_CHOICES = (*GROUPS, *_HYDRA_GROUPS)
"""Groups whose option an experiment may choose."""
_COMMAND_LINE_ONLY = ("storage", "address", "usage_statistics", "dashboard")
"""Documented keys that a file may not set: a storage can be any database on any server, an address any Ray cluster."""
_OPTION = re.compile(r"_self_|[A-Za-z0-9][\w-]*")
_REFERENCE = re.compile(r"\$\{(\.*[A-Za-z_][\w.\[\]]*)\}")
"""A reference to another key, such as `${optimizer.lr}`."""
_TITLE = re.compile(r"\$\{title:(task|model)\}")
"""The only resolver that a file may use: the name of the task or the model."""
_PARAM = re.compile(r"[A-Za-z_]\w*(\.\w+)*")


def check_experiment(content: Any, where: str) -> None:
    """Raises `ConfigError` if an experiment sets what a file may not set; `where` names the file in the message."""
    content = dict(_mapping(content, where, "the file"))
    for entry in content.pop("defaults", None) or ():
        _check_choice(entry, where)
    _check_hydra(content.pop("hydra", None) or {}, where)
    _check_values(content, where)


def check_option(content: Any, where: str) -> None:
    """The same for an option of one of our groups, such as `scheduler/mine.yaml` in a folder for `--config-dir`."""
    content = dict(_mapping(content, where, "the file"))
    for entry in content.pop("defaults", None) or ():
        require(
            isinstance(entry, str) and bool(_OPTION.fullmatch(entry)),
            f"{where}: defaults has {entry!r}; an option may list only other options of its group",
        )
    _check_values(content, where)


# ------------------------------------------------------------------------------------------------------------ rules


def _mapping(value: Any, where: str, name: str) -> Mapping[Any, Any]:
    require(isinstance(value, Mapping), f"{where}: {name} must be a mapping of keys to values")
    return value  # type: ignore[no-any-return]


def _check_choice(entry: Any, where: str) -> None:
    """An entry of the defaults list: `_self_`, another experiment, or `override /GROUP: OPTION`."""
    group, option = next(iter(entry.items())) if isinstance(entry, dict) and len(entry) == 1 else (None, entry)
    known = group is None or any(group == f"override /{name}" for name in _CHOICES)
    named = (option is None and group is not None) or (isinstance(option, str) and bool(_OPTION.fullmatch(option)))
    require(
        known and named,
        f"{where}: defaults has {entry!r}; a file may name other experiments, and override one option of each of "
        f"{', '.join(f'/{name}' for name in _CHOICES)}",
    )


def _check_hydra(section: Any, where: str) -> None:
    """The section `hydra` of an experiment."""
    for key, values in _mapping(section, where, "hydra").items():
        group = f"hydra/{key}"
        if group not in _HYDRA_GROUPS:
            _refuse_key(f"hydra.{key}", where)
        known = {name for keys in hydra_docs(group).values() for name in keys} - set(_COMMAND_LINE_ONLY)
        for name, value in _mapping(values, where, f"hydra.{key}").items():
            if name not in known:
                _refuse_key(f"hydra.{key}.{name}", where)
            if name == "params":
                _check_params(value or {}, where)
            elif isinstance(value, Mapping | list) or "$" in str(value):
                raise ConfigError(f"{where}: hydra.{key}.{name}={value}: must be a plain value")


def _refuse_key(name: str, where: str) -> None:
    if name.endswith("._target_"):
        raise ConfigError(f"{where} sets {name}: a file may not name code to run")
    raise ConfigError(
        f"{where} sets {name}: a file may not, because it could run code or write elsewhere. Set it on the command line"
    )


def _check_params(params: Any, where: str) -> None:
    """`hydra.sweeper.params`: keys and values become overrides, in Hydra's grammar."""
    for key, value in _mapping(params, where, "hydra.sweeper.params").items():
        shown, name = f"hydra.sweeper.params: {key}", str(key)
        if not _PARAM.fullmatch(name) or name.split(".")[0] == "hydra" or "_target_" in f"{name}{value}":
            raise ConfigError(f"{where}: {shown}: a file may sweep keys of warmup-lab only")
        require("$" not in str(value), f"{where}: {shown}: {value}: a file may not use ${{...}} in a sweep")


def _check_values(content: Any, where: str) -> None:
    for path, value in _leaves(content):
        if path == ("output",):
            _refuse_key("output", where)
        if "_target_" in path:
            raise ConfigError(f"{where} sets {'.'.join(path)}: a file may not name code to run")
        if isinstance(value, str) and "$" in value:
            rest = _TITLE.sub("", value)
            references = _REFERENCE.findall(rest)
            if "$" in _REFERENCE.sub("", rest) or any("hydra" in name.split(".") for name in references):
                raise ConfigError(
                    f"{where}: {'.'.join(path)}: {value}: a file may refer to another key, such as ${{seed}}, but not "
                    "use a resolver such as oc.env"
                )


def _leaves(content: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every plain value and every empty mapping or list, with the keys that lead to it."""
    if content and isinstance(content, Mapping | list):
        for key, value in content.items() if isinstance(content, Mapping) else enumerate(content):
            yield from _leaves(value, (*path, str(key)))
    else:
        yield path, content


# ----------------------------------------------------------------------------------------------- files that Hydra reads


# Both classes need the names of Hydra's own. Hydra asserts the second name. In the worker process of a launcher, it
# registers its own sources again, and refuses if the registered ones have other names.


class FileConfigSource(file_config_source.FileConfigSource):
    """Reads files for Hydra, and refuses those that set what a file may not set. The files of `conf/` are our own."""

    def load_config(self, config_path: str) -> ConfigResult:
        found = super().load_config(config_path)
        path = Path(self.path, self._normalize_file_name(config_path)).resolve()
        if not path.is_relative_to(conf_folder().resolve()):
            package = found.header.get("package")
            group = PurePosixPath(config_path).parts[0]
            _check_file(OmegaConf.to_container(found.config), shown_path(path), group, package)
        return found


def _check_file(content: Any, where: str, group: str, package: str | None) -> None:
    require(
        group in (*GROUPS, "experiment"),
        f"{where}: a folder for --config-dir may hold options of {', '.join(GROUPS)} and experiment",
    )
    require(
        package in (None, "_global_", "_group_", group),
        f"{where}: # @package {package}: must be _global_, or be left out",
    )
    check = check_experiment if group == "experiment" or package == "_global_" else check_option
    check(content, where)


class StructuredConfigSource(structured_config_source.StructuredConfigSource):
    """Reads what is registered from Python: Hydra's and our own options, and the experiments, which are files."""

    def load_config(self, config_path: str) -> ConfigResult:
        found = super().load_config(config_path)
        if PurePosixPath(config_path).parts[0] == "experiment":
            check_experiment(OmegaConf.to_container(found.config), shown_path(Path(found.provider)))
        return found

    def __deepcopy__(self, memo: Any) -> StructuredConfigSource:
        """Without a copy of the store, which Hydra only reads: `--help` loads it 85 times, and took twice as long."""
        return copy.copy(self)


@contextmanager
def checked_config_files() -> Iterator[None]:
    """Inside the block, Hydra checks each file that it reads. Worker processes of a launcher check them too."""
    Plugins.instance()  # registers Hydra's own sources, which must happen before they are replaced
    types = SourcesRegistry.instance().types
    original = dict(types)
    types.update(file=FileConfigSource, structured=StructuredConfigSource)
    try:
        yield
    finally:
        types.update(original)
