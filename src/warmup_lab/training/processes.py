"""One run in several processes, set up by Accelerate: each computes a share of every forward pass.

The processes hold equal weights. An update sums their gradients, each already divided by the number of examples of the
whole update, so the shares may differ in size and may be empty. What follows (clipping, optimizer, schedule) happens in
every process alike. DistributedDataParallel does not fit: it averages over processes, whatever the sizes of their
shares, and it needs a forward pass in each of them.
"""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from warmup_lab.config import ConfigError, require
from warmup_lab.system import process_update_seed
from warmup_lab.training.launch import Launch, ProcessFailed

if TYPE_CHECKING:
    from warmup_lab.plan import Plan
    from warmup_lab.runs import Progress

T = TypeVar("T")
_REPORT_SECONDS = 2.0
"""Time for the report of a process that failed to arrive after its connections were closed."""


@dataclass(eq=False)
class Processes:
    """The processes that share a run. Without a `launch` there is one, and the methods return what they are given."""

    launch: Launch | None = None
    _have_gradient: list[bool] = field(default_factory=list)
    _signals: torch.Tensor | None = None

    @property
    def num(self) -> int:
        return self.launch.num_processes if self.launch else 1

    @property
    def rank(self) -> int:
        return self.launch.rank if self.launch else 0

    @property
    def is_main(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0

    def share(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """The part of a batch of B examples that this process computes: B / processes, rounded up in the first ones.

        Process 0 always has one; others have none if there are fewer examples than processes.
        """
        return np.array_split(indices, self.num)[self.rank]

    def num_threads(self, plan: Plan) -> int:
        """CPU threads of this process: those of the run are divided among the processes of a machine."""
        return max(1, plan.num_threads // self.launch.num_local) if self.launch else plan.num_threads

    def update_seed(self, seed: int, step: int) -> int:
        """Seed of dropout in an update: each process draws masks of its own for its share."""
        return process_update_seed(seed, step, self.rank)

    def sum_gradients(
        self, parameters: Sequence[torch.nn.Parameter], loss: torch.Tensor, signal_number: int
    ) -> torch.Tensor:
        """Replaces each gradient with its sum over the processes; returns the sum of the losses, a scalar.

        `signal_number` is the signal that told this process to stop, or 0; `stop_signal` says what all agree on.
        """
        if self.launch is None:
            return loss
        used = [one for one, has in zip(parameters, self._gradients_of_any(parameters), strict=True) if has]
        signals = torch.zeros(signal.NSIG, device=loss.device)
        if signal_number:
            signals[signal_number] = 1
        parts = [torch.zeros_like(one) if one.grad is None else one.grad for one in used]
        flat = torch.cat([*(part.flatten() for part in parts), loss.view(1), signals])
        with self._collective():
            dist.all_reduce(flat)  # one call an update: its latency counts more than its size for small models
        *sums, loss, self._signals = torch.split(flat, [*(one.numel() for one in used), 1, signal.NSIG])
        for parameter, total in zip(used, sums, strict=True):
            parameter.grad = total.view_as(parameter)
        return loss.squeeze()

    def stop_signal(self, own: int) -> int:
        """The signal that told any process to stop before the last `sum_gradients`, or 0; the same in all of them."""
        if self._signals is None:
            return own
        return next((number for number, count in enumerate(self._signals.tolist()) if count), 0)

    def broadcast(self, value: T) -> T:
        """The value of process 0, in all of them."""
        if self.launch is None:
            return value
        values = [value]
        with self._collective():
            dist.broadcast_object_list(values)
        return values[0]

    def gather(self, value: T) -> list[T]:
        """The values of all processes, in all of them."""
        if self.launch is None:
            return [value]
        values: list[Any] = [None] * self.num
        with self._collective():
            dist.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Waits until all processes are here."""
        self.gather(None)

    def start_equal(
        self, progress: Progress | None, model: torch.nn.Module, optimizer: torch.optim.Optimizer
    ) -> Progress | None:
        """Gives all processes the weights, the optimizer state and the progress of process 0, which reads checkpoints.

        `progress` is that of the checkpoint, None at update 0.
        """
        if self.launch is None:
            return progress
        progress = self.broadcast(progress)
        if progress is not None:
            state = self.broadcast(_to_bytes(optimizer.state_dict()) if self.is_main else b"")
            if not self.is_main:
                optimizer.load_state_dict(torch.load(io.BytesIO(state), map_location="cpu", weights_only=True))
        with self._collective():
            for tensor in model.state_dict().values():
                if tensor.is_floating_point():
                    dist.broadcast(tensor, 0)
        return progress

    def _gradients_of_any(self, parameters: Sequence[torch.nn.Parameter]) -> list[bool]:
        """For each parameter whether any process has its gradient, asked once: some parameters of a model are unused.

        Optimizers skip a parameter without a gradient, and a process without examples has none at all.
        """
        if not self._have_gradient:
            flags = torch.tensor([one.grad is not None for one in parameters], dtype=torch.uint8)
            flags = flags.to(parameters[0].device)
            with self._collective():
                dist.all_reduce(flags, dist.ReduceOp.MAX)
            self._have_gradient = [bool(flag) for flag in flags.tolist()]
        return self._have_gradient

    @contextmanager
    def _collective(self) -> Iterator[None]:
        """Says which process failed, instead of that its connection is closed."""
        try:
            yield
        except torch.OutOfMemoryError:  # a RuntimeError too
            raise
        except RuntimeError as error:
            reported = self.launch.failure(_REPORT_SECONDS) if self.launch else None
            lost = "lost the connection to another process: it was killed, or its machine cannot be reached"
            raise ProcessFailed(reported or lost) from error


ALONE = Processes()
"""The one process of an ordinary run."""


def connect(plan: Plan, launch: Launch) -> Processes:
    """Connects the processes that were launched for this run.

    Raises:
        ConfigError: this run cannot be shared, or the processes plan different runs.
    """
    refuse_unshared(plan, launch)
    try:
        from accelerate import Accelerator
    except ModuleNotFoundError:
        raise ConfigError(
            f"{launch.num_processes} processes were launched, and sharing a run needs the package accelerate: "
            "pip install 'warmup-lab[accelerate]'"
        ) from None
    # Not what `accelerate launch --mixed_precision` says: `precision` is part of the run's identity.
    accelerator = Accelerator(cpu=plan.device == "cpu", mixed_precision="no")
    kind = accelerator.distributed_type.value
    require(
        kind in ("MULTI_CPU", "MULTI_GPU"),
        f"accelerate's {kind} cannot be used: the weights of the run must be whole in every process",
    )
    processes = Processes(launch)
    ids = processes.gather(plan.run_id)
    for rank, run_id in enumerate(ids):
        require(
            run_id == ids[0],
            f"process {rank} plans another run than process 0 ({run_id}, not {ids[0]}): give their machines the same "
            f"files, the same device, and num_threads=NUMBER",
        )
    return processes


def refuse_unshared(plan: Plan, launch: Launch) -> None:
    """Raises `ConfigError` if several processes cannot share this run."""
    probes, num = plan.config.probe.wanted, launch.num_processes
    start = "start the run with python train.py"
    require(not probes, f"probes ({', '.join(probes)}) work in one process, and {num} were launched: {start}")
    kind, _, index = plan.device.partition(":")
    require(
        kind in ("cpu", "cuda") and not index,
        f"device={plan.device} is one device, and {num} processes were launched: use device=cuda or cpu, or {start}",
    )
    if kind == "cuda":
        have = torch.cuda.device_count()
        require(
            have >= launch.num_local,
            f"{launch.num_local} processes on this machine need as many GPUs, and it has {have}: lower --num_processes",
        )
    chosen = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    require(
        chosen in ("no", plan.precision),
        f"accelerate's mixed_precision={chosen} is not used: set it to no there, and precision=fp32 or bf16 here",
    )


def _to_bytes(state: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()
