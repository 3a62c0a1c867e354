"""Random streams: the numbers they draw, that they are independent, and that no other file draws any."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from program import ROOT

from warmup_lab.system import seeding

RNGS = {
    "sentences": seeding.sentences_rng,
    "label noise": seeding.label_noise_rng,
    "validation split": seeding.validation_split_rng,
    "limit": seeding.limit_rng,
    "epoch 0": lambda seed: seeding.epoch_order_rng(seed, 0),
    "epoch 1": lambda seed: seeding.epoch_order_rng(seed, 1),
    "probe batch": seeding.probe_batch_rng,
}
RNGS_OF_THE_RUN = ("epoch 0", "epoch 1", "probe batch")


@pytest.fixture(autouse=True)
def _no_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeding, "RUN_SEED_OFFSET", 0)


# The expected numbers were drawn by the code of commit d283564, before each stream had a function of its own.


@pytest.mark.parametrize(
    ("rng", "uniform", "permutation"),
    [
        (
            seeding.sentences_rng,
            [0.38017040783285994, 0.16160327964631516, 0.10741726931033146],
            [5, 3, 2, 6, 1, 0, 4, 7],
        ),
        (
            seeding.label_noise_rng,
            [0.38733175273262976, 0.9808624609593598, 0.24087575874588552],
            [1, 4, 0, 3, 7, 6, 2, 5],
        ),
        (
            seeding.validation_split_rng,
            [0.21914950414580758, 0.2164854485594303, 0.9779015182476363],
            [2, 5, 7, 3, 4, 6, 1, 0],
        ),
        (
            seeding.limit_rng,
            [0.9367580293125896, 0.9359244935175305, 0.34933189998023984],
            [6, 7, 1, 0, 5, 3, 4, 2],
        ),
    ],
)
def test_data_streams_draw_the_recorded_numbers(
    rng: Callable[[int], np.random.Generator], uniform: list[float], permutation: list[int]
) -> None:
    assert rng(3).random(3).tolist() == uniform
    assert rng(3).permutation(8).tolist() == permutation


def test_run_streams_draw_the_recorded_numbers() -> None:
    assert seeding.epoch_order_rng(3, 2).permutation(8).tolist() == [4, 6, 7, 1, 5, 3, 2, 0]
    assert seeding.epoch_order_rng(0, 0).permutation(8).tolist() == [3, 1, 6, 5, 7, 2, 0, 4]
    assert seeding.probe_batch_rng(3).permutation(8).tolist() == [5, 2, 6, 1, 4, 0, 3, 7]
    with seeding.initial_weights(3):
        assert torch.randn(3, dtype=torch.float64).tolist() == [
            0.8032760780963507, 0.17483339327910358, 0.08897809502587893
        ]  # fmt: skip
        assert torch.randn(3).tolist() == [-0.6137180328369141, 0.04618244990706444, -1.3682591915130615]


def test_update_seeds_are_the_recorded_ones() -> None:
    assert seeding.update_seed(3, 7) == 895076161412933761
    assert seeding.update_seed(0, 0) == 5563303803843375016
    assert seeding.stacked_dropout_seed(3, 7) == 3240126405290238347  # sha256 of stacked/3/7
    with seeding.preserved_random_state():
        seeding.reseed(seeding.update_seed(3, 7), "cpu")
        assert torch.rand(3).tolist() == [0.13532871007919312, 0.035968899726867676, 0.1603795886039734]


def test_power_iteration_starts_from_the_recorded_vector() -> None:
    start = torch.randn(3, generator=seeding.power_iteration_generator())
    assert start.tolist() == [1.5409960746765137, -0.293428897857666, -2.1787893772125244]


def test_no_two_streams_draw_the_same_numbers() -> None:
    draws = {tuple(rng(seed).random(4)) for rng in RNGS.values() for seed in (0, 1)}
    assert len(draws) == 2 * len(RNGS)
    seeds = {seeding.update_seed(seed, step) for seed in range(5) for step in range(5)}
    stacks = {seeding.stacked_dropout_seed(seed, step) for seed in range(5) for step in range(5)}
    assert len(seeds | stacks) == 50
    assert all(0 <= seed < 2**63 for seed in seeds | stacks)


def test_run_seed_offset_shifts_the_streams_of_the_run_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def draws() -> dict[str, object]:
        values: dict[str, object] = {name: rng(3).random(4).tolist() for name, rng in RNGS.items()}
        with seeding.initial_weights(3):
            values["weights"] = torch.rand(4).tolist()
        return values | {"update": seeding.update_seed(3, 1), "stacked": seeding.stacked_dropout_seed(3, 1)}

    of_the_run = {*RNGS_OF_THE_RUN, "weights", "update", "stacked"}
    plain = draws()
    monkeypatch.setattr(seeding, "RUN_SEED_OFFSET", 1000)
    shifted = draws()
    assert {name for name in plain if plain[name] != shifted[name]} == of_the_run
    assert seeding.update_seed(3, 1) != plain["update"]
    monkeypatch.setattr(seeding, "RUN_SEED_OFFSET", 0)
    assert shifted["update"] == seeding.update_seed(1003, 1)
    assert shifted["stacked"] == seeding.stacked_dropout_seed(1003, 1)
    assert shifted["epoch 1"] == seeding.epoch_order_rng(1003, 1).random(4).tolist()


def test_preserved_random_state_restores_the_generator() -> None:
    before = torch.get_rng_state()
    with seeding.preserved_random_state():
        torch.rand(3)
    with seeding.initial_weights(5):
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)


def test_no_other_file_creates_generators_or_seeds() -> None:
    creates = re.compile(
        r"default_rng\(|SeedSequence\(|manual_seed\(|Generator\(|np\.random\.seed|^import random", re.M
    )
    package = ROOT / "src" / "warmup_lab"
    found = {str(path.relative_to(package)) for path in package.rglob("*.py") if creates.search(path.read_text())}
    assert found == {"system/seeding.py"}
