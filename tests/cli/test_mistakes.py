"""Words of the command line that need a correction before Hydra sees them."""

import pytest

from warmup_lab.cli.mistakes import parse_words, refuse_mistakes
from warmup_lab.config.errors import ConfigError


@pytest.mark.parametrize(
    ("words", "flags", "overrides"),
    [
        (["seed=0,1", "-m", "epochs=1"], ["-m"], ["seed=0,1", "epochs=1"]),
        (["a=1", "--cfg", "job", "b=2"], ["--cfg", "job"], ["a=1", "b=2"]),
        (["--multirun", "a=1", "--config-dir", "conf"], ["--multirun", "--config-dir", "conf"], ["a=1"]),
        (["a=1", "--lr", "1e-3"], [], ["a=1", "--lr", "1e-3"]),
        (["~optimizer.eps", "+a=1"], [], ["~optimizer.eps", "+a=1"]),
        (["--version"], ["--version"], []),
        (["--info"], ["--info"], []),
        ([], [], []),
    ],
)
def test_flags_are_told_from_overrides(words, flags, overrides):
    line = parse_words(words)
    assert (line.flags, line.overrides) == (flags, overrides)


def test_a_wrong_value_of_a_flag_is_a_plain_error():
    with pytest.raises(ConfigError, match="argument --cfg/-c: invalid choice: 'jobs'"):
        parse_words(["--cfg", "jobs"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--config-path", "/tmp"], "--config-path: the main configuration is always that of warmup-lab"),
        (["--config-name=other"], "--config-name: the main configuration is always that of warmup-lab"),
        (["-cn", "other"], "--config-name: the main configuration is always that of warmup-lab"),
        (["--experimental-rerun", "config.pickle"], "--experimental-rerun: unpickles a file, which can run code"),
        (["seed=1", "--experimental=config.pickle"], "--experimental-rerun: unpickles a file, which can run code"),
    ],
)
def test_flags_that_could_run_code_are_refused(words, message):
    with pytest.raises(ConfigError, match=message):
        parse_words(words)


@pytest.mark.parametrize(
    "word",
    [
        "hydra.callbacks.x._target_=os.mkdir",
        "+hydra.callbacks.x._target_=os.mkdir",
        "+hydra.callbacks={x:{_target_:os.mkdir}}",
        "hydra.callbacks=[{a:[{_target_:os.mkdir}]}]",
        "model={_target_:os.mkdir},{a:1}",
        "hydra.launcher._target_=x",
    ],
)
def test_targets_are_refused_on_the_command_line_too(word):
    with pytest.raises(ConfigError) as error:
        refuse_mistakes([word])
    assert str(error.value) == f"{word}: _target_ names code to run, and cannot be set"


def test_the_function_that_groups_jobs_cannot_be_set():
    with pytest.raises(
        ConfigError, match=r"hydra.launcher.batch=os.mkdir: names a function to call, and cannot be set"
    ):
        refuse_mistakes(["hydra.launcher.batch=os.mkdir"])


