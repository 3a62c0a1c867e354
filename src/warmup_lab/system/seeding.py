"""All random streams of the package. No other file creates a generator or a seed.

Every stream is a pure function of its seed and its indices. A resumed run therefore draws the same numbers as an
uninterrupted one, and needs no stored state. Two streams never share a key, so a change in how one of them is used
leaves the others as they are.

| stream | function | seed | key | used by |
|---|---|---|---|---|
| synthetic sentences | `sentences_rng` | data | spawn key `(0, 0)` | `tasks.sources` |
| flipped training labels | `label_noise_rng` | data | spawn key `(0, 1)` | `tasks.sources` |
| split into training and validation | `validation_split_rng` | data | spawn key `(0, 2)` | `tasks.sources` |
| subset of `task.limit` examples | `limit_rng` | data | spawn key `(0, 3)` | `tasks.sources` |
| order of the examples in an epoch | `epoch_order_rng` | run | spawn key `(1, epoch)` | `tasks.batches` |
| fixed batch of the probes | `probe_batch_rng` | run | spawn key `(2,)` | `probes.base` |
| initial weights | `initial_weights` | run | torch's default generator | `models` |
| dropout in an update | `update_seed` | run | SHA-256 of `update/seed/step` | `training.loop` |
| the same in process 1, 2, ... | `process_update_seed` | run | SHA-256 of `process/rank/seed/step` | `training` |
| dropout in a stacked update | `stacked_dropout_seed` | run | SHA-256 of `stacked/seed/step` | `training.stacked` |
| first vector of the power iteration | `power_iteration_generator` | 0 | torch generator | `probes.sharpness` |

"data" is `task.data_seed` and "run" is `seed`. The two are 0 by default, so the keys must differ: with a shared key the
first batches of an epoch once held exactly the examples with flipped labels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch

RUN_SEED_OFFSET = 0
"""Added to the run's seed in every stream of the run: initial weights, order of the data, probe batch, dropout.

The streams of the data (`task.data_seed`) ignore it. Tests change it to check that no test depends on how one
particular training turns out. It is read at each call, so `seeding.RUN_SEED_OFFSET = 1000` takes effect at once.
"""


# ------------------------------------------------------------------------------------------- streams of the data


def sentences_rng(data_seed: int) -> np.random.Generator:
    """Draws the sentences of the synthetic task."""
    return _rng(data_seed, 0, 0)


def label_noise_rng(data_seed: int) -> np.random.Generator:
    """Chooses the training examples whose label is flipped."""
    return _rng(data_seed, 0, 1)


def validation_split_rng(data_seed: int) -> np.random.Generator:
    """Chooses the validation examples of a task that has no validation file."""
    return _rng(data_seed, 0, 2)


def limit_rng(data_seed: int) -> np.random.Generator:
    """Chooses the training examples that `task.limit` keeps."""
    return _rng(data_seed, 0, 3)


# -------------------------------------------------------------------------------------------- streams of the run


def epoch_order_rng(seed: int, epoch: int) -> np.random.Generator:
    """Shuffles the training examples of one epoch."""
    return _rng(seed + RUN_SEED_OFFSET, 1, epoch)


def probe_batch_rng(seed: int) -> np.random.Generator:
    """Chooses the training examples of the fixed batch that the probes measure on."""
    return _rng(seed + RUN_SEED_OFFSET, 2)


@contextmanager
def initial_weights(seed: int) -> Iterator[None]:
    """Inside the block torch draws from `seed`. After it, the random state of CPU and GPUs is what it was before."""
    import torch

    with preserved_random_state():
        # Not torch.manual_seed: it would also reseed the GPUs, whose state is not preserved.
        torch.default_generator.manual_seed(seed + RUN_SEED_OFFSET)
        yield


def update_seed(seed: int, step: int) -> int:
    """Seed of everything random inside one update, such as dropout.

    It depends on the run's seed and the index of the update only. Strategies with equal seeds drop the same units at
    the same update, and draws made by a probe do not shift later draws.
    """
    return _hashed(f"update/{seed + RUN_SEED_OFFSET}/{step}")


def process_update_seed(seed: int, step: int, rank: int) -> int:
    """`update_seed` of one of several processes that share a run. Process 0 has the seed of a run in one process."""
    return _hashed(f"process/{rank}/{seed + RUN_SEED_OFFSET}/{step}") if rank else update_seed(seed, step)


def stacked_dropout_seed(seed: int, step: int) -> int:
    """Seed of the dropout masks in one update of a stacked run. It does not depend on the other runs of the group."""
    return _hashed(f"stacked/{seed + RUN_SEED_OFFSET}/{step}")


def reseed(seed: int, device: str) -> None:
    """Seeds the generators that dropout draws from on `device`, and the CPU's.

    `torch.manual_seed` seeds every device type. For a type without a driver it records the call stack each time, which
    takes half a millisecond, to repeat the call if the driver appears later.
    """
    import torch

    torch.default_generator.manual_seed(seed)
    kind, _, index = device.partition(":")
    if kind == "cuda":
        torch.cuda.default_generators[int(index or torch.cuda.current_device())].manual_seed(seed)
    elif kind == "mps":
        torch.mps.manual_seed(seed)


# ------------------------------------------------------------------------------------- streams without a user's seed


def power_iteration_generator() -> torch.Generator:
    """Draws the first vector of a power iteration, the same one in every run."""
    import torch

    return torch.Generator().manual_seed(0)


@contextmanager
def preserved_random_state(device: str = "cpu") -> Iterator[None]:
    """Restores torch's random state of the CPU, and of `device` if it is a GPU, when the block ends."""
    import torch

    with torch.random.fork_rng(devices=[device] if device.startswith("cuda") else []):
        yield


def _rng(seed: int, *key: int) -> np.random.Generator:
    import numpy as np

    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _hashed(text: str) -> int:
    """The first 63 bits of the SHA-256 of `text`: torch takes seeds below 2**63."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
