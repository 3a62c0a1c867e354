"""Keys of other programs, and what to type here instead.

The names are those of transformers' Trainer and example scripts, BERT's own scripts, PyTorch Lightning, and short forms
such as `lr`. They are only used in error messages: a foreign key is never accepted.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_RENAMED = {
    "optimizer.lr": "lr learning_rate peak_lr max_lr base_lr peak_learning_rate optimizer.learning_rate",
    "optimizer.weight_decay": "wd optimizer.wd",
    "optimizer.eps": "adam_epsilon adam_eps epsilon optimizer.epsilon",
    "scheduler": "lr_scheduler lr_scheduler_type scheduler_type lr_schedule schedule sched schedule_type",
    "warmup_ratio": "warmup_proportion warmup_fraction pct_start scheduler.warmup_ratio",
    "warmup_steps": "num_warmup_steps warmup_updates warmup_iters warmup_step num_warmup scheduler.warmup_steps",
    "warmup_epochs": "num_warmup_epochs scheduler.warmup_epochs",
    "max_steps": "steps num_steps total_steps max_train_steps num_train_steps num_training_steps max_iters iterations",
    "batch_size": "batch bs batchsize train_batch_size per_device_train_batch_size per_gpu_train_batch_size",
    "grad_accumulation": "gradient_accumulation gradient_accumulation_steps accumulate_grad_batches accumulation_steps",
    "max_grad_norm": "clip grad_clip clip_norm clip_grad_norm gradient_clip_val gradient_clipping",
    "eval_every": "eval_steps eval_interval eval_freq val_check_interval",
    "checkpoint_every": "save_steps checkpoint_interval checkpointing_steps",
    "tracking.log_every": "logging_steps log_interval log_every_n_steps",
    "tracking.project": "wandb_project project_name",
    "tracking.mode": "wandb_mode",
    "task.max_length": "max_seq_length max_seq_len max_len seq_len sequence_length",
    "task.limit": "max_train_samples num_samples",
    "task.name": "dataset_config_name dataset_config",
    "task.label_column": "label labels label_column_name label_key label_name target target_column",
    "task.train_split": "train_split_name",
    "model.num_layers": "num_hidden_layers n_layers",
    "model.num_heads": "num_attention_heads n_heads",
    "model.dropout": "hidden_dropout_prob attention_probs_dropout_prob dropout_rate",
    "model.tokenizer": "tokenizer_name",
    "model.revision": "model_revision",
    "compare.budget_minutes": "budget budget_minutes time_budget max_minutes minutes",
    "compare.metric": "metric_for_best_model",
    "num_threads": "threads n_threads num_cpus cpus",
    "seed": "random_seed",
    "output": "output_dir out_dir outdir save_dir",
}
"""Key -> other names of a key with the same values."""

_NOTES = {
    "do_train do_eval do_predict": "remove it, since every run trains and evaluates",
    "logging_strategy save_strategy": "the intervals are tracking.log_every and checkpoint_every",
    "resume resume_from_checkpoint": "remove it, since the same command resumes an unfinished run",
    "overwrite_output_dir overwrite": "type force=true to train a finished run again",
    "eval_batch_size per_device_eval_batch_size val_batch_size": "remove it, since evaluations choose their batches",
    "save_total_limit": "remove it, since a run keeps one checkpoint, and none once it is finished",
    "load_best_model_at_end": "remove it, since a run ends with its last update",
    "gpus n_gpu num_gpus devices": "a run uses one device, such as device=cuda:1",
    "run_name wandb_name wandb_run_name": "runs get their names from what they train",
    "num_workers dataloader_num_workers dataloader_drop_last dataloader_pin_memory dataloader_persistent_workers "
    "dataloader_prefetch_factor dataloader_multiprocessing_context dataloader_in_order": (
        "remove it, since all data is in memory"
    ),
    "label_smoothing label_smoothing_factor": "remove it, since the loss has no label smoothing",
    "group_by_length length_column_name train_sampling_strategy": "remove it, since batches are drawn at random",
    "data_seed shuffle_seed": "remove it, since seed decides the order of the data",
    "max_eval_samples max_predict_samples": "remove it, since runs are evaluated on all validation examples",
    "test_file": "runs are evaluated on task.validation_file",
    "lr_scheduler_kwargs": "the options of a schedule are keys such as scheduler.num_cycles",
    "optim_args": "the options of an optimizer are keys such as optimizer.eps",
    "greater_is_better": "remove it, since it follows from the metric",
    "early_stopping early_stopping_patience patience": "remove it, since a run ends with its last update",
    "trust_remote_code": "remove it, since remote code is never run",
    "cache_dir overwrite_cache": "the environment variable WARMUP_LAB_CACHE names the folder of the cache",
    "local_rank ddp_backend ddp_timeout ddp_find_unused_parameters ddp_bucket_cap_mb ddp_broadcast_buffers "
    "ddp_static_graph fsdp fsdp_config deepspeed accelerator_config parallelism_config": (
        "remove it, and start a run on several GPUs with accelerate launch (docs/scale.md)"
    ),
}
"""Other names -> what to do; there is no such key here."""

_WITHOUT_COUNTERPART = """
activation_checkpointing activation_checkpointing_kwargs auto_find_batch_size average_tokens_across_devices
batch_eval_metrics bf16_full_eval debug disable_tqdm enable_jit_checkpoint eval_accumulation_steps eval_delay
eval_do_concat_batches eval_on_start eval_use_gather_object fp16_full_eval full_determinism gradient_checkpointing
gradient_checkpointing_kwargs hub_always_push hub_model_id hub_private_repo hub_revision hub_strategy hub_token
ignore_data_skip include_for_metrics include_num_input_tokens_seen label_names liger_kernel_config log_level
log_level_replica log_on_each_node logging_first_step logging_nan_inf_filter neftune_noise_alpha optim_target_modules
pad_to_max_length prediction_loss_only project push_to_hub remove_unused_columns restore_callback_states_from_checkpoint
save_on_each_node save_only_model skip_memory_metrics tf32 torch_compile torch_compile_backend torch_compile_mode
torch_empty_cache_steps trackio_bucket_id trackio_space_id trackio_static_space_id use_cache use_fast_tokenizer
use_liger_kernel
"""
"""Other keys of transformers' Trainer and of its example scripts."""

