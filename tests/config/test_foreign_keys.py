"""Keys of other programs, and what to type instead."""

from dataclasses import fields

import pytest
from transformers import TrainingArguments

from warmup_lab.config.foreign_keys import advice, foreign_keys, share_of_percent


@pytest.mark.parametrize(
    ("key", "value", "correction"),
    [
        ("lr", "1e-3", "optimizer.lr=1e-3"),
        ("learning-rate", "1e-3,2e-3", "optimizer.lr=1e-3,2e-3"),
        ("warmup", "0.1", "warmup_ratio=0.1"),
        ("warmup", "10%", "warmup_ratio=0.1"),
        ("warmup", "0,0.1,1", "warmup_ratio=0,0.1,1"),
        ("warmup", "50", "warmup_steps=50"),
        ("warmup", "0,50", "warmup_steps=0,50"),
        ("warmup", "cosine", "scheduler.warmup=cosine"),
        ("warmup_percent", "10", "warmup_ratio=0.1"),
        ("num_train_epochs", "3.0", "epochs=3"),
        ("num_train_epochs", "3.5", "epochs=3.5"),
        ("lr_scheduler_type", "cosine", "scheduler=cosine"),
        ("optim", "adamw_torch_fused", "optimizer=adamw"),
        ("optim", "AdamW,SGD", "optimizer=adamw,sgd"),
        ("adam_beta1", "0.8", "'optimizer.betas=[0.8,0.999]'"),
        ("adam_beta2", "0.98", "'optimizer.betas=[0.9,0.98]'"),
        ("adam_betas", "(0.9,0.98)", "'optimizer.betas=[0.9,0.98]'"),
        ("fp16", "true", "precision=bf16"),
        ("bf16", "false", "precision=fp32"),
        ("report_to", "none", "tracking=none"),
        ("report_to", "wandb", "tracking=wandb"),
        ("model_name_or_path", "roberta-base", "model=pretrained model.path=roberta-base"),
        ("train_file", "a.csv", "task=files task.train_file=a.csv"),
        ("dataset", "stanfordnlp/imdb", "task=hub task.path=stanfordnlp/imdb"),
        ("task_name", "SST2", "task=sst2"),
        ("seeds", "0,1", "-m seed=0,1"),
        ("num_seeds", "6", "-m 'seed=range(6)'"),
    ],
)
def test_the_correction_keeps_the_meaning_of_the_value(key, value, correction):
    assert advice(key, value) == f"type {correction}"


def test_a_key_without_counterpart_has_a_note():
    assert advice("do_train", "true") == "remove it, since every run trains and evaluates"
    assert advice("colour") is None


def test_the_names_of_transformers_trainer_are_known():
    """Those that decide how a run trains, evaluates, logs and saves."""
    names = {
        "learning_rate", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "num_train_epochs", "optim",
        "lr_scheduler_type", "per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps",
        "eval_strategy", "eval_steps", "logging_steps", "save_steps", "output_dir", "bf16", "fp16", "report_to",
        "run_name", "metric_for_best_model", "load_best_model_at_end", "do_train", "do_eval",
    }  # fmt: skip
    assert names <= {item.name for item in fields(TrainingArguments)}
    assert names - foreign_keys() == {"weight_decay"}  # a key of `optimizer` here, which messages find by its name


@pytest.mark.parametrize(
    ("value", "share"),
    [
        ("10%", "0.1"),
        ("2.5 %", "0.025"),
        ("0%,100%", "0,1"),
        (".5%", "0.005"),
        ("10", None),
        ("10%,5", None),
        ("", None),
    ],
)
def test_percentages_become_shares(value, share):
    assert share_of_percent(value) == share
