"""An API server that speaks Kubernetes' REST and websocket `exec` on 127.0.0.1 and runs containers as local processes.

It knows jobs, pods, logs, secrets and network policies of one namespace. What is created must be valid by the API's
published schema. There is no isolation: the programs are the test's own, and what would try to break out is refused.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate

from tests.factories.kubernetes_stream import Stream

Object = dict[str, Any]
SCHEMA = "1.37.0"
TOKEN = "a-service-account"
_ROOT = Path(__file__).resolve().parents[2]
_PATH = re.compile(
    r"/(?:api/v1|apis/[a-z0-9.]+/v1)/namespaces/(?P<space>[^/]+)/(?P<kind>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>\w+))?"
)
_PAUSE = 0.02
#: Of the self-test's probe. It mounts and unshares: here nothing would stop it from doing so on this host.
_HOSTILE = ("mount", "unshare", "ctypes", "_probe")


class Pod:
    """One pod: folders for its volumes, a process for its submission."""

    def __init__(self, cluster: Cluster, job: Object) -> None:
        template = job["spec"]["template"]
        labels = {**template["metadata"]["labels"], "batch.kubernetes.io/job-name": job["metadata"]["name"]}
        name = f"{job['metadata']['name']}-{uuid.uuid4().hex[:5]}"
        self.cluster = cluster
        self.folder = Path(tempfile.mkdtemp(prefix="pod-", dir=cluster.folder))
        for volume in ("channel", "files", "tmp"):
            (self.folder / volume).mkdir()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.gone = threading.Event()
        self.fate = cluster.fates.get(template["metadata"]["annotations"]["touchstone/run"], {})
        self.object: Object = {
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": labels, "annotations": template["metadata"]["annotations"]},
            "spec": dict(template["spec"]), "status": {"phase": "Pending"},
        }  # fmt: skip
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    @property
    def status(self) -> Object:
        status: Object = self.object["status"]
        return status

    def start(self, container: Object, command: list[str], **streams: Any) -> subprocess.Popen[bytes]:
        """A program of a container, in the pod's folders."""
        env = {
            "PATH": os.environ["PATH"], "PYTHONPATH": f"{_ROOT}:{_ROOT / 'client'}",
            **{item["name"]: self._local(item["value"]) for item in container.get("env", [])},
        }  # fmt: skip
        if self.cluster.refuses(command):
            raise AssertionError("the fake has no walls: it runs nothing that tries to break out")
        argv = [self._local(part) for part in command]
        argv[0] = sys.executable if argv[0] in ("python", "python3") else argv[0]
        cwd = self.folder / ("files" if container.get("workingDir") == "/submission" else "tmp")
        process = subprocess.Popen(argv, env=env, cwd=cwd, start_new_session=True, **streams)
        self.processes.append(process)
        return process

    def end(self) -> None:
        """Deleted: everything in it ends, at once."""
        self.gone.set()
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._thread.join()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _local(self, text: str) -> str:
        return text.replace("/run/touchstone", f"{self.folder}/channel").replace("/submission", f"{self.folder}/files")

    def _live(self) -> None:
        if "stuck" in self.fate:
            self.status.update(self.fate["stuck"])
            return
        self.object["spec"]["nodeName"] = "node-1"
        relay, submission = self.object["spec"]["initContainers"][0], self.object["spec"]["containers"][0]
        self.status["initContainerStatuses"] = [{"name": relay["name"], "state": {"running": {}}}]
        while not self._is_up(relay):
            if self.gone.wait(_PAUSE):
                return
        with (self.folder / "log").open("wb") as log:
            process = self.start(submission, submission["command"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._tell(submission["name"], {"running": {}}, "Running")
        if "struck" in self.fate:
            self.gone.wait(0.5)
            self.status.update(self.fate["struck"])
            return
        code = process.wait()
        if self.gone.is_set():
            return
        code = 128 - code if code < 0 else code
        ended = {"exitCode": code, "reason": "Completed" if code == 0 else "Error", **self.fate.get("terminated", {})}
        self._tell(submission["name"], {"terminated": ended}, "Succeeded" if code == 0 else "Failed")

    def _is_up(self, relay: Object) -> bool:
        test, flag, path = relay["startupProbe"]["exec"]["command"]
        assert (test, flag) == ("test", "-S")
        return Path(self._local(path)).is_socket()

    def _tell(self, name: str, state: Object, phase: str) -> None:
        self.status["containerStatuses"] = [{"name": name, "state": state}]
        self.status["phase"] = phase


class Cluster:
    """`fates`: by run, what befalls its pod. `faults`: (method, part of the path, status, headers), each used once."""

    def __init__(self, *, protocol: str = "v5.channel.k8s.io") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="k8s-"))
        self.protocol = protocol
        self.objects: dict[tuple[str, str], Object] = {}
        self.pods: dict[str, Pod] = {}
        self.fates: dict[str, Object] = {}
        self.faults: list[tuple[str, str, int, dict[str, str]]] = []
        self.made: list[Object] = []
        self.lock = threading.RLock()
        handler = type("Handler", (_Handler,), {"cluster": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        for name in list(self.pods):
            self.remove_pod(name)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def refuses(command: Sequence[str]) -> bool:
        """Whether a program may do harm outside its sandbox, which here is this host."""
        return any(word in part for part in command for word in _HOSTILE)

    def create(self, kind: str, body: Object) -> Object:
        """Raises as `_make` does, and `AssertionError` for a program that is refused."""
        if kind == "jobs":
            containers = body["spec"]["template"]["spec"]["containers"]
            if any(self.refuses(item.get("command", [])) for item in containers):
                raise AssertionError("the fake has no walls: it runs nothing that tries to break out")
        return self._make(kind, body)

    def _make(self, kind: str, body: Object) -> Object:
        """The stored object. Raises `ValueError` where the schema refuses it."""
        problems = list(_defects(body))
        if problems:
            raise ValueError("; ".join(problems))
        body["metadata"]["uid"] = str(uuid.uuid4())
        self.objects[kind, body["metadata"]["name"]] = body
        self.made.append(json.loads(json.dumps(body)))
        self.schedule(body)
        return body

    def schedule(self, job: Object) -> None:
        if job["kind"] == "Job" and not job["spec"].get("suspend"):
            pod = Pod(self, job)
            self.pods[pod.object["metadata"]["name"]] = pod

    def remove(self, kind: str, name: str) -> bool:
        if kind == "pods":
            return self.remove_pod(name)
        found = self.objects.pop((kind, name), None)
        if found is None:
            return False
        for pod in [key for key, pod in self.pods.items() if key.startswith(f"{name}-")]:
            self.remove_pod(pod)
        uid = found["metadata"]["uid"]
        for key, item in list(self.objects.items()):
            if any(owner["uid"] == uid for owner in item["metadata"].get("ownerReferences", [])):
                del self.objects[key]
        return True

    def remove_pod(self, name: str) -> bool:
        pod = self.pods.pop(name, None)
        if pod is None:
            return False
        pod.end()
        return True

    def fault(self, method: str, path: str) -> tuple[int, dict[str, str]] | None:
        for entry in self.faults:
            if entry[0] == method and entry[1] in path:
                self.faults.remove(entry)
                return entry[2], entry[3]
        return None


def _defects(body: Object) -> list[str]:
    try:
        kubernetes_validate.validate(body, SCHEMA, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{'.'.join(map(str, error.path))}: {error.message}"]
    return []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cluster: Cluster

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self._route("GET")

    def do_POST(self) -> None:
        self._route("POST")

    def do_PATCH(self) -> None:
        self._route("PATCH")

    def do_DELETE(self) -> None:
        self._route("DELETE")

    def _route(self, method: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        fault = self.cluster.fault(method, self.path)
        if fault is not None:
            self._answer(fault[0], _status(fault[0], "a fault"), fault[1])
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, _status(401, "Unauthorized"))
        elif self.path == "/version":
            self._answer(200, {"gitVersion": "v1.37.0-fake"})
        else:
            self._objects(method, body)

    def _objects(self, method: str, body: Object) -> None:
        parts = urlsplit(self.path)
        found = _PATH.fullmatch(parts.path)
        if found is None or found["space"] != "touchstone":
            return self._answer(404, _status(404, "the server could not find the requested resource"))
        kind, name, sub = found["kind"], found["name"] or "", found["sub"] or ""
        query = parse_qs(parts.query)
        if sub == "exec":
            return self._exec(name, query)
        if sub == "log":
            return self._log(name)
        with self.cluster.lock:
            status, answer = self._act(method, kind, name, body, query)
        return self._answer(status, answer)

    def _act(self, method: str, kind: str, name: str, body: Object, query: dict[str, list[str]]) -> tuple[int, Object]:
        cluster = self.cluster
        if method == "POST":
            if (kind, body["metadata"]["name"]) in cluster.objects:
                return 409, _status(409, "already exists")
            try:
                return 201, cluster.create(kind, body)
            except ValueError as error:
                return 422, _status(422, str(error))
        if method == "DELETE":
            return (200, _status(200, "")) if cluster.remove(kind, name) else (404, _status(404, "not found"))
        if not name:
            wanted = dict(part.split("=", 1) for part in query.get("labelSelector", [""])[0].split(",") if part)
            every = [pod.object for pod in cluster.pods.values()] if kind == "pods" else self._kind(kind)
            return 200, {"items": [item for item in every if wanted.items() <= item["metadata"]["labels"].items()]}
        pod = cluster.pods.get(name)
        item = (pod.object if pod else None) if kind == "pods" else cluster.objects.get((kind, name))
        if item is None:
            return 404, _status(404, "not found")
        if method == "PATCH":
            assert self.headers["Content-Type"] == "application/merge-patch+json"
            item["spec"].update(body["spec"])
            cluster.schedule(item)
        return 200, item

    def _kind(self, kind: str) -> list[Object]:
        return [item for (of, _), item in self.cluster.objects.items() if of == kind]

    def _log(self, name: str) -> None:
        pod = self.cluster.pods.get(name)
        if pod is None:
            return self._answer(404, _status(404, "not found"))
        path = pod.folder / "log"
        return self._send(200, path.read_bytes() if path.exists() else b"", "text/plain", {})

    def _answer(self, status: int, body: Object, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(body).encode(), "application/json", headers or {})

    def _send(self, status: int, body: bytes, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def _exec(self, name: str, query: dict[str, list[str]]) -> None:
        pod = self.cluster.pods.get(name)
        if pod is None:
            return self._answer(404, _status(404, "not found"))
        containers = [*pod.object["spec"]["initContainers"], *pod.object["spec"]["containers"]]
        container = next(item for item in containers if item["name"] == query["container"][0])
        self.close_connection = True
        stream = Stream(self, self.cluster.protocol)
        pipe = subprocess.PIPE
        return stream.run(pod.start(container, query["command"], stdin=pipe, stdout=pipe, stderr=pipe))


def _status(code: int, message: str) -> Object:
    return {"kind": "Status", "apiVersion": "v1", "code": code, "message": message}


def until(condition: Any, seconds: float = 10.0) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)
