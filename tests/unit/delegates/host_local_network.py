"""A network of host-local's in a directory of the test, the plugin called in this process."""

from pathlib import Path
from typing import Any

from delegates.host_local import HostLocal
from tests.unit.delegates.ipam_requests import request

V4 = {"subnet": "192.0.2.0/29"}
V6 = {"subnet": "fd00::/126"}
BOTH = {"ranges": [[V4], [V6]]}
WEB = "web-1\r\neth0"


class Network:
    """A network with its directory, and the plugin called in this process."""

    def __init__(self, base: Path, ipam: dict[str, Any]) -> None:
        self.directory = base / "net"
        self.ipam = {"dataDir": str(base), **ipam}

    def add(self, container_id: str = "web-1", **options: Any) -> list[str]:
        asked = request(self.ipam, container_id=container_id, **options)
        return [ip["address"] for ip in HostLocal().add(asked)["ips"]]

    def delete(self, container_id: str = "web-1", **options: Any) -> None:
        HostLocal().delete(request(self.ipam, container_id=container_id, **options))

    def check(self, container_id: str = "web-1", **options: Any) -> None:
        HostLocal().check(request(self.ipam, container_id=container_id, **options))

    def put(self, name: str, words: str) -> None:
        self.directory.mkdir(exist_ok=True)
        (self.directory / name).write_bytes(words.encode())

    @property
    def files(self) -> dict[str, str]:
        files = {path.name: path.read_bytes().decode() for path in self.directory.iterdir()}
        files.pop("lock", None)
        return files

    @property
    def leases(self) -> dict[str, str]:
        return {name: words for name, words in self.files.items() if "last" not in name}
