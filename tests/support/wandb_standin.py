"""A small W&B server on the loopback. It answers the client's queries and keeps what the client sends."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

import pytest
import yaml


@dataclass
class ReceivedRun:
    """What the server received about one run."""

    upserts: list[dict[str, Any]] = field(default_factory=list)
    """The variables of every `UpsertBucket`."""
    lines: list[str] = field(default_factory=list)
    """The lines of the history. A chunk overwrites the lines from its offset on."""
    offsets: list[int] = field(default_factory=list)
    """Offsets of the chunks of the history."""
    summary: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    exit_code: int | None = None

    @property
    def history(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    @property
    def config(self) -> dict[str, Any]:
        """The last configuration, without the client's own section."""
        sent = json.loads([upsert["config"] for upsert in self.upserts if upsert["config"]][-1])
        return {key: item["value"] for key, item in sent.items() if key != "_wandb"}


class StandIn:
    """The server: `with StandIn() as server`.

    Args:
        refuse: reject every query.
        mute: never answer a query.
        num_cells: an agent of a grid sweep receives this many cells, as runs `agent-0`, `agent-1`, ..., then exits.
    """

    def __init__(self, *, refuse: bool = False, mute: bool = False, num_cells: int = 2) -> None:
        self.refuse = refuse
        self.mute = mute
        self.num_cells = num_cells
        self.sweep: dict[str, Any] = {}
        self.assigned: dict[str, dict[str, Any]] = {}
        """Run id -> the cell assigned to an agent."""
        self.runs: dict[str, ReceivedRun] = {}
        self.operations: list[str] = []
        self.everything = b""
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Makes wandb in this process use this server, with a key."""
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)

    @property
    def environment(self) -> dict[str, str]:
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": "0123456789" * 4}

    def __enter__(self) -> StandIn:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        standin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self._body()
                if standin.mute:
                    standin.closing.wait(60)
                status, reply = standin.answer(self.path, body)
                self._reply(status, reply)

            def do_PUT(self) -> None:
                standin.upload(self.path, self._body())
                self._reply(200, {})

            def handle(self) -> None:
                with contextlib.suppress(ConnectionError):  # the client has closed the connection
                    super().handle()

            def log_message(self, *arguments: object) -> None:
                pass

            def _body(self) -> bytes:
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))

            def _reply(self, status: int, reply: dict[str, Any]) -> None:
                data = json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        return Handler

    def answer(self, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        with self._lock:
            self.everything += body
            if not path.endswith("/graphql"):
                self._file_stream(path.split("/")[-2], json.loads(body))
                return 200, {}
            request = json.loads(body)
            named = re.search(r"(?:query|mutation)\s+(\w+)", request["query"])
            operation = named.group(1) if named else ""
            self.operations.append(operation)
            if self.refuse:
                return 401, {"errors": [{"message": "user is not logged in"}]}
            answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
                "Viewer": lambda _: {"viewer": VIEWER},
                "ServerFeaturesQuery": lambda _: {"serverInfo": {"features": []}},
                "UpsertBucket": self._upsert,
                "CreateRunFiles": self._create_run_files,
                "ArtifactType": lambda _: {"project": {"artifact": None}},
                "CreateArtifact": lambda _: {"createArtifact": {"artifact": ARTIFACT}},
                "CreateArtifactManifest": self._create_manifest,
                "CreateArtifactFiles": self._create_artifact_files,
                "CommitArtifact": lambda _: {"commitArtifact": {"artifact": {"id": "A", "digest": "d"}}},
                "UpsertSweep": self._upsert_sweep,
                "SweepWithRuns": lambda _: {"project": {"sweep": self.sweep | {"runs": {"edges": []}}}},
                "CreateAgent": lambda _: {"createAgent": {"agent": {"id": "agent"}}},
                "Heartbeat": self._heartbeat,
            }
            known = answers.get(operation)
            return 200, {"data": known(request.get("variables") or {}) if known else {}}

    def upload(self, path: str, data: bytes) -> None:
        with self._lock:
            self.everything += data
            _, _, run, name = path.split("/", 3)
            self.runs.setdefault(run, ReceivedRun()).files[name] = data

    def _upsert(self, variables: dict[str, Any]) -> dict[str, Any]:
        self.runs.setdefault(variables["name"], ReceivedRun()).upserts.append(variables)
        project = {"id": "P", "name": variables["project"], "entity": {"id": "E", "name": "someone"}}
        empty = {"description": None, "config": None, "sweepName": None, "historyLineCount": 0}
        bucket = {"id": "B", "name": variables["name"], "displayName": variables["displayName"], "project": project}
        return {"upsertBucket": {"bucket": bucket | empty, "inserted": True}}

    def _upsert_sweep(self, variables: dict[str, Any]) -> dict[str, Any]:
        project = {"id": "P", "name": variables["projectName"], "entity": {"id": "E", "name": "someone"}}
        self.sweep = {"id": "S", "name": SWEEP, "config": variables["config"], "project": project}
        return {"upsertSweep": {"sweep": self.sweep, "configValidationWarnings": []}}

    def _heartbeat(self, variables: dict[str, Any]) -> dict[str, Any]:
        commands: list[dict[str, Any]] = []
        if not json.loads(variables["runState"]):  # a busy agent would kill its run at `exit`
            commands = [self._next_cell() if len(self.assigned) < self.num_cells else {"type": "exit"}]
        return {"agentHeartbeat": {"agent": {"id": "agent"}, "commands": json.dumps(commands)}}

    def _next_cell(self) -> dict[str, Any]:
        config = yaml.safe_load(self.sweep["config"])
        axes = [item.get("values", [item.get("value")]) for item in config["parameters"].values()]
        cell = next(itertools.islice(itertools.product(*axes), len(self.assigned), None))
        run_id = f"agent-{len(self.assigned)}"
        self.assigned[run_id] = dict(zip(config["parameters"], cell, strict=True))
        args = {key: {"value": value} for key, value in self.assigned[run_id].items()}
        return {"type": "run", "run_id": run_id, "program": config["program"], "args": args}

    def _create_run_files(self, variables: dict[str, Any]) -> dict[str, Any]:
        place = f"{self.url}/upload/{variables['run']}"
        files = [{"name": name, "uploadUrl": f"{place}/{name}"} for name in variables["files"]]
        return {"createRunFiles": {"runID": "B", "uploadHeaders": [], "files": files}}

    def _create_manifest(self, variables: dict[str, Any]) -> dict[str, Any]:
        file = {"id": "F", "uploadUrl": f"{self.url}/upload/{variables['runName']}/manifest", "uploadHeaders": []}
        return {"createArtifactManifest": {"artifactManifest": {"id": "M", "file": file}}}

    def _create_artifact_files(self, variables: dict[str, Any]) -> dict[str, Any]:
        nodes = []
        for asked in variables["input"]["artifactFiles"]:
            place = f"{self.url}/upload/artifacts/{asked['name']}"
            file: dict[str, Any] = {
                "storagePath": None,
                "uploadUrl": place,
                "uploadHeaders": [],
                "uploadMultipartUrls": None,
            }
            nodes.append({"node": file | {"artifact": {"id": "A"}}})
        return {"createArtifactFiles": {"files": {"edges": nodes}}}

    def _file_stream(self, run_id: str, sent: dict[str, Any]) -> None:
        run = self.runs.setdefault(run_id, ReceivedRun())
        files = sent.get("files") or {}
        if history := files.get("wandb-history.jsonl"):
            run.offsets.append(history["offset"])
            run.lines[history["offset"] : history["offset"] + len(history["content"])] = history["content"]
        if summary := files.get("wandb-summary.json"):
            run.summary = json.loads(summary["content"][-1])
        run.exit_code = sent.get("exitcode", run.exit_code)


SWEEP = "abcd1234"
VIEWER = {"id": "V", "entity": "someone", "username": "someone", "email": "", "flags": "{}", "teams": {"edges": []}}
ARTIFACT = {"id": "A", "state": "PENDING", "artifactSequence": {"id": "S", "latestArtifact": None}}
