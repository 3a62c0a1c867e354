"""Classifiers on a pretrained encoder from a local folder or the Hugging Face hub.

Only the encoder is loaded. The classification head is always new, even if the folder has one.
"""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES
from transformers.utils import logging as transformers_logging

from warmup_lab.config import ConfigError, PretrainedModel, require
from warmup_lab.system import initial_weights
from warmup_lab.tasks import check_model, checked_model, hub_snapshot, local_folder

log = logging.getLogger(__name__)

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_MODEL_TYPES = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES.keys() - {"mra", "yoso"}
"""Values of `model_type` with a text classifier. On a GPU, the two left out would download and run code of the hub."""

_MOST_NEW_WEIGHTS = 50_000_000
"""Weights of a head, and of a pooler that the folder lacks."""


def new_classifier(architecture: PreTrainedConfig, **options: Any) -> PreTrainedModel:
    """A classifier of this architecture; torch's default generator draws all its weights."""
    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(  # type: ignore[no-untyped-call]
        architecture, dtype=torch.float32, trust_remote_code=False, **options
    )
    return model


# ------------------------------------------------------------------------------------------------- the folder


def pretrained_folder(config: PretrainedModel) -> Path:
    """The folder with `config.json` and safetensors weights. A hub id is first downloaded to the hub's cache.

    Raises:
        ConfigError: there is no such folder or hub id, a file is missing, or a file names code or files elsewhere.
    """
    folder = local_folder(str(config.path), "model.path")
    if folder is None:
        folder = _download(config)
    elif config.revision is not None:
        raise ConfigError(
            f"model.revision={config.revision} is for hub ids, and model.path={config.path} is a folder: leave it out"
        )
    if not (folder / "config.json").is_file():
        raise ConfigError(f"model.path={config.path}: no config.json in {folder}; save_pretrained writes one")
    if not any((folder / name).is_file() for name in _WEIGHTS):
        raise ConfigError(_no_safetensors(str(config.path), folder))
    check_model(folder, f"model.path={config.path}", _MODEL_TYPES)
    return folder


def _download(config: PretrainedModel) -> Path:
    try:
        return hub_snapshot(str(config.path), config.revision, weights=True)
    except ConfigError as error:
        raise ConfigError(
            f"model.path={config.path}: there is no such folder; {error}.\nConnect to a network and check the id, "
            "or set model.path=<local folder> with config.json, model.safetensors and the tokenizer"
        ) from error


def _no_safetensors(path: str, folder: Path) -> str:
    if not (folder / "pytorch_model.bin").is_file():
        return f"model.path={path}: no model.safetensors in {folder}, and only safetensors weights can be read"
    code = (
        "import torch; from safetensors.torch import save_file; "
        f"weights = torch.load({str(folder / 'pytorch_model.bin')!r}, weights_only=True); "
        "save_file({name: tensor.clone() for name, tensor in weights.items()}, "
        f"{str(folder / 'model.safetensors')!r}, {{'format': 'pt'}})"
    )
    return (
        f"model.path={path} has pickled weights, and only safetensors weights can be read. To convert them: "
        f'python -c "{code}"'
    )


# ---------------------------------------------------------------------------------------------------- loading


def load_pretrained(config: PretrainedModel, labels: dict[str, Any], seed: int) -> PreTrainedModel:
    """The classifier with the folder's encoder; `seed` draws the head, and a pooler that the folder lacks.

    Args:
        config: folder or hub id, and dropout.
        labels: keys of transformers' configuration that describe the classes.
        seed: the run's seed.

    Raises:
        ConfigError: the folder has no text classifier, or its weights do not fit its `config.json`.
    """
    folder, where = pretrained_folder(config), f"model.path={config.path}"
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        with quiet_transformers(), checked_model(folder, where, _MODEL_TYPES) as checked, initial_weights(seed):
            architecture = AutoConfig.from_pretrained(checked, **local, **labels)
            _check_num_weights(architecture, checked, where)
            if config.dropout is not None:
                _set_dropout(architecture, config.dropout)
            model = new_classifier(architecture)
            encoder, report = AutoModel.from_pretrained(
                checked, **local, config=architecture, dtype=torch.float32, use_safetensors=True,
                ignore_mismatched_sizes=True, output_loading_info=True,  # misfits are reported below, in plain words
            )  # fmt: skip
    except ConfigError:
        raise
    except Exception as error:  # what transformers raises for a wrong config.json is neither documented nor stable
        raise ConfigError(f"{where} gives no text classifier: {_one_line(error)}") from error
    left = model.base_model.load_state_dict(encoder.state_dict(), strict=False).missing_keys
    # Encoders are often published without the pooler. It is then new, like the head.
    absent = [key for key in report["missing_keys"] if not key.startswith("pooler.")]
    misfits = sorted([*absent, *(key for key, *_ in report["mismatched_keys"]), *left])
    require(not misfits, f"{where}: the weights do not fit config.json, see {', '.join(misfits[:3])}")
    _log_new_weights(folder, model, report, seed)
    return model


