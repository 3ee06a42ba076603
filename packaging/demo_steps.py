"""The steps of the demo, on its own host: each one acts, shows what it did, and checks it.

Run by `demo.py` as the first process of new namespaces; it must not be run anywhere else.
"""

import json
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from demo_commands import ROOT, StepError, expect, must, run
from demo_facts import (
    ADDRESS,
    BRIDGE,
    CHAIN,
    CHECKPOINTS,
    CLIENT,
    CONTAINER,
    EXAMPLE,
    GET,
    GET_ONE,
    HOST,
    MAPPINGS,
    MESOS_CNI,
    NETWORK,
    PICTURE,
    REFUSED,
    REMARKS,
    RULES,
    RUN,
    STAGE,
    STATUS,
    STATUS_REMARKS,
    TRACES,
    configuration,
    injected_args,
    pages,
)
from demo_screen import Screen

PATIENCE = 5


class Steps:
    """The steps, in the order in which they are shown."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen

    def set_the_stage(self) -> None:
        private_directories()
        for line in STAGE.splitlines():
            must(line)
        # The bridge plugin does so too; a host for containers has it on before any is started.
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")
        self.screen.say(
            "A client, a host and a container, all made of namespaces, which end with this demo:"
        )
        self.screen.document(PICTURE, {})

    def configure(self) -> None:
        self.screen.heading("1  A network for containers: its configuration")
        self.screen.command(f"cat {EXAMPLE}")
        self.screen.document((ROOT / EXAMPLE).read_text(), REMARKS)

    def launch(self) -> None:
        self.screen.heading("2  A container on it, with two of the host's ports")
        started = time.monotonic()
        name = self._do(RUN)
        took = time.monotonic() - started
        expect(name == f"{CONTAINER}\n", f"run should have printed {CONTAINER}, not {name!r}")
        self.screen.output(CONTAINER, f"it runs: {took:.2f} s, the plugins included")
        self._wait_for_page()
        self.screen.document(self._do(f"{MESOS_CNI} ps"), {})
        check_listing()
        check_status(must(STATUS))
        # What stands before the networks is in `ps` as well.
        self.screen.document(self._do(f"{STATUS} | tail -n 4"), STATUS_REMARKS)

    def show_checkpoints(self) -> None:
        self.screen.heading("3  What passed between the isolator and the plugin")
        given = read_json(Path(CHECKPOINTS, NETWORK, "network.conf"))
        expect(
            given == configuration() | injected_args(),
            f"network.conf should have been the configuration and {injected_args()}: {given}",
        )
        answer = read_json(Path(CHECKPOINTS, NETWORK, "eth0/network.info"))
        found = answer.get("ip4", {}).get("ip")
        expect(found == f"{ADDRESS}/16", f"ADD should have given {ADDRESS}/16, not {found}")
        self.screen.say("To ADD, the plugin got the configuration with what the container wants:")
        args = self._do(f"grep -o '\"args\":.*]}}}}}}' {CHECKPOINTS}/{NETWORK}/network.conf")
        self.screen.document(args.replace("[{", "[\n    {"), {})
        self.screen.say(
            "It had its delegate attach the container, made the rules, and gave the result:"
        )
        info = f"grep -o '\"ip4\":.*}}]}}' {CHECKPOINTS}/*/eth0/network.info"
        self.screen.document(self._do(info), {})

    def show_rules(self) -> None:
        self.screen.heading("4  What the plugin made in the kernel")
        command = f"iptables-save -t nat | grep {CHAIN}"
        self.screen.command(command)
        found = run(command).stdout.splitlines()
        for line in found:
            self.screen.output(line, RULES.get(line, ""))
        expect(sorted(found) == sorted(RULES), f"iptables-save should list {list(RULES)}")
        for trace in TRACES:
            expect(run(trace).stdout, f"{trace} should find the container")

    def ask(self) -> None:
        self.screen.heading("5  A client, who knows the host's address only, gets to the container")
        self._get("ip netns exec client", GET, pages(CLIENT))
        self.screen.say(
            "It sees the client's own address. The host's programs get there by way of OUTPUT:"
        )
        self._get("", GET_ONE, pages(HOST)[:1])
        self.screen.say(f"From within, the way is by {BRIDGE}, which is excluded:")
        self._get(f"{MESOS_CNI} exec {CONTAINER}", GET_ONE, REFUSED[:1], "demo_web.py")

    def end(self) -> None:
        self.screen.heading("6  The container ends, the plugin gets DEL, and nothing is left")
        for command in (f"{MESOS_CNI} kill {CONTAINER}", f"{MESOS_CNI} cleanup {CONTAINER}"):
            answer = self._do(command)
            expect(answer == "", f"{command} printed {answer!r}")

    def show_nothing(self) -> None:
        for trace, remark in TRACES.items():
            finished = run(trace)
            found = finished.stdout + finished.stderr
            expect(not found, f"{trace} should find nothing, and found {found!r}")
            self.screen.command(trace, remark)
        expect(
            soon(lambda: processes() == []),
            f"only the demo should be running on its host, not {processes()}",
        )
        self.screen.say("No process of it runs, and nobody answers at the host's ports:")
        self._get("ip netns exec client", GET, REFUSED)

    def _do(self, command: str) -> str:
        self.screen.command(command)
        return must(command)

    def _wait_for_page(self) -> None:
        logs = f"{MESOS_CNI} logs {CONTAINER}"
        up = soon(lambda: must(logs) == "ready\n")
        expect(up, f"{logs} should say that the page is up")

    def _get(
        self, where: str, request: str, expected: list[str], web: str = "packaging/demo_web.py"
    ) -> None:
        command = f"{where} python3 {web} {request}".lstrip()
        self.screen.command(command)
        finished = run(command)
        answers = (finished.stdout + finished.stderr).splitlines()
        for answer in answers:
            self.screen.output(answer)
        refused = int(expected[0] in REFUSED)
        expect(
            (answers, finished.returncode) == (expected, refused),
            f"{command} ended with {finished.returncode} and should have said {expected}",
        )


def check_listing() -> None:
    """Check what `ps` knows, in the form for programs."""
    (listed, *others) = json.loads(must(f"{MESOS_CNI} ps --json")) or [{}]
    expect(not others, f"ps should list one container, and lists {others} too")
    facts = (listed.get("container_id"), listed.get("state"), listed.get("monitored"))
    expect(facts == (CONTAINER, "running", True), f"ps should list a running {CONTAINER}: {facts}")


def check_status(shown: str) -> None:
    fields = {" ".join(line.split()) for line in shown.splitlines()}
    wanted = {f"id {CONTAINER}", "state running", f"network {NETWORK}", f"address {ADDRESS}"}
    wanted |= {f"port {ours}:{its}/tcp" for ours, its in MAPPINGS.items()}
    missing = sorted(wanted - fields)
    expect(not missing, f"status should say {missing}")


def read_json(path: Path) -> dict[str, Any]:
    document = json.loads(path.read_text())
    return document if isinstance(document, dict) else {}


def soon(holds: Callable[[], bool]) -> bool:
    """Wait until something holds; tell whether it did before our patience ended."""
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def processes() -> list[str]:
    """Return the command lines of all other processes on the demo's host; a zombie has none."""
    lines = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes()
        except OSError:
            continue
        if line and entry.parent.name != str(os.getpid()):
            lines.append(line.replace(b"\0", b" ").decode(errors="replace").strip())
    return lines


