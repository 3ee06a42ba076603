"""containerd in a throwaway host, with `ctr` and with as much of a kubelet as makes a pod."""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any

from tests.clients.grpc import CallError, call, decode_first_string, encode
from tests.clients.stage import GUEST, RUNTIME, SLEEP, Stage
from tests.support.plugin import PLUGIN_DIRECTORY
from tests.support.process import CommandError, Finished
from tests.support.waiting import eventually

SOCKET = "/run/containerd/containerd.sock"
IMAGE = "localhost/pause:1"
PATIENCE = 20.0
"""Seconds that a daemon may take on a machine that does other things too."""

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
PROTOCOLS = {"tcp": 0, "udp": 1, "sctp": 2}

# Whatever a kernel or a privilege may be missing for is left out.
_CONFIGURATION = f"""\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
    "io.containerd.internal.v1.opt",
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.overlayfs",
    "io.containerd.snapshotter.v1.zfs",
]

[grpc]
address = "{SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{IMAGE}"
disable_apparmor = true
disable_cgroup = true
disable_hugetlb_controller = true
restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
default_runtime_name = "crun"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.crun]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.crun.options]
BinaryName = "{RUNTIME}"
"""


class Containerd:
    """A daemon, for the whole life of its host."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        # Debian's containerd looks there too, others do not.
        stage.host.hide(PLUGIN_DIRECTORY)
        stage.host.path("/run/containerd.toml").write_text(_CONFIGURATION)
        stage.run(["sh", "-c", "containerd --config /run/containerd.toml >/run/log 2>&1 &"])
        if not eventually(stage.host.path(SOCKET).exists, True, PATIENCE):
            raise CommandError(self.log())

    def log(self) -> str:
        """Return what the daemon has said last."""
        return self.stage.host.path("/run/log").read_text()[-3000:]

    def ctr(self, *words: str) -> Finished:
        """Run a command of ctr's."""
        return self.stage.run(["ctr", *words])

    def run(self, name: str, *options: str, program: Sequence[str] = SLEEP) -> None:
        """Run a container on the only network."""
        lean = ("--rootfs", "--cgroup", "", "--runc-binary", RUNTIME)
        self.ctr("run", "--cni", *lean, *options, GUEST, name, *program)

    def remove(self, name: str) -> None:
        """Kill a container and remove what containerd has of it."""
        self.ctr("task", "kill", "--signal", "SIGKILL", name)
        eventually(lambda: self._tasks(name), ["STOPPED"], PATIENCE)
        self.ctr("task", "rm", "--force", name)
        self.ctr("container", "rm", name)

    def _tasks(self, name: str) -> list[str]:
        """Return the states of a container's tasks, of which there is one at most."""
        rows = [line.split() for line in self.ctr("task", "ls").text.splitlines()]
        return [row[2] for row in rows if row[0] == name]

    def attachments(self) -> list[dict[str, str]]:
        """Return what a runtime tells that it still knows, for those of ctr's that run."""
        running = self.ctr("task", "ls", "--quiet").text.split()
        return [{"containerID": f"default-{name}", "ifname": "eth0"} for name in running]


class Kubelet:
    """The calls by which a kubelet makes a pod, gives it ports, and lets it go."""

    def __init__(self, containerd: Containerd) -> None:
        self.containerd = containerd
        containerd.stage.shell("ln -s .mesos-cni-delegates/loopback /opt/cni/bin/")
        path = containerd.stage.host.path("/run/image.tar")
        path.write_bytes(_image(containerd.stage))
        importing = ("image", "import", "--snapshotter", "native", "/run/image.tar")
        containerd.ctr("--namespace", "k8s.io", *importing)

    def use(self, network: Any) -> None:
        """Configure the only network, and wait as a kubelet does until containerd has read it."""
        self.containerd.stage.configure(network)
        ready = encode(1, "NetworkReady") + encode(2, 1)
        if not eventually(lambda: ready in self._call("Status", b""), True, PATIENCE):
            raise CommandError(self.containerd.log())

    def run_pod(self, name: str, *ports: Mapping[str, Any]) -> str:
        """Run a pod that publishes ports and return its ID."""
        metadata = encode(1, name) + encode(2, f"uid-{name}") + encode(3, "default")
        pod = encode(1, metadata) + b"".join(encode(5, _port(**port)) for port in ports)
        return decode_first_string(self._call("RunPodSandbox", encode(1, pod)))

    def kill(self, pod: str) -> None:
        """Kill the process that holds a pod's namespaces, as a crash would."""
        lines = self.containerd.ctr("--namespace", "k8s.io", "task", "ls").text.splitlines()
        pids = dict(line.split()[:2] for line in lines)
        self.containerd.stage.shell(f"kill -KILL {pids[pod]}")

    def stop_pod(self, pod: str) -> None:
        """Stop a pod, which takes it off its network."""
        self._call("StopPodSandbox", encode(1, pod))

    def remove_pod(self, pod: str) -> None:
        """Remove a pod that was stopped, or was not."""
        self._call("RemovePodSandbox", encode(1, pod))

    def _call(self, method: str, message: bytes) -> bytes:
        path = self.containerd.stage.host.path(SOCKET)
        try:
            return call(path, f"/runtime.v1.RuntimeService/{method}", message)
        except CallError:
            raise CommandError(self.containerd.log()) from None


def _port(host: int, container: int, protocol: str = "tcp", address: str = "") -> bytes:
    numbers = encode(1, PROTOCOLS[protocol]) + encode(2, container) + encode(3, host)
    return numbers + encode(4, address)


def _image(stage: Stage) -> bytes:
    """Return an archive, in OCI's format, of an image that has the program that waits."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        archive.add(stage.host.path(GUEST), ".")
    kind = "application/vnd.oci.image"
    blobs: dict[str, bytes] = {}

    def descriptor(media: str, data: bytes, **more: Any) -> Any:
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        fields = {"mediaType": f"{kind}.{media}", "digest": f"sha256:{digest}", "size": len(data)}
        return {**fields, **more}

    layers = [descriptor("layer.v1.tar", layer.getvalue())]
    rootfs = {"type": "layers", "diff_ids": [layers[0]["digest"]]}
    machine = platform.machine()
    config = {
        "architecture": ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "rootfs": rootfs,
        "config": {"Cmd": SLEEP},
    }
    manifest = {"schemaVersion": 2, "layers": layers}
    manifest["config"] = descriptor("config.v1+json", json.dumps(config).encode())
    named = {"annotations": {"io.containerd.image.name": IMAGE}}
    index = descriptor("manifest.v1+json", json.dumps(manifest).encode(), **named)
    blobs["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [index]}).encode()
    blobs["oci-layout"] = b'{"imageLayoutVersion": "1.0.0"}'
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for name, data in blobs.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return whole.getvalue()
