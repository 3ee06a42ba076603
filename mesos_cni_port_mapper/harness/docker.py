"""Docker's engine, by its API: nothing else talks to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from mesos_cni_port_mapper.harness.docker_plan import parse_failure
from mesos_cni_port_mapper.harness.errors import HarnessError, one_line

_TIMEOUT = 60


class Engine:
    """The engine that listens at a socket of this host; every failure is a ``HarnessError``."""

    def __init__(self, socket_path: str) -> None:
        self._socket = socket_path
        with self._worded():
            self._api = docker.APIClient(
                base_url=f"unix://{socket_path}", version="auto", timeout=_TIMEOUT
            )

    def provide(self, image: str) -> None:
        """Pull an image unless it is there, which takes as long as it takes."""
        with self._worded():
            try:
                self._api.inspect_image(image)
            except ImageNotFound:
                self._api.pull(image)

    def create(self, name: str, document: dict[str, Any]) -> str:
        """Create a container and return Docker's own ID of it."""
        with self._worded():
            return str(self._api.create_container_from_config(document, name)["Id"])

    def start(self, container: str) -> None:
        """Start a container; a command that is not there, or not to be run, has a status."""
        try:
            with self._worded():
                self._api.start(container)
        except HarnessError as error:
            with contextlib.suppress(HarnessError):
                status = parse_failure(self.inspect(container))
                error.status = error.status if status is None else status
            raise

    def attach(self, container: str) -> Iterator[tuple[bytes | None, bytes | None]]:
        """Return pieces of stdout and stderr as they come, to be asked for before it starts."""
        with self._worded():
            pieces: Iterator[tuple[bytes | None, bytes | None]] = self._api.attach(
                container, stdout=True, stderr=True, stream=True, demux=True
            )
        return pieces

    def output(self, container: str) -> tuple[bytes, bytes]:
        """Return all of stdout and of stderr that the engine has kept."""
        with self._worded():
            return (
                self._api.logs(container, stdout=True, stderr=False),
                self._api.logs(container, stdout=False, stderr=True),
            )

    def inspect(self, container: str) -> dict[str, Any]:
        """Return what the engine knows of a container."""
        with self._worded():
            document: dict[str, Any] = self._api.inspect_container(container)
        return document

    def wait(self, container: str) -> int:
        """Wait until a container has ended, and return its exit status."""
        with self._worded():
            return int(self._api.wait(container)["StatusCode"])

    def remove(self, container: str) -> None:
        """End and remove a container with its volumes; one that is not there is fine."""
        with self._worded(), contextlib.suppress(NotFound):
            self._api.remove_container(container, force=True, v=True)

    def find(self, name: str) -> dict[str, Any] | None:
        """Return what the engine knows of a container that may be gone."""
        with self._worded():
            try:
                document: dict[str, Any] = self._api.inspect_container(name)
            except NotFound:
                return None
        return document

    @contextlib.contextmanager
    def _worded(self) -> Iterator[None]:
        try:
            yield
        except APIError as error:
            words = " ".join(str(error.explanation or error).split())
            raise HarnessError(f"docker: {words}") from error
        # What the library finds out before it has a connection, and what it leaves to `requests`.
        except (DockerException, OSError) as error:
            where = f"docker: the engine at {self._socket} does not answer"
            raise HarnessError(f"{where}: {one_line(error)}") from error
