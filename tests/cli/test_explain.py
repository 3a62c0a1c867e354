"""Error messages: which link of a chain of errors explains it, and what messages suggest."""

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from program import ROOT

from warmup_lab.cli.explain import explain
from warmup_lab.config.errors import ConfigError


def caused_by(cause: BaseException) -> BaseException:
    error = HydraException("Error in Hydra\nthe second line\nthe third line")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConfigError("epochs=0: must be at least 1"), "epochs=0: must be at least 1"),
        (caused_by(ConfigError("epochs=0")), "epochs=0"),
        (caused_by(FileNotFoundError(2, "No such file or directory", "a.tsv")), "No such file or directory: a.tsv"),
        (caused_by(OSError(28, "No space left on device")), "No space left on device: runs"),
        (caused_by(ValueError("no matter")), "Error in Hydra\nthe second line"),
        (ValueError("oops"), None),
        (OSError("no number"), None),
    ],
)
def test_the_first_link_that_explains_decides(error, message):
    assert explain(error) == message


def explained(*words: str) -> str:
    """The message about the error that Hydra raises for these overrides."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"), pytest.raises(HydraException) as error:
        compose("config", list(words))
    return str(explain(error.value, words))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["task.max_lenght=9"], "unknown key task.max_lenght; did you mean 'max_length'? --help lists all keys"),
        (["optimiser.lr=1"], "unknown key optimiser.lr; type optimizer.lr=1"),
        (["optimiser=sgd"], "unknown key optimiser; did you mean 'optimizer'? --help lists all keys"),
        (["weight_decay=0.1"], "unknown key weight_decay; type optimizer.weight_decay=0.1"),
        (["num_cycles=2"], "unknown key num_cycles; type scheduler.num_cycles=2"),
        (["revision=main"], "unknown key revision; type task.revision=main or model.revision=main"),
        (["scheduler.batch_size=8"], "unknown key scheduler.batch_size; type batch_size=8 or probe.batch_size=8"),
        (["task.train_file=a.csv"], "task.train_file=a.csv needs task=files"),
        (["task.label=kind"], "unknown key task.label; type task.label_column=kind"),
        (["task.path=a.csv"], "task.path=a.csv: your own files are task=files task.train_file=a.csv"),
        (
            ["model.name=bert-base-uncased"],
            "unknown key model.name; type model=pretrained model.path=bert-base-uncased",
        ),
        (["model.name_or_path=x"], "unknown key model.name_or_path; type model=pretrained model.path=x"),
        (["trainer.max_epochs=3"], "unknown key trainer.max_epochs; type epochs=3"),
        (["training.lr=1e-3"], "unknown key training.lr; type optimizer.lr=1e-3"),
        (["foo.bar=3"], "unknown key foo. --help lists all keys"),
        (["model.path=bert-base-uncased"], "model.path=bert-base-uncased needs model=pretrained"),
        (
            ["scheduler.min_lr=1e-5"],
            "scheduler.min_lr=1e-5 needs another scheduler: cosine_warmup_with_min_lr, cosine_with_min_lr, "
            "linear_with_min_lr",
        ),
    ],
)
def test_an_unknown_key_leads_to_the_right_one(words, message):
    assert explained(*words) == message


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (
            "model=bert-base-uncased",
            "is model=pretrained model.path=bert-base-uncased. With random weights: bert_base,",
        ),
        (
            "model=google/bert_uncased_L-2_H-128_A-2",
            "is model=pretrained model.path=google/bert_uncased_L-2_H-128_A-2.",
        ),
        ("model=./my_model", "is model=pretrained model.path=./my_model."),
        ("model=bert-tiny", "unknown model 'bert-tiny'; type model=bert_tiny"),
        ("model=bert_tinny", "unknown model 'bert_tinny'; did you mean 'bert_tiny'?"),
        ("task=reviews.csv", "unknown task 'reviews.csv'; your own files are task=files task.train_file=reviews.csv"),
        ("task=stanfordnlp/imdb", "is task=hub task.path=stanfordnlp/imdb."),
        ("task=SST-2", "unknown task 'SST-2'; type task=sst2"),
        ("task=sst3", "unknown task 'sst3'; did you mean 'sst2'?"),
        ("scheduler=cosine_with_warmup", "unknown scheduler 'cosine_with_warmup'; type scheduler=warmupcosine"),
        ("scheduler=get_linear_schedule_with_warmup", "type scheduler=warmuplinear"),
        ("scheduler=warmup_cosine", "unknown scheduler 'warmup_cosine'; type scheduler=warmupcosine"),
        ("scheduler=reduce_lr_on_plateau", "is not supported, because"),
        ("tracking=offline", "unknown tracking 'offline'; type tracking=wandb tracking.mode=offline"),
        ("optimizer=adamw_torch", "unknown optimizer 'adamw_torch'; did you mean 'adamw'?"),
        ("hydra/launcher=fast", "unknown hydra/launcher 'fast'; did you mean 'fastest'?"),
    ],
)
def test_an_unknown_option_leads_to_what_was_meant(choice, message):
    assert message in explained(choice)


def test_several_values_need_a_multirun(monkeypatch):
    monkeypatch.setattr("warmup_lab.cli.mistakes.train_program", lambda: ["python", "train.py"])
    assert explained("epochs=1", "seed=0,1") == (
        "seed=0,1: several values need -m; type python train.py -m epochs=1 seed=0,1"
    )
    assert explained("warmup_ratio=0,1").splitlines()[1] == "For one number, type warmup_ratio=0.1"
    assert explained("optimizer.lr=0,001").splitlines()[1] == "For one number, type optimizer.lr=0.001"
    assert explained("seed=range(6)").endswith("type python train.py -m 'seed=range(6)'")
    assert explained("optimizer.betas=0.9,0.99") == (
        "optimizer.betas=0.9,0.99: the value is a list; type 'optimizer.betas=[0.9,0.99]'"
    )


@pytest.mark.parametrize(
    ("word", "correction"),
    [
        ("optimizer.betas=(0.9,0.99)", "special characters need quotes; type 'optimizer.betas=[0.9,0.99]'"),
        ("study=a (b)", "special characters need quotes; type 'study=\"a (b)\"'"),
        ("optimizer.betas=[0.9,0.99", "the value cannot be read: check its brackets, quotes and commas"),
    ],
)
def test_a_value_that_hydra_cannot_read_is_named(word, correction):
    assert explained(word) == f"{word}: {correction}"
