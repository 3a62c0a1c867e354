"""Hydra composes the same files in almost every test. It does so once here, which saves a tenth of the suite's time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from hydra._internal import defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import IConfigRepository
from hydra._internal.defaults_list import Overrides
from hydra.core.config_store import ConfigNode, ConfigStore
from omegaconf import OmegaConf


@contextlib.contextmanager
def each_configuration_is_composed_once() -> Iterator[None]:
    """Hydra returns copies of what it has made from the same files and options before. Errors are not kept.

    An option of Hydra's store must not be changed in place, only stored again.
    """
    with (
        mock.patch.object(OmegaConf, "load", _load_once(OmegaConf.load)),
        mock.patch.object(defaults_list, "_create_defaults_list", _list_once(defaults_list._create_defaults_list)),
        mock.patch.object(
            ConfigLoaderImpl,
            "_compose_config_from_defaults_list",
            _compose_once(ConfigLoaderImpl._compose_config_from_defaults_list),
        ),
        mock.patch.object(ConfigStore, "__deepcopy__", _with_the_same_options, create=True),
    ):
        yield


def _with_the_same_options(store: ConfigStore, _: dict[int, Any]) -> ConfigStore:
    """A copy of the store, which each composition makes, with the options themselves: nothing changes them."""
    copy = object.__new__(type(store))
    copy.repo = _copy_of_groups(store.repo)
    return copy


def _copy_of_groups(options: dict[str, Any]) -> dict[str, Any]:
    return {name: _copy_of_groups(one) if isinstance(one, dict) else one for name, one in options.items()}


def _load_once(load: Any) -> Any:
    parsed = dict[str, bytes]()

    def load_once(file: Any) -> Any:
        has_read = hasattr(file, "read")
        text = file.read() if has_read else Path(file).read_text(encoding="utf-8")
        if text not in parsed:
            if has_read:
                file.seek(0)
            parsed[text] = pickle.dumps(load(file))
        return pickle.loads(parsed[text])

    return load_once


def _list_once(create: Any) -> Any:
    """The defaults list depends on the files and on the overrides of groups. Creating it changes `overrides`."""
    made = dict[bytes, bytes]()

    def create_once(repo: IConfigRepository, config_name: str, overrides: Overrides, **options: bool) -> Any:
        changed = [name for name in vars(overrides) if name != "config_overrides"]
        before = [vars(overrides)[name] for name in changed]
        key = pickle.dumps((config_name, options, before, _state(repo)))
        if key not in made:
            made[key] = pickle.dumps((create(repo, config_name, overrides, **options), before))
        returned, after = pickle.loads(made[key])
        vars(overrides).update(zip(changed, after, strict=True))
        return returned

    return create_once


def _compose_once(compose: Any) -> Any:
    made = dict[bytes, bytes]()

    def compose_once(self: ConfigLoaderImpl, defaults: list[Any], repo: IConfigRepository) -> Any:
        key = pickle.dumps(([vars(default) for default in defaults], _state(repo)))
        if key not in made:
            made[key] = pickle.dumps(compose(self, defaults, repo))
        return pickle.loads(made[key])

    return compose_once


def _state(repo: IConfigRepository) -> list[Any]:
    """What a configuration is composed from: Hydra's store, the files of each folder, and variables that they name."""
    sources = [(source.provider, source.path, _files(Path(source.path))) for source in repo.get_sources()]
    names_variables = any(b"oc.env" in content for *_, files in sources for _, content in files)
    return [sources, list(_stored(ConfigStore.instance().repo)), sorted(os.environ.items()) if names_variables else []]


def _files(folder: Path) -> list[tuple[str, bytes]]:
    folders = os.walk(folder, followlinks=True) if folder.is_absolute() else ()
    paths = (Path(base, name) for base, _, names in folders for name in names if name.endswith(".yaml"))
    return sorted((str(path), path.read_bytes()) for path in paths)


def _stored(options: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    for name, option in options.items():
        if isinstance(option, dict):
            yield from ((f"{name}/{below}", digest) for below, digest in _stored(option))
        else:
            yield name, _digest(option)


_digests = dict[int, tuple[ConfigNode, bytes]]()


def _digest(option: ConfigNode) -> bytes:
    if id(option) not in _digests:
        content = pickle.dumps((option.node, option.package, option.provider))
        _digests[id(option)] = option, hashlib.sha256(content).digest()  # kept, so that its id stays its own
    return _digests[id(option)][1]
