"""The connection to a Ray cluster, and what its nodes have. `ray` is imported where it is used: it takes a second."""

from __future__ import annotations

import os
import secrets
import signal
import socket
from typing import Any

from warmup_lab.config import ConfigError, require
from warmup_lab.sweeps.ray_options import RayOptions
from warmup_lab.system import available_cores

_OBJECT_STORE_BYTES = 100_000_000
"""Of a cluster that the sweep starts. Tasks and results are small, and Ray would take 30 % of the memory."""

_ANSWER_SECONDS = 10.0


def connect(options: RayOptions) -> None:
    """Connects this process to the cluster until it ends. W&B may still upload from a worker after the last run.

    Raises:
        ConfigError: the cluster does not answer, or runs another version of Ray or Python.
    """
    if options.address is None:
        _prepare_environment(options)
    else:
        _require_answer(options.address)
    import ray

    if ray.is_initialized():
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(log_to_driver=False, logging_level="warning", **_where(options))
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f"address={options.address}" if options.address else "a cluster on this machine"
        raise ConfigError(f"hydra/launcher=ray cannot use {where}: {_first_line(error)}") from error
    finally:
        signal.signal(signal.SIGTERM, handler)  # Ray's would end the sweep without saving


def _prepare_environment(options: RayOptions) -> None:
    """For a cluster that this process starts. Ray reads these variables when it is imported."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", str(int(options.usage_statistics)))
    if "RAY_AUTH_MODE" not in os.environ:  # otherwise Ray writes a token into the home folder, and says so
        os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", secrets.token_hex(32)


def _require_answer(address: str) -> None:
    """Raises `ConfigError` if nothing listens there. Ray itself would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"hydra.launcher.address={address} does not answer ({error}): it is the address that `ray start --head` "
            "prints"
        ) from error


def _where(options: RayOptions) -> dict[str, Any]:
    if options.address:
        return {"address": options.address}
    # Without `local`, Ray would use a cluster that happens to run here.
    return {
        "address": "local",
        "num_cpus": available_cores(),
        "include_dashboard": options.dashboard,
        "object_store_memory": _OBJECT_STORE_BYTES,
    }


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def num_tasks(options: RayOptions) -> int:
    """Tasks that the nodes can run at the same time if nobody else uses them; at least 1."""
    return max(1, sum(_tasks_of(node["Resources"], options.resources) for node in _alive_nodes()))


def _tasks_of(has: dict[str, float], needs: dict[str, float]) -> int:
    """Tasks that fit on a node at the same time."""
    return min(int(has.get(name, 0) / amount) for name, amount in needs.items())


def require_fitting_node(options: RayOptions) -> str:
    """A sentence if no node can run a task now, which a cluster may get later; empty if one can.

    Raises:
        ConfigError: the cluster is this machine alone, which gets no other node.
    """
    nodes = _alive_nodes()
    if any(_tasks_of(node["Resources"], options.resources) for node in nodes):
        return ""
    needs = ", ".join(f"{amount:g} {name}" for name, amount in options.resources.items())
    has = "; ".join(
        ", ".join(f"{node['Resources'].get(name, 0):g} {name}" for name in options.resources) for node in nodes
    )
    sentence = (
        f"a task needs {needs} (hydra.launcher.cpus, gpus, memory_gb), and the nodes of the Ray cluster have "
        f"{has or 'ended'}"
    )
    require(options.address is not None, sentence)
    return sentence


def _alive_nodes() -> list[dict[str, Any]]:
    import ray

    return [node for node in ray.nodes() if node["Alive"]]