@pytest.mark.parametrize(
    "words",
    [
        ["study=my_target_x", "task.id=a_target_", "study={a:_target_}", "hydra.job.env_set.A=${oc.env:HOME}"],
        ["seed=1", "optimizer.lr=1e-3", "scheduler=cosine", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
        ["~optimizer.eps", "+lr=1", "seed=0,1", "tracking.entity=", "task@task2=sst2", "compare.looks=[6,12]"],
        [],
    ],
)
def test_overrides_pass(words):
    refuse_mistakes(words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("lr=1e-3", "unknown key lr; type optimizer.lr=1e-3"),
        ("num_train_epochs=3", "unknown key num_train_epochs; type epochs=3"),
        ("scheduler.warmup_ratio=0.1", "unknown key scheduler.warmup_ratio; type warmup_ratio=0.1"),
        ("warmup_ratio=10%", "warmup_ratio=10%: a share is a plain number; type warmup_ratio=0.1"),
        ("warmup_steps=0%,10%", "warmup_steps=0%,10%: a share is a plain number; type warmup_ratio=0,0.1"),
        ("warmup_ratio 0.1", "warmup_ratio 0.1: needs an equals sign and no spaces; type warmup_ratio=0.1"),
        ("optimizer.lr 1e-3", "optimizer.lr 1e-3: needs an equals sign and no spaces; type optimizer.lr=1e-3"),
        ("lr 1e-3", "lr 1e-3: needs an equals sign and no spaces; type optimizer.lr=1e-3"),
        ("seed = 1", "seed = 1: needs an equals sign and no spaces; type seed=1"),
        ("seed =1", "seed =1: needs an equals sign and no spaces; type seed=1"),
        ("seed: 1", "seed: 1: needs an equals sign and no spaces; type seed=1"),
        ("seed", "seed: has no value; type seed=VALUE"),
        ("seed= 1", "seed= 1: arguments have no spaces; type seed=1"),
        ("seed=0, 1", "seed=0, 1: arguments have no spaces; type seed=0,1"),
        ("seed=0 ,1", "seed=0 ,1: arguments have no spaces; type seed=0,1"),
        ("seed=0 1 2", "seed=0 1 2: arguments have no spaces; type seed=0,1,2"),
        (
            "optimizer.name=Adam",
            "optimizer.name=Adam: would keep the other keys of another optimizer; type optimizer=adam",
        ),
        (
            "model.kind=pretrained",
            "model.kind=pretrained: would keep the other keys of another model; type model=pretrained",
        ),
        ("warmup_ratio=10percent", "warmup_ratio=10percent: a share is a plain number; type warmup_ratio=0.1"),
        ("--scheduler warmupcosine", "--scheduler warmupcosine: keys have no dashes; type scheduler=warmupcosine"),
        ("--warmup-ratio=0.1", "--warmup-ratio=0.1: keys have no dashes; type warmup_ratio=0.1"),
        ("--num-cycles 2", "--num-cycles 2: keys have no dashes; type scheduler.num_cycles=2"),
        ("-lr 1e-3", "-lr 1e-3: keys have no dashes; type optimizer.lr=1e-3"),
        ("--bf16", "--bf16: keys have no dashes; type precision=bf16"),
        ("--force", "--force: keys have no dashes; type force=true"),
        ("--foo 3", "unknown flag --foo 3; --help lists the keys, --hydra-help the flags"),
        ("warmupcosine", "warmupcosine: type scheduler=warmupcosine"),
        ("none", "none: type tracking=none or probe=none"),
        ("ten_percent", "ten_percent: type experiment=ten_percent"),
        ("reviews.csv", "reviews.csv: type task=files task.train_file=reviews.csv"),
        ("+experiment=compare", "+experiment=compare: type experiment=compare"),
        ("tracking=null", "tracking=null: type tracking=none"),
        ("tracking=off", "tracking=off: type tracking=none"),
        ("SEED=1", "SEED=1: type seed=1"),
        ("Optimizer.LR=1e-3", "Optimizer.LR=1e-3: type optimizer.lr=1e-3"),
        ("seed==1", "seed==1: type seed=1"),
        ("lr==1e-3", "unknown key lr; type optimizer.lr=1e-3"),
        ("warmup_ratio={0,0.1}", "warmup_ratio={0,0.1}: type -m warmup_ratio=0,0.1"),
        ("lr=0.1%", "unknown key lr; type optimizer.lr=0.001"),
        ("budget=10", "unknown key budget; type compare.budget_minutes=10"),
        ("n_jobs=4", "unknown key n_jobs; type hydra/launcher=joblib hydra.launcher.n_jobs=4"),
        (
            "eval_strategy=epoch",
            "unknown key eval_strategy; type eval_every=100 to evaluate every 100 updates",
        ),
        ("evaluation_strategy=no", "unknown key evaluation_strategy; type eval_every=null"),
        ("experiment=", "experiment=: has no name; type experiment=recommend, or another of those that --help lists"),
        (
            "model=",
            "model=: choose one of bert_base, bert_mini, bert_small, bert_tiny, preln_mini, preln_tiny, pretrained",
        ),
        ("help", "help: type --help"),
        ("whatever", "whatever: arguments have the form KEY=VALUE, such as seed=1"),
    ],
)
def test_each_mistake_is_one_line_with_its_correction(words, message):
    with pytest.raises(ConfigError) as error:
        refuse_mistakes(["epochs=1", *words.split(), "force=true"])
    assert str(error.value) == message


@pytest.mark.parametrize("word", ["seed = 1", "seed =1", " seed=1"])
def test_spaces_in_a_quoted_word_are_left_out_of_the_correction(word):
    with pytest.raises(ConfigError) as error:
        refuse_mistakes([word])
    assert str(error.value) == f"{word}: type seed=1"


@pytest.mark.parametrize("word", ["study=A", "model.path=/Data/X", "hydra.sweep.dir=A b", "+task.extra={a: 1}"])
def test_values_with_capitals_spaces_or_braces_that_hydra_reads_are_left_alone(word):
    refuse_mistakes([word])


def test_all_mistakes_are_reported_at_once():
    with pytest.raises(ConfigError) as error:
        refuse_mistakes(["lr=1e-3", "seed=1", "--batch", "16"])
    assert str(error.value).splitlines() == [
        "unknown key lr; type optimizer.lr=1e-3",
        "error: --batch 16: keys have no dashes; type batch_size=16",
    ]