def private_directories() -> None:
    """Cover the directories that plugins write to, without creating any on the machine."""
    state = Path("/var/lib/cni")
    covered = ["/run", str(state) if state.is_dir() else str(state.parent)]
    if not Path("/var/run").is_symlink():
        covered.append("/var/run")
    checkout = os.open(ROOT, os.O_PATH)
    for directory in covered:
        must(f"mount -t tmpfs -o mode=0755 tmpfs {directory}")
        if not (ROOT / EXAMPLE).exists():
            # The checkout was below it.
            ROOT.mkdir(parents=True)
            # By its descriptor, because the path is covered; as it stands, or mount(8) resolves it.
            source = f"/proc/{os.getpid()}/fd/{checkout}"
            must(f"mount --no-canonicalize --rbind {source} {shlex.quote(str(ROOT))}")
    os.close(checkout)
    state.mkdir(exist_ok=True)


def leave_with_parent() -> None:
    """Leave when the other end of stdin closes: the demo outside is over, whatever ended it."""
    os.read(0, 1)
    os._exit(1)


def show() -> None:
    started = time.monotonic()
    screen = Screen()
    steps = Steps(screen)
    steps.set_the_stage()
    steps.configure()
    steps.launch()
    steps.show_checkpoints()
    steps.show_rules()
    steps.ask()
    steps.end()
    steps.show_nothing()
    took = time.monotonic() - started
    screen.heading(f"Each step was checked, not only shown. All of it took {took:.1f} s.")


def main() -> int:
    threading.Thread(target=leave_with_parent, daemon=True).start()
    try:
        show()
    except BrokenPipeError:
        # Nobody reads on, so there is nobody to tell.
        os._exit(1)
    except (StepError, OSError, ValueError, subprocess.SubprocessError) as error:
        # What led to it comes first, wherever the two streams go.
        sys.stdout.flush()
        print(f"demo: failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
