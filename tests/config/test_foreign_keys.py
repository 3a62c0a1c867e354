"""Keys of other programs, and what to type instead."""

from dataclasses import fields

import pytest
from transformers import TrainingArguments

from warmup_lab.cli.keys import known_keys
from warmup_lab.config.foreign_keys import advice, advice_in_section, foreign_keys, share_of_percent
from warmup_lab.config.parse import GROUPS


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
        ("label", "kind", "task.label_column=kind"),
        ("text_column", "review", "'task.text_columns=[review]'"),
        ("text_columns", "[title,body]", "'task.text_columns=[title,body]'"),
        ("validation_split", "0.2", "task.validation_share=0.2"),
        ("validation_split", "test", "task.validation_split=test"),
        ("seeds", "0,1", "-m seed=0,1"),
        ("num_seeds", "6", "-m 'seed=range(6)'"),
    ],
)
def test_the_correction_keeps_the_meaning_of_the_value(key, value, correction):
    assert advice(key, value) == f"type {correction}"


def test_a_key_without_counterpart_has_a_note():
    assert advice("do_train", "true") == "remove it, since every run trains and evaluates"
    assert advice("colour") is None


@pytest.mark.parametrize(
    ("key", "correction"),
    [
        ("model.name", "model=pretrained model.path=x"),
        ("model.name_or_path", "model=pretrained model.path=x"),
        ("task.name", "task=x"),
        ("optimizer.learning_rate", "optimizer.lr=x"),
    ],
)
def test_a_key_in_a_section_is_read_as_one_name(key, correction):
    assert advice_in_section(key, "x") == f"type {correction}"


def test_a_name_that_is_no_key_of_a_section_has_no_correction():
    assert advice_in_section("model.colour", "x") is None


def test_every_argument_of_transformers_trainer_is_known():
    """Those that are left are keys here, with the same name and meaning."""
    names = {item.name for item in fields(TrainingArguments)}
    same = {"seed", "max_steps", "max_grad_norm", "warmup_steps", "weight_decay"}
    assert names - foreign_keys() == same
    assert same <= known_keys("") | known_keys("optimizer")


def test_the_arguments_of_run_glue_are_known():
    """The data and model arguments of transformers' examples/pytorch/text-classification/run_glue.py and of
    run_classification.py, apart from those that are for regression or prediction."""
    names = {
        "task_name", "dataset_name", "dataset_config_name", "max_seq_length", "overwrite_cache", "pad_to_max_length",
        "max_train_samples", "max_eval_samples", "max_predict_samples", "train_file", "validation_file", "test_file",
        "text_column_names", "label_column_name", "train_split_name", "validation_split_name", "shuffle_seed",
        "model_name_or_path", "tokenizer_name", "cache_dir", "use_fast_tokenizer", "model_revision",
        "trust_remote_code",
    }  # fmt: skip
    assert names <= foreign_keys()


def test_no_key_of_the_configuration_is_foreign():
    keys = {f"{section}.{key}".lstrip(".") for section in ("", *GROUPS, "compare") for key in known_keys(section)}
    assert not keys & foreign_keys()


@pytest.mark.parametrize(
    ("value", "share"),
    [
        ("10%", "0.1"),
        ("10percent", "0.1"),
        ("10 PCT", "0.1"),
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