_FLAGS = ("", "true", "1", "yes", "on")
_LISTED = {other: key for key, others in _RENAMED.items() for other in others.split()}
_NOTED = dict.fromkeys(_WITHOUT_COUNTERPART.split(), "remove it, since there is no such setting here")
_NOTED |= {other: note for others, note in _NOTES.items() for other in others.split()}


def advice(key: str, value: str = "") -> str | None:
    """What to do instead of `key=value`, as the end of a sentence; None if no other program has such a key.

    >>> advice("learning_rate", "1e-3"), advice("warmup", "10%")
    ('type optimizer.lr=1e-3', 'type warmup_ratio=0.1')
    """
    name = key.lower().replace("-", "_")
    if name in _CONVERTED:
        return f"type {_CONVERTED[name](value)}"
    if name in _LISTED:
        full = _LISTED[name]
        return f"type {full}={(share_of_percent(value) if full == 'optimizer.lr' else None) or value}"
    return _NOTED.get(name)


def advice_in_section(key: str, value: str = "") -> str | None:
    """The same for an unknown key of a section: `model.name` is meant as `model_name`, and `task.label` as `label`."""
    return advice(key, value) or advice(key.replace(".", "_"), value)


def foreign_keys() -> set[str]:
    """All names that `advice` knows."""
    return {*_CONVERTED, *_LISTED, *_NOTED}


def share_of_percent(value: str) -> str | None:
    """The number that a percentage is, or each of several; None for anything else.

    >>> share_of_percent("10%"), share_of_percent("0%,2.5 %"), share_of_percent("10percent"), share_of_percent("0.1")
    ('0.1', '0,0.025', '0.1', None)
    """
    percent = r"(\d+\.?\d*|\.\d+) ?(?:%|percent|per cent|pct)"
    items = [re.fullmatch(percent, item.strip(), re.IGNORECASE) for item in value.split(",")]
    return ",".join(f"{float(item[1]) / 100:.12g}" for item in items if item) if all(items) else None


# ------------------------------------------------------------------------------- keys whose values differ here


def _warmup(value: str) -> str:
    share = share_of_percent(value)
    if share is not None:
        return f"warmup_ratio={share}"
    try:
        numbers = [float(item) for item in value.split(",")]
    except ValueError:
        return f"scheduler.warmup={value}" if value else "warmup_ratio=0.1"
    return f"warmup_ratio={value}" if all(number <= 1 for number in numbers) else f"warmup_steps={value}"


