"""The files of a pretrained model or tokenizer: which are read, their digest, and the keys in them that are refused.

Keys of these files lead transformers to other files, to packages and to code on the hub. So transformers never sees the
folder itself, but a temporary one: it holds only files that are part of the digest, without those keys. This module
does not import torch.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from warmup_lab.config import ConfigError, require
from warmup_lab.tasks.hub import local_folder
from warmup_lab.tasks.model_sizes import check_sizes
from warmup_lab.tasks.table_files import unique_keys

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
_SUFFIXES = (".safetensors", ".json", ".txt", ".model")
_SHARD = re.compile(r"[A-Za-z0-9][\w.-]*\.safetensors")
_REFUSED = {
    "quantization_config": "quantized weights cannot be trained",
    "compression_config": "quantized weights cannot be trained",
    "configuration_files": "only config.json is read",
    "transformers_weights": f"only {WEIGHTS} and {INDEX} are read",
    "fusion_config": "layers are never replaced",
    "per_layer_config": "all layers have the same configuration",
}
"""Key of `config.json`, at any depth, that makes transformers load something else -> why it is refused."""
_IMPLEMENTATION = re.compile(r".*(attn|attention|experts)_implementation.*")
_UNUSED = re.compile(r"auto_map|custom_pipelines|_?num_labels|id2label|label2id|chunk_size_feed_forward")
"""Keys of `config.json` that are left out: code, labels, which are those of the task, and a way to save memory."""
_TOKENIZER_KEYS = re.compile(r".*_files?|.*_kwargs|vocab|merges|init_inputs|tokenizer_object|post_processor")
"""Keys of `tokenizer_config.json` that name files or are passed on to other libraries. A saved tokenizer needs none."""
_TOKENS = re.compile(r".*_tokens?")
"""Keys of `special_tokens_map.json`. transformers would take any other argument of a tokenizer from it as well."""


# ----------------------------------------------------------------------------------------------------------- digest

FileStates = tuple[tuple[str, int, int], ...]
"""Path, size and modification time of each file."""


def file_states(paths: Iterable[Path]) -> FileStates:
    """The state of those paths that are files."""
    states = ((path.absolute(), path.stat()) for path in paths if path.is_file())
    return tuple((str(path), state.st_size, state.st_mtime_ns) for path, state in states)


def content_digest(path_or_id: str | Path, revision: str | None = None, *, key: str = "path") -> str:
    """SHA-256 of a file, of a folder's model and tokenizer files (names and contents), or of a hub id and revision.

    `key` is the configuration's key in error messages.

    Raises:
        ConfigError: there is no such file or folder, or the folder has no such file.
    """
    path = Path(path_or_id).expanduser()
    if path.is_file():
        return _files_digest(file_states([path]))
    folder = local_folder(str(path_or_id), key)
    if folder is None:
        return hashlib.sha256(f"hub\0{path_or_id}\0{revision or ''}".encode()).hexdigest()
    kept = _files(folder)
    require(bool(kept), f"{folder} has no model or tokenizer file (safetensors, json, txt)")
    return _files_digest(file_states(kept))


def _files(folder: Path) -> list[Path]:
    """The files of the folder that are part of its digest. Nothing else of a folder is ever read."""
    return [file for file in sorted(folder.iterdir()) if file.suffix in _SUFFIXES]


@cache
def _files_digest(states: FileStates) -> str:
    """Cached, because weights are large and a sweep asks once per cell."""
    digest = hashlib.sha256()
    for path, size, _ in states:
        digest.update(f"{Path(path).name}\0{size}\0".encode())
        with Path(path).open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()


# ------------------------------------------------------------------------------------------------- checked folders


@contextmanager
def checked_model(folder: Path, where: str, model_types: Container[str]) -> Iterator[Path]:
    """A temporary folder with `config.json` and the weights of a model. Raises and arguments: see `check_model`."""
    config, weights = check_model(folder, where, model_types)
    with tempfile.TemporaryDirectory(prefix="warmup-lab-") as checked:
        Path(checked, "config.json").write_text(json.dumps(config), encoding="utf-8")
        for name in weights:
            _link(folder / name, Path(checked, name))
        yield Path(checked)


def check_model(folder: Path, where: str, model_types: Container[str]) -> tuple[dict[str, Any], list[str]]:
    """The content of `config.json` without keys that lead to code, and the names of the files with weights.

    Args:
        folder: the model's folder.
        where: for error messages, such as `model.path=bert`.
        model_types: the values of `model_type` that can be loaded.

    Raises:
        ConfigError: a file names code, or files outside the folder's digest, or a size cannot be built.
    """
    require(
        not (folder / "adapter_config.json").exists(),
        f"{where} holds an adapter (adapter_config.json), which is not applied: merge it into its model and save that",
    )
    config = _without_implementations(_read_object(folder / "config.json", where), where)
    _refuse_keys(config, f"{where}: config.json")
    has_code, name = "auto_map" in config, config.get("model_type")
    if not isinstance(name, str) or name not in model_types:
        reason = "it needs custom code (auto_map), which is never run" if has_code else f"unknown model_type {name!r}"
        raise ConfigError(f"{where} gives no text classifier: {reason}")
    check_sizes(config, where)
    kept = {key: value for key, value in config.items() if not _UNUSED.fullmatch(key)}
    return kept, [WEIGHTS] if (folder / WEIGHTS).is_file() else [INDEX, *_shards(folder, where)]


@contextmanager
def checked_tokenizer(folder: Path, where: str) -> Iterator[Path]:
    """The same for a tokenizer. Keys that name other files are left out, since old tokenizers have many of them."""
    with tempfile.TemporaryDirectory(prefix="warmup-lab-") as checked:
        for file in _files(folder):
            if file.suffix != ".safetensors" and file.name not in ("adapter_config.json", INDEX):
                shutil.copyfile(file, Path(checked, file.name))
        _keep_keys(folder, checked, "tokenizer_config.json", where, lambda key, _: not _TOKENIZER_KEYS.fullmatch(key))
        _keep_keys(folder, checked, "special_tokens_map.json", where, lambda key, _: bool(_TOKENS.fullmatch(key)))
        _keep_keys(folder, checked, "config.json", where, _describes_tokenizer)
        yield Path(checked)


def _keep_keys(folder: Path, checked: str, name: str, where: str, keep: Callable[[str, Any], bool]) -> None:
    """Writes a JSON file of the folder, if there is one, with some of its keys."""
    if (folder / name).is_file():
        values = _read_object(folder / name, where)
        content = json.dumps({key: value for key, value in values.items() if keep(key, value)})
        Path(checked, name).write_text(content, encoding="utf-8")


def _describes_tokenizer(key: str, value: Any) -> bool:
    """Whether a key of `config.json` may describe the tokenizer. A key for a part of the model could name a hub id."""
    is_part = isinstance(value, dict | list) or "backbone" in key
    return not is_part and key not in _REFUSED and not _UNUSED.fullmatch(key) and not _IMPLEMENTATION.fullmatch(key)


def _read_object(path: Path, where: str) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=unique_keys)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: {path.name} is not valid JSON ({error})") from error
    require(isinstance(values, dict), f"{where}: {path.name} must be a JSON object {{...}}")
    return values  # type: ignore[no-any-return]


def _link(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source.resolve())
    except OSError:  # Windows allows links to administrators only
        shutil.copyfile(source, target)


def _refuse_keys(values: Any, where: str, path: str = "") -> None:
    """Refuses the keys in `_REFUSED`, at any depth."""
    entries = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in entries:
        name = f"{path}{key}"
        if key in _REFUSED and value is not None:
            raise ConfigError(f"{where} has {name}, which is refused: {_REFUSED[key]}")
        _refuse_keys(value, where, f"{name}.")


def _without_implementations(values: Any, where: str) -> Any:
    """A configuration without implementations of attention and experts. transformers then chooses them itself.

    Raises `ConfigError` for the name of a kernel on the hub: transformers would download and run it.
    """
    if isinstance(values, list):
        return [_without_implementations(value, where) for value in values]
    if not isinstance(values, dict):
        return values
    for key, value in values.items():
        if _IMPLEMENTATION.fullmatch(key) and "/" in json.dumps(value):
            raise ConfigError(
                f"{where}: config.json has {key}={value}, which names code on the hub. It is never run: remove the key"
            )
    kept = {key: value for key, value in values.items() if not _IMPLEMENTATION.fullmatch(key)}
    return {key: _without_implementations(value, where) for key, value in kept.items()}


def _shards(folder: Path, where: str) -> list[str]:
    """The files that the index of the weights names."""
    weights = _read_object(folder / INDEX, where).get("weight_map")
    if not isinstance(weights, dict) or not weights:
        raise ConfigError(f"{where}: {INDEX} has no weight_map")
    names = sorted(set(map(str, weights.values())))
    for name in names:
        require(
            bool(_SHARD.fullmatch(name)) and not name.startswith("shard-"),
            f"{where}: {INDEX} names {name!r}: only safetensors files in the folder itself are read",
        )
        require((folder / name).is_file(), f"{where}: {INDEX} names {name}, which is not there")
    return names
