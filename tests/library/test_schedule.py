import io

import pytest
import torch
import transformers
from reference_schedules import learning_rates, warmup_lengths

from warmup_lab import get_schedule

FIVE = {
    "constantlr": "constant",
    "warmupconstant": "constant_with_warmup",
    "warmuplinear": "linear",
    "warmupcosine": "cosine",
    "warmupcosinewithhardrestarts": "cosine_with_restarts",
}
"""The five schedules of the mission, and their names in transformers."""
TOTAL = 71


def optimizer(*lrs, kind=torch.optim.AdamW, **options):
    """An optimizer with one parameter group for each learning rate."""
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in lrs or (1e-3,)]
    return kind(groups, lr=groups[0]["lr"], **options)


def steps(scheduler, num_steps):
    """The learning rates of the groups at every update, stepped as in a training loop."""
    rates = []
    for _ in range(num_steps):
        rates.append([group["lr"] for group in scheduler.optimizer.param_groups])
        scheduler.optimizer.step()
        scheduler.step()
    return rates


def single(scheduler, num_steps):
    """The same for an optimizer with one group."""
    return [rates[0] for rates in steps(scheduler, num_steps)]


@pytest.mark.parametrize("ours", FIVE)
def test_the_five_equal_those_of_transformers_at_every_update(ours):
    for warmup in [0] if ours == "constantlr" else warmup_lengths(TOTAL):
        theirs = learning_rates(
            lambda opt, w=warmup: transformers.get_scheduler(FIVE[ours], opt, w, TOTAL), num_steps=TOTAL, peak=3e-4
        )
        found = learning_rates(lambda opt, w=warmup: get_schedule(ours, opt, w, TOTAL), num_steps=TOTAL, peak=3e-4)
        assert found == pytest.approx(theirs, rel=1e-12, abs=1e-18)


@pytest.mark.parametrize("options", [{"scheduler_specific_kwargs": {"num_cycles": 3}}, {"num_cycles": 3}])
def test_options_are_keywords_or_a_mapping_as_in_transformers(options):
    theirs = transformers.get_scheduler("cosine_with_restarts", optimizer(), 7, 40, {"num_cycles": 3})
    ours = get_schedule("cosine_with_restarts", optimizer(), 7, 40, **options)
    assert single(ours, 40) == pytest.approx(single(theirs, 40))


@pytest.mark.parametrize("name", ["WarmupLinear", "LINEAR", transformers.SchedulerType.LINEAR])
def test_names_in_any_case_and_those_of_transformers(name):
    assert steps(get_schedule(name, optimizer(), 2, 4), 4) == [[0.0], [0.0005], [0.001], [0.0005]]


@pytest.mark.parametrize(
    ("length", "expected"),
    [({}, 8), ({"warmup_ratio": 0.1}, 8), ({"warmup_ratio": 0.5}, 36), ({"num_warmup_steps": 3}, 3)],
)
def test_the_length_of_the_warmup(length, expected):
    """The first update at the peak: `ceil(0.1 * 71)` is 8, which is the default."""
    rates = steps(get_schedule("warmupconstant", optimizer(1.0), num_training_steps=TOTAL, **length), TOTAL)
    assert rates.index([1.0]) == expected


@pytest.mark.parametrize("name", ["constant", "constant_with_warmup", "inverse_sqrt"])
def test_schedules_without_an_end_need_no_number_of_updates(name):
    warmup = 0 if name == "constant" else 4
    theirs = transformers.get_scheduler(name, optimizer(), warmup)
    assert single(get_schedule(name, optimizer(), warmup), 50) == pytest.approx(single(theirs, 50))


def test_parameter_groups_keep_their_own_peaks():
    rates = steps(get_schedule("warmuplinear", optimizer(1.0, 0.2), 2, 4), 4)
    assert rates == [[0.0, 0.0], [0.5, 0.1], [1.0, 0.2], [0.5, pytest.approx(0.1)]]


def test_an_option_that_is_a_learning_rate_holds_for_every_group():
    """As transformers computes it for an optimizer of each group alone."""
    rates = steps(get_schedule("cosine_with_min_lr", optimizer(1.0, 0.2), 2, 20, min_lr=0.1), 21)
    for group, peak in enumerate((1.0, 0.2)):
        alone = transformers.get_scheduler("cosine_with_min_lr", optimizer(peak), 2, 20, {"min_lr": 0.1})
        assert [row[group] for row in rates] == pytest.approx(single(alone, 21))
    assert rates[-1] == pytest.approx([0.1, 0.1])


def test_a_frozen_group_stays_at_zero():
    assert steps(get_schedule("polynomial", optimizer(1.0, 0.0), 0, 4, lr_end=0.1), 4)[-1][1] == 0.0


def test_untuned_warmups_read_the_betas_of_each_group():
    """`min(1, (1 - beta2) / 2 * (t + 1))` of Ma & Yarats 2021."""
    opt = optimizer(1.0, 1.0, betas=(0.9, 0.8))
    opt.param_groups[1]["betas"] = (0.9, 0.5)
    rates = steps(get_schedule("constant_with_warmup", opt, warmup="untuned_linear"), 5)
    assert [first for first, _ in rates] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert [second for _, second in rates] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_the_shape_of_the_warmup():
    """Four updates of `0.5 + 0.5 p^2`, p = t / 4."""
    schedule = get_schedule(
        "warmupconstant", optimizer(1.0), 4, 8, warmup="Polynomial", warmup_power=2, start_factor=0.5
    )
    assert single(schedule, 5) == [0.5, 0.53125, 0.625, 0.78125, 1.0]


