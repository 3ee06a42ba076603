"""Show what the port mapper does, on a host made of namespaces: `make demo`.

The namespaces hold the network, the mounts and the processes, and without root the users too. What
happens in there is in `demo_steps.py`, whose process leaves when this one does, however that ends;
the kernel then removes everything that was made.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FROZEN = [
    ROOT / f"dist/{each}"
    for each in (
        "plugins/mesos-cni-port-mapper",
        "plugins/.mesos-cni-delegates/bridge",
        "bin/mesos-cni",
    )
]
STEPS = ROOT / "packaging/demo_steps.py"
# What a container's command is looked for in as well.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PACKAGES = {
    "python3": "python3",
    "unshare": "util-linux",
    "ip": "iproute2",
    "iptables": "iptables",
}
KINDS = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]


class CannotShowError(Exception):
    """This machine lacks what the demo is made of."""


def check_for_tools() -> None:
    for program in FROZEN:
        if not program.exists():
            message = f"{program.name} is not built yet; `make build` does it"
            raise CannotShowError(message)
    for tool, package in PACKAGES.items():
        if shutil.which(tool, path=SYSTEM_PATH) is None:
            message = f"there is no {tool}; Debian has it in the package {package}"
            raise CannotShowError(message)


def namespaces() -> list[str]:
    """Return the command that makes the namespaces around another, or raise with the reason."""
    users = ["--user", "--map-root-user"]
    reason = ""
    # Root in a container may lack the privilege, and be allowed a user namespace all the same.
    for user in [[], users] if os.geteuid() == 0 else [users]:
        command = ["unshare", *user, *KINDS, "--propagation", "private"]
        finished = subprocess.run(
            [*command, "true"],
            env={"PATH": SYSTEM_PATH, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
        )
        if finished.returncode == 0:
            return command
        reason = finished.stderr.strip()
    message = f"no namespaces to be had here ({reason}); root has them, in a container --privileged"
    raise CannotShowError(message)


def show() -> int:
    command = [*namespaces(), sys.executable, "-sB", str(STEPS)]
    # A session of its own: Ctrl-C comes to us, and there it is the end of stdin.
    environment = {name: os.environ[name] for name in ("NO_COLOR", "TERM") if name in os.environ}
    process = subprocess.Popen(
        command,
        env={**environment, "LC_ALL": "C", "PATH": SYSTEM_PATH},
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        return process.wait()
    finally:
        if process.stdin:
            process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        # Should it not have left: what is inside dies with the program that made the namespaces.
        process.kill()
        process.wait()


def main() -> int:
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        check_for_tools()
        return show()
    except CannotShowError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
