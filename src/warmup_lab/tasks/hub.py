"""Access to the Hugging Face hub, and reading a data set of the hub or of a folder into columns.

The hub's libraries retry an unreachable server for half a minute per file. Here one check per process decides instead.
"""

from __future__ import annotations

import logging
import os
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import Any

import yaml

from warmup_lab.config import ConfigError, HubTask, require
from warmup_lab.system import reachable
from warmup_lab.tasks.table_files import Table

logger = logging.getLogger(__name__)


@contextmanager
def hub_access() -> Iterator[bool]:
    """Makes the hub's libraries use only their caches inside the block if the hub cannot be reached.

    Yields whether the hub can be reached. `HF_HUB_OFFLINE=1` in the environment means that it cannot.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    set_offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    # The libraries read the environment variable only once, when imported. After that they read this constant.
    constants.HF_HUB_OFFLINE = before or set_offline or not reachable(constants.ENDPOINT)
    try:
        yield not constants.HF_HUB_OFFLINE
    finally:
        constants.HF_HUB_OFFLINE = before


def local_folder(path: str, key: str) -> Path | None:
    """The folder `path`, or None if `path` is a hub id; raises `ConfigError` if it is neither."""
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    is_id = re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", path)
    require(bool(is_id), f"{key}={path}: there is no such folder, and a hub id looks like owner/name")
    return None


def hub_snapshot(path: str, revision: str | None, *, weights: bool = False) -> Path:
    """The folder with configuration and tokenizer of a hub id, from the hub's local cache if it cannot be reached.

    Args:
        path: the hub id.
        revision: branch, tag or commit; None is `main`.
        weights: whether safetensors weights are needed too.

    Raises:
        ConfigError: the id cannot be downloaded; the message is the reason.
    """
    from huggingface_hub import snapshot_download

    patterns = ["*.json", "*.txt", "*.model", *(("model.safetensors", "model-*.safetensors") if weights else ())]
    with hub_access() as online:
        try:
            return Path(snapshot_download(path, revision=revision, allow_patterns=patterns, ignore_patterns=["*/*"]))
        except Exception as error:  # the hub's client raises errors of several libraries
            unreachable = "the Hugging Face hub cannot be reached, and its local cache does not have this id"
            shown = textwrap.shorten(f"{type(error).__name__}: {error}", 240, placeholder=" ...")
            reason = f"the Hugging Face hub does not provide it ({shown})" if online else unreachable
            raise ConfigError(reason) from error


def read_splits(config: HubTask, alternative: str) -> tuple[Table, Table, tuple[str, ...] | None]:
    """Columns of the training and the validation split, and the label names if the data set has them.

    `alternative` is for error messages: another way to provide the data.

    Raises:
        ConfigError: the data set or a split cannot be read.
    """
    require(bool(config.path), "task=hub needs task.path=<hub id or folder>")
    train, validation = _load(config, alternative)
    names = getattr(train.features.get(config.label_column), "names", None)  # of a ClassLabel
    return _columns(train, config, "train_split"), _columns(validation, config, "validation_split"), names


def _load(config: HubTask, alternative: str) -> tuple[Any, Any]:
    from datasets import load_dataset

    folder = local_folder(str(config.path), "task.path")
    if folder:
        _refuse_other_files(folder)
    splits = [config.train_split, config.validation_split]
    with hub_access() as online:
        try:
            data = load_dataset(str(folder or config.path), config.name, split=splits, revision=config.revision)
        except Exception as error:  # what the library raises is neither documented nor stable
            what = f"task.path={config.path}" + (f" task.name={config.name}" if config.name else "")
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ConfigError(f"{what}: {_reason(reason, bool(folder), online, alternative)}") from error
    return data[0], data[1]


def _refuse_other_files(folder: Path) -> None:
    """Raises `ConfigError` if the folder describes a data set that is on a server or elsewhere on this computer."""
    from datasets import config
    from huggingface_hub import DatasetCard

    for name in (config.REPOCARD_FILENAME, config.REPOYAML_FILENAME):
        path = folder / name
        if not path.is_file():
            continue
        try:
            is_card = name == config.REPOCARD_FILENAME
            described = DatasetCard.load(path).data.to_dict() if is_card else yaml.safe_load(path.read_text("utf-8"))
        except Exception as error:  # of several libraries
            raise ConfigError(f"{path}: cannot be read: {str(error).strip().splitlines()[0]}") from error
        for file in _strings_at(described, ("data_files", "data_dir")):
            outside = Path(file).is_absolute() or PureWindowsPath(file).drive or ".." in PureWindowsPath(file).parts
            require(
                not outside and ":" not in file and "~" not in file,
                f"{path} names the data {file}: only files of the folder itself are read. Download it into the folder",
            )


def _strings_at(value: Any, keys: Sequence[str], *, below: bool = False) -> Iterator[str]:
    """Every string at or below one of the keys."""
    if isinstance(value, str) and below:
        yield value
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield from _strings_at(entry, keys, below=below or key in keys)
    elif isinstance(value, list):
        for entry in value:
            yield from _strings_at(entry, keys, below=below)


def _reason(reason: str, is_folder: bool, online: bool, alternative: str) -> str:
    if "split" in reason:
        return (
            f"{reason}\nChoose other splits, or parts of one: task.train_split='train[:90%]' "
            "task.validation_split='train[90%:]'"
        )
    if is_folder:
        return f"this folder cannot be read as a data set: {reason}"
    if online:
        return f"the Hugging Face hub does not provide this data set: {reason}\nAs an alternative, {alternative}"
    return (
        "the Hugging Face hub cannot be reached, and its local cache does not have this data set.\n"
        f"Connect to a network to download it, or {alternative}"
    )


def _columns(split: Any, config: HubTask, key: str) -> Table:
    """The columns of texts and of labels, with the names of the labels. Examples with a hidden label are left out."""
    where = f"task.{key}={getattr(config, key)}"
    require(len(split) > 0, f"{where}: this split has no rows")
    features = split.features
    strings = [name for name in features if getattr(features[name], "dtype", "") in ("string", "large_string")]
    wanted = dict.fromkeys([*strings, *(config.text_columns or ()), config.label_column])
    for name in (name for name in wanted if name in features):
        kind = type(features[name]).__name__
        # An image or a sound is a path or a URL, which would be opened.
        require(kind in ("Value", "ClassLabel"), f"{where}: column {name!r} holds {kind}, not texts or labels")
    table: Table = {name: split[name][:] for name in wanted if name in features}
    names = getattr(features.get(config.label_column), "names", None)
    return _with_label_names(table, config.label_column, names, where) if names else table


def _with_label_names(table: Table, label_column: str, names: list[str], where: str) -> Table:
    # GLUE replaces the labels of its test splits by -1, and SNLI the labels that its annotators disagreed on.
    shown = [i for i, label in enumerate(table[label_column]) if label is not None and label >= 0]
    hidden = len(table[label_column]) - len(shown)
    require(bool(shown), f"{where}: the labels of this split are hidden (-1); choose another split")
    if hidden:
        logger.warning("%s: left out %d examples with a hidden label (-1)", where, hidden)
    kept = {name: [values[i] for i in shown] for name, values in table.items()}
    return kept | {label_column: [names[label] for label in kept[label_column]]}