def test_a_saved_state_resumes_the_schedule():
    """Saved and loaded as Trainer does, which allows plain values only."""
    whole = steps(get_schedule("warmupcosine", optimizer(1.0), 3, 12), 12)
    first = get_schedule("warmupcosine", optimizer(1.0), 3, 12)
    assert steps(first, 5) == whole[:5]
    file = io.BytesIO()
    torch.save({"schedule": first.state_dict(), "optimizer": first.optimizer.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    second = get_schedule("warmupcosine", optimizer(1.0), 3, 12)
    second.load_state_dict(saved["schedule"])
    second.optimizer.load_state_dict(saved["optimizer"])
    assert steps(second, 7) == whole[5:]


def test_last_epoch_resumes_without_a_saved_state():
    whole = single(get_schedule("warmupcosine", optimizer(1.0), 3, 12), 12)
    opt = optimizer(1.0)
    opt.param_groups[0]["initial_lr"] = 1.0
    assert single(get_schedule("warmupcosine", opt, 3, 12, last_epoch=4), 7) == pytest.approx(whole[5:])


SGD = torch.optim.SGD


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_warmup_steps": 2, "warmup_ratio": 0.1}, "num_warmup_steps=2 and warmup_ratio=0.1: give one of them"),
        ({"num_training_steps": None}, "linear needs num_training_steps"),
        ({"num_training_steps": 20.0}, "num_training_steps=20.0: must be a whole number"),
        ({"num_training_steps": 0}, "num_training_steps=0: must be a whole number, at least 1"),
        ({"num_warmup_steps": 21}, "num_warmup_steps=21: must be between 0 and num_training_steps=20"),
        ({"num_warmup_steps": 0.1}, "num_warmup_steps=0.1: must be a whole number; for a share .* pass warmup_ratio"),
        ({"warmup_ratio": 10}, "warmup_ratio=10: must be in .0, 1.; 0.1 is 10 %"),
        ({"name": "lineer"}, "unknown schedule 'lineer'; did you mean 'linear'"),
        ({"name": "constant", "warmup_ratio": 0.1}, "constant has no warmup, but warmup_ratio=0.1: use warmupconstant"),
        ({"name": "constant", "warmup": "sqrt"}, "constant has no options and no warmup"),
        ({"name": "constant_with_warmup", "num_training_steps": None}, "10 % by default, of num_training_steps, which"),
        ({"name": "reduce_lr_on_plateau"}, "is not supported, because"),
        ({"num_cycle": 1}, "unknown option num_cycle=1 of linear"),
        ({"warmup": "sqr"}, "unknown warmup 'sqr'; did you mean 'sqrt'"),
        ({"start_factor": "a"}, "start_factor=a"),
        ({"name": "polynomial", "lr_end": 1.0}, "^lr_end=1.0: must be in .0, lr=0.001"),
        ({"warmup": "radam", "num_warmup_steps": 2}, "takes its length from beta2, and num_warmup_steps=2"),
        ({"warmup": "radam", "optimizer": optimizer(kind=SGD)}, "optimizer=SGD has no betas"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused_in_the_words_of_the_call(arguments, message):
    call = {"name": "linear", "optimizer": optimizer(), "num_training_steps": 20} | arguments
    with pytest.raises(ValueError, match=message):
        get_schedule(**call)


class Rates(transformers.TrainerCallback):
    """Records the learning rate of every update."""

    def __init__(self):
        self.rates = []

    def on_pre_optimizer_step(self, *_args, optimizer, **_kwargs):
        self.rates.append(optimizer.param_groups[0]["lr"])


def train_with_trainer(folder, *, resume=False):
    """The learning rates of a Trainer on a tiny BERT: 6 updates, with a checkpoint after 3."""
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    model = transformers.BertForSequenceClassification(transformers.BertConfig(vocab_size=12, **sizes))
    opt = torch.optim.AdamW(model.parameters(), lr=1e-3)
    callback = Rates()
    trainer = transformers.Trainer(
        model,
        transformers.TrainingArguments(
            str(folder), max_steps=6, save_steps=3, per_device_train_batch_size=2, report_to="none", use_cpu=True,
            disable_tqdm=True,
        ),
        train_dataset=[{"input_ids": [1, word], "labels": word % 2} for word in range(2, 12)],
        optimizers=(opt, get_schedule("warmuplinear", opt, warmup_ratio=0.3, num_training_steps=6)),
        callbacks=[callback],
    )  # fmt: skip
    trainer.train(resume_from_checkpoint=str(folder / "checkpoint-3") if resume else None)
    return callback.rates


@pytest.mark.trains
def test_it_works_in_trainer_and_resumes_from_its_checkpoint(tmp_path):
    expected = learning_rates(
        lambda opt: transformers.get_linear_schedule_with_warmup(opt, 2, 6), num_steps=6, peak=1e-3
    )
    assert train_with_trainer(tmp_path) == pytest.approx(expected)
    assert train_with_trainer(tmp_path, resume=True) == pytest.approx(expected[3:])