def _check_num_weights(architecture: PreTrainedConfig, folder: Path, where: str) -> None:
    """Raises `ConfigError` for a model far larger than its files: building it could fill the memory."""
    with torch.device("meta"):  # allocates nothing, draws no random numbers
        needed = sum(weights.numel() for weights in new_classifier(architecture).parameters())
    stored = sum(file.stat().st_size for file in folder.glob("*.safetensors"))  # at least 1 byte each
    require(
        needed <= stored + _MOST_NEW_WEIGHTS,
        f"{where}: config.json describes {needed:.2g} weights, but its files have at most {stored:.2g}",
    )


def _log_new_weights(folder: Path, model: PreTrainedModel, report: dict[str, Any], seed: int) -> None:
    prefix = f"{model.base_model_prefix}."
    names = [name for name, _ in model.named_parameters()]
    new = [name for name in names if not name.startswith(prefix) or name.removeprefix(prefix) in report["missing_keys"]]
    unused = sorted({key.split(".")[0] for key in report["unexpected_keys"]})
    ending = f"; not used: {', '.join(unused)}" if unused else ""
    log.info("encoder loaded from %s; new weights, drawn from seed %d: %s%s", folder, seed, ", ".join(new), ending)


def _set_dropout(architecture: PreTrainedConfig, dropout: float) -> None:
    """Sets every dropout of the architecture. Their names differ: `attention_dropout`, `attn_pdrop`, ..."""
    for name in architecture.to_dict():
        if "dropout" in name or name.endswith("pdrop"):
            setattr(architecture, name, dropout)


def check_fit(
    config: PretrainedModel, model: PreTrainedModel, *, vocab_size: int, pad_id: int, max_length: int
) -> None:
    """Raises `ConfigError` if the tokenizer or the longest input does not fit the model."""
    positions, num_tokens = _num_positions(model), len(model.get_input_embeddings().weight)  # type: ignore[arg-type]
    require(
        positions is None or max_length <= positions,
        f"task.max_length={max_length} is longer than the {positions} positions of model.path={config.path}: lower it",
    )
    require(
        vocab_size <= num_tokens,
        f"the tokenizer has {vocab_size} tokens, but model.path={config.path} has embeddings for {num_tokens}",
    )
    if model.config.pad_token_id is None:
        model.config.pad_token_id = pad_id
    require(
        model.config.pad_token_id == pad_id,
        f"the tokenizer pads with token {pad_id}, but model.path={config.path} with {model.config.pad_token_id}",
    )


def _num_positions(model: PreTrainedModel) -> int | None:
    """Tokens of the longest input. RoBERTa and similar models cannot use the positions up to the padding's."""
    for name, table in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(table, nn.Embedding):
            return table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)
    return getattr(model.config, "max_position_embeddings", None)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Hides transformers' progress bar and its table of new and unused weights; our own log line replaces them."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(logging.ERROR)
    hook = transformers_logging.set_tqdm_hook(lambda make, args, options: make(*args, **{**options, "disable": True}))
    try:
        yield
    finally:
        transformers_logging.set_tqdm_hook(hook)
        transformers_logging.set_verbosity(verbosity)


def _one_line(error: Exception) -> str:
    return textwrap.shorten(f"{type(error).__name__}: {error}", 240, placeholder=" ...")
