"""An agent on a throwaway host, and HTTP to it as a caller on that host would speak it."""

import http.client
import json
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.netns.containers import ENDLESS, Tool
from tests.support.process import Process
from tests.support.waiting import eventually

SOCKET = "/run/agent.sock"
_GONE = (ConnectionError, FileNotFoundError)

# From inside of the host, for what listens at its loopback.
_FETCH = """\
import http.client, json, sys
method, address, port, path, headers, body = json.loads(sys.stdin.read())
connection = http.client.HTTPConnection(address, port, timeout=20)
connection.request(method, path, body=body, headers=headers)
answer = connection.getresponse()
print(json.dumps([answer.status, dict(answer.getheaders()), answer.read().decode()]))
"""


@dataclass(frozen=True)
class Answer:
    """A response: its status, its headers and what it says."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def document(self) -> Any:
        """Return the JSON in it."""
        return json.loads(self.text)


class _Connection(http.client.HTTPConnection):
    """HTTP to a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Agent:
    """`mesos-cni agent` at a Unix socket, or wherever the flags say."""

    def __init__(self, tool: Tool, *flags: str) -> None:
        self.tool = tool
        self.flags = flags or ("--socket", SOCKET)
        self.process = self._start()

    def _start(self) -> Process:
        return self.tool.start("agent", *self.flags, input=None)

    def ready(self) -> "Agent":
        """Wait until it has recovered."""
        assert eventually(self._health, 200, 15) == 200
        return self

    def _health(self) -> int:
        try:
            return self.get("/health").status
        except _GONE:
            return 0

    def restart(self) -> None:
        """Start another one in its place."""
        self.process = self._start()
        self.ready()

    def kill(self) -> None:
        """Kill it alone, with no chance to do anything, and wait until it is gone."""
        self.process.kill()
        assert eventually(lambda: self.process.running, False) is False

    def end(self) -> tuple[int, str]:
        """Ask it to leave; return its status and what it said on stderr."""
        self.process.kill(15)
        finished = self.process.wait(10)
        return finished.status, finished.stderr.decode()

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request to the socket."""
        connection = _Connection(self.tool.host.path(SOCKET))
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            response = connection.getresponse()
            text = response.read().decode()
            return Answer(response.status, dict(response.getheaders()), text)
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        """Send a GET."""
        return self.request("GET", path)

    def call(self, kind: str, **fields: Any) -> Answer:
        """Send a call of the v1 operator API."""
        document = {"type": kind, kind.lower(): fields}
        return self.post(json.dumps(document).encode())

    def post(self, body: bytes, content_type: str = "application/json") -> Answer:
        """Send a body to the v1 operator API."""
        return self.request("POST", "/api/v1", body, {"Content-Type": content_type})

    def launch(self, name: str, *networks: Mapping[str, Any], command: str = ENDLESS) -> Answer:
        """Launch a container on networks."""
        container = {"type": "MESOS", "network_infos": networks}
        return self.call(
            "LAUNCH_CONTAINER",
            container_id=identity(name),
            command={"value": command},
            container=container,
        )

    def tasks(self) -> dict[str, Any]:
        """Return the tasks that `/state` has, in whatever list, by ID."""
        state = self.get("/state").document
        frameworks = state["frameworks"] + state["completed_frameworks"]
        executors = [
            executor
            for framework in frameworks
            for executor in framework["executors"] + framework["completed_executors"]
        ]
        return {
            task["id"]: task
            for executor in executors
            for task in executor["tasks"] + executor["completed_tasks"]
        }

    def states(self) -> dict[str, str]:
        """Return the tasks' states by ID."""
        return {name: task["state"] for name, task in self.tasks().items()}


def identity(container_id: str) -> dict[str, Any]:
    """Return a ContainerID."""
    parent, _, value = container_id.rpartition(".")
    return {"value": value, "parent": identity(parent)} if parent else {"value": value}


def fetch(
    tool: Tool,
    address: str,
    port: int,
    path: str,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    body: str | None = None,
) -> Answer:
    """Send a request from the host, over TCP."""
    words = [method, address, port, path, dict(headers or {}), body]
    done = tool.host.run([sys.executable, "-c", _FETCH], json.dumps(words).encode())
    return Answer(*json.loads(done.text))