def _evaluations(value: str) -> str:
    return "eval_every=null" if value.lower() in ("no", "none") else "eval_every=100 to evaluate every 100 updates"


def _processes(value: str) -> str:
    return f"hydra/launcher=joblib hydra.launcher.n_jobs={value or -1}"


def _epochs(value: str) -> str:
    return f"epochs={re.sub(r'[.]0+(?=,|$)', '', value)}"


def _optimizer(value: str) -> str:
    names = value.lower().replace("-", "").split(",")
    return "optimizer=" + ",".join(name.partition("_")[0] or "adamw" for name in names)


def _betas(position: int) -> Callable[[str], str]:
    def betas(value: str) -> str:
        pair = ["0.9", "0.999"]
        pair[position] = value or pair[position]
        return f"'optimizer.betas=[{','.join(pair)}]'"

    return betas


def _precision(value: str) -> str:
    return "precision=bf16" if value.lower() in (*_FLAGS, "fp16", "bf16", "16") else "precision=fp32"


def _tracking(value: str) -> str:
    return "tracking=wandb" if value.lower() in (*_FLAGS, "wandb", "all", "online") else "tracking=none"


def _files(key: str) -> Callable[[str], str]:
    return lambda value: f"task=files {key}={value}"


def _columns(value: str) -> str:
    return f"'task.text_columns=[{value.strip('[]()')}]'"


def _validation(value: str) -> str:
    """A share, or the name of a split."""
    is_share = re.fullmatch(r"0?[.]\d+", value)
    return f"task.validation_{'share' if is_share else 'split'}={value}"


def _task(value: str) -> str:
    return f"task=hub task.path={value}" if "/" in value else f"task={value.lower()}"


def _seeds(value: str) -> str:
    several = "," in value or not value.isdecimal()
    return f"-m seed={value}" if several and value else f"-m 'seed=range({value or 6})'"


_CONVERTED: dict[str, Callable[[str], str]] = {
    **dict.fromkeys(("warmup", "warmup_length", "scheduler.warmup_length"), _warmup),
    **dict.fromkeys(("warmup_percent", "warmup_pct"), lambda value: _warmup(f"{value.rstrip('%')}%")),
    **dict.fromkeys(("epoch", "num_epochs", "num_train_epochs", "max_epochs", "n_epochs", "train_epochs"), _epochs),
    **dict.fromkeys(("optim", "optimizer_type", "opt", "optimizer_name"), _optimizer),
    **dict.fromkeys(("evaluation_strategy", "eval_strategy"), _evaluations),
    **dict.fromkeys(("n_jobs", "num_jobs", "jobs", "num_processes"), _processes),
    "adam_betas": lambda value: f"'optimizer.betas=[{value.strip('()[]')}]'",
    **dict.fromkeys(("adam_beta1", "beta1", "optimizer.beta1"), _betas(0)),
    **dict.fromkeys(("adam_beta2", "beta2", "optimizer.beta2"), _betas(1)),
    **dict.fromkeys(("fp16", "bf16", "amp", "mixed_precision"), _precision),
    **dict.fromkeys(("wandb", "use_wandb", "report_to", "log_with", "logger"), _tracking),
    **dict.fromkeys(("no_cuda", "use_cpu", "cpu"), lambda _: "device=cpu"),
    **dict.fromkeys(("cuda", "gpu", "use_cuda", "use_gpu"), lambda _: "device=cuda"),
    **dict.fromkeys(
        ("model_name_or_path", "model_name", "pretrained_model_name_or_path", "model_path", "pretrained", "model_id"),
        lambda value: f"model=pretrained model.path={value}",
    ),
    **dict.fromkeys(("task_name", "dataset", "dataset_name"), _task),
    **dict.fromkeys(
        ("train_file", "train_path", "train_data", "data", "data_path", "data_file", "file", "csv", "csv_file"),
        _files("task.train_file"),
    ),
    **dict.fromkeys(("validation_file", "eval_file", "val_file", "dev_file"), _files("task.validation_file")),
    **dict.fromkeys(
        ("text", "text_column", "text_columns", "text_column_name", "text_column_names", "text_key"), _columns
    ),
    **dict.fromkeys(("validation_split", "val_split", "test_size", "validation_split_name"), _validation),
    **dict.fromkeys(("seeds", "num_seeds", "n_seeds"), _seeds),
}
"""Other name -> the overrides that mean the same as a value of it."""
