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
from pathlib import Path
from typing import Any

from demo_commands import ROOT, StepError, expect, must, run
from demo_screen import Screen

PLUGIN = "dist/plugins/mesos-cni-port-mapper"
EXAMPLE = "packaging/examples/port-mapper-test.conf"
WEB = ["python3", "packaging/demo_web.py"]

NETWORK, CHAIN, BRIDGE = "port-mapper-test", "MESOS-TEST-PORT-MAPPER", "mesos-cni0"
CONTAINER = "5baff64c-d028-47ba-864e-a5ee679fc069"
# What Mesos' documentation calls this container's namespace once it is linked for ip(8).
SHORT = CONTAINER.split("-", maxsplit=1)[0]
NETNS = f"/run/mesos/isolators/network/cni/{CONTAINER}/ns"
REQUEST = "/run/request.json"
LEASES = f"/var/lib/cni/networks/{NETWORK}"
STATE = "/run/mesos-cni-port-mapper"
HOST, CLIENT, ADDRESS = "192.0.2.1", "192.0.2.2", "192.168.0.2"
MAPPINGS = {8080: 80, 8081: 443}
REFUSED = "Connection refused"

STAGE = f"""\
ip link set lo up
ip netns add client
ip link add eth0 type veth peer name eth0 netns client
ip address add {HOST}/24 dev eth0
ip link set eth0 up
ip -n client address add {CLIENT}/24 dev eth0
ip -n client link set eth0 up
mkdir -p {Path(NETNS).parent}
touch {NETNS}
unshare --net={NETNS} true
ln -s {NETNS} /run/netns/{SHORT}
ip -n {SHORT} link set lo up
"""
PICTURE = f"""\
client                         host                                        container
{CLIENT} ------- {HOST} eth0 | {BRIDGE} 192.168.0.1 ------- eth0 {ADDRESS}"""
REMARKS = {
    '"name"': "the network, as a task asks for it",
    '"type": "mesos': "what the agent runs: this plugin",
    '"excludeDevices"': "traffic that arrives here is not forwarded",
    '"chain"': "for this network's rules, in the nat table",
    '"delegate"': "who attaches the container: any CNI plugin,",
    '"type": "bridge"': "here a bridge,",
    '"type": "host-local"': "with an address of the container's own,",
    '"subnet"': "from here",
    '"host_port": 8080': "the host's 8080 leads to the container's 80,",
    '"host_port": 8081': "its 8081 to 443",
}
VARIABLES = f"""\
CNI_CONTAINERID={CONTAINER} CNI_IFNAME=eth0
CNI_NETNS={NETNS}
CNI_PATH=/usr/lib/cni PATH=/usr/sbin:/usr/bin:/sbin:/bin"""


class Steps:
    """The steps, in the order in which they are shown."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen

    def set_the_stage(self) -> None:
        private_directories()
        for line in STAGE.splitlines():
            must(shlex.split(line))
        # The bridge plugin does so too; a host for containers has it on before any is started.
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")
        self.screen.say(
            "A client, a host and a container, all made of namespaces, which end with this demo:"
        )
        self.screen.document(PICTURE, REMARKS)

    def configure(self) -> None:
        self.screen.heading("1  The configuration, and where the port mappings come from")
        self.screen.command(f"cat {EXAMPLE}")
        text = (ROOT / EXAMPLE).read_text()
        self.screen.document(text, REMARKS)
        mappings = [{"host_port": ours, "container_port": its} for ours, its in MAPPINGS.items()]
        info = {"name": NETWORK, "port_mappings": mappings}
        request = json.loads(text) | {"args": {"org.apache.mesos": {"network_info": info}}}
        Path(REQUEST).write_text(json.dumps(request, indent=2))
        self.screen.say("For each container the agent adds the mappings that its task asks for:")
        self.screen.document(
            f'"args": {{"org.apache.mesos": {{"network_info": {{"name": "{NETWORK}", '
            '"port_mappings": [\n'
            + ",\n".join(f"    {json.dumps(mapping)}" for mapping in mappings)
            + "]}}}",
            REMARKS,
        )

    def add(self) -> None:
        self.screen.heading("2  The agent runs the plugin: ADD")
        self.screen.say(
            "The environment says what to do, and stdin is the configuration with the args in it."
        )
        self.screen.command('cni="' + VARIABLES + '"')
        started = time.monotonic()
        answer = self._plugin("ADD")
        took = time.monotonic() - started
        self.screen.output(
            spaced(answer),
            f"It ran the delegate, whose result this is, then made the rules: {took:.2f} s in all.",
        )
        expect(address_in(answer) == f"{ADDRESS}/16", f"ADD should have given {ADDRESS}/16")
        expect(Path(LEASES, ADDRESS).exists(), f"host-local keeps no lease of {ADDRESS}")
        expect(records(), f"the port mapper keeps no record in {STATE}")

    def show_rules(self) -> None:
        self.screen.heading("3  What it made in the kernel")
        self.screen.command(f"iptables-save -t nat | grep {CHAIN}")
        found = [
            line for line in must(["iptables-save", "-t", "nat"]).splitlines() if CHAIN in line
        ]
        for line in found:
            self.screen.output(line, RULES.get(line, ""))
        expect(sorted(found) == sorted(RULES), f"iptables-save should list {list(RULES)}")

    def ask(self) -> None:
        self.screen.heading("4  A client asks the host, and the container answers")
        serve = ["ip", "netns", "exec", SHORT, *WEB, "serve", SHORT, *map(str, MAPPINGS.values())]
        self.screen.command(f"{shlex.join(serve)} &")
        self._serve(serve)
        self.screen.say("The client knows nothing but the host's address:")
        for ours, its in MAPPINGS.items():
            self._get("client", ours, f"container {SHORT}, at {ADDRESS}:{its}, answers {CLIENT}")
        self.screen.remark(
            "The container sees the client's own address: only the destination was rewritten."
        )
        self.screen.say("So do programs on the host itself, by way of OUTPUT:")
        self._get("", 8080, f"container {SHORT}, at {ADDRESS}:80, answers {HOST}")
        self.screen.say(f"The container arrives from {BRIDGE}, which is excluded:")
        self._get(SHORT, 8080, REFUSED)

    def delete(self) -> None:
        self.screen.heading("5  The agent lets the container go: DEL, and nothing is left")
        self.screen.say(
            "The rules go first, found by their tag: none ever leads to an address that is free."
        )
        answer = self._plugin("DEL")
        expect(answer == "", f"DEL printed {answer}")

    def show_nothing(self) -> None:
        self._nothing(
            "iptables-save -t nat | grep -e '^-A' -e MESOS",
            [
                line
                for line in must(["iptables-save", "-t", "nat"]).splitlines()
                if line.startswith("-A") or "MESOS" in line
            ],
            "nothing: no rule, no jump, no chain",
        )
        self._nothing(
            f"ls {LEASES} | grep 192.168",
            [path.name for path in Path(LEASES).iterdir() if path.name.startswith("192.168")],
            "nothing: the address is free",
        )
        self._nothing(
            f"grep -rl {SHORT} {STATE}",
            records(),
            "nothing: it is off the record",
        )
        self.screen.say("The page is still served in the container, but nobody gets there:")
        for ours in MAPPINGS:
            self._get("client", ours, REFUSED)
        links = json.loads(must(["ip", "-n", SHORT, "-json", "link"]))
        expect([link["ifname"] for link in links] == ["lo"], f"the container still has {links}")

    def _plugin(self, command: str) -> str:
        self.screen.command(f"env -i $cni CNI_COMMAND={command} {PLUGIN} <{REQUEST}")
        argv = ["env", "-i", *VARIABLES.split(), f"CNI_COMMAND={command}", PLUGIN]
        return must(argv, Path(REQUEST).read_text())

    def _serve(self, argv: list[str]) -> None:
        web = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        expect(web.stdout and web.stdout.readline() == b"ready\n", "the container's page is not up")

    def _get(self, place: str, port: int, expected: str) -> None:
        argv = [*WEB, "get", f"http://{HOST}:{port}/"]
        if place:
            argv = ["ip", "netns", "exec", place, *argv]
        self.screen.command(shlex.join(argv))
        finished = run(argv)
        answer = (finished.stdout + finished.stderr).strip()
        self.screen.output(answer)
        refused = expected == REFUSED
        whole = f"{argv[-1]}: {expected}" if refused else expected
        expect(
            (answer, finished.returncode) == (whole, int(refused)),
            f"{shlex.join(argv)} ended with {finished.returncode} and should have said {whole!r}",
        )

    def _nothing(self, command: str, found: list[str], remark: str) -> None:
        expect(not found, f"{command} should find nothing, and found {found}")
        self.screen.command(command, remark)


def tagged_rule(ours: int, its: int) -> str:
    tag = f"container_id: {CONTAINER} network: {NETWORK} ifname: eth0"
    return (
        f"-A {CHAIN} ! -i {BRIDGE} -p tcp -m tcp --dport {ours} "
        f'-m comment --comment "{tag}" -j DNAT --to-destination {ADDRESS}:{its}'
    )


RULES = {
    f":{CHAIN} - [0:0]": "the chain that the configuration names",
    f"-A PREROUTING -m addrtype --dst-type LOCAL -j {CHAIN}": (
        "The first jump: what arrives for any of the host's own addresses is looked up there."
    ),
    f"-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j {CHAIN}": (
        "The second: so is what the host's own programs send there, its loopback excepted."
    ),
    tagged_rule(8080, 80): (
        f"Unless it comes from {BRIDGE} (! -i), what is for port 8080 goes to the container's 80 "
        "instead (DNAT). The comment is the tag: whose rule this is, and how DEL will find it."
    ),
    tagged_rule(8081, 443): "The second mapping: the same tag, one rule more.",
}


def address_in(answer: str) -> object:
    try:
        result: dict[str, Any] = json.loads(answer)
        return result["ip4"]["ip"]
    except (ValueError, LookupError, TypeError):
        return None


def spaced(answer: str) -> str:
    """Return a document with room to wrap between its words; anything else as it is."""
    try:
        return json.dumps(json.loads(answer))
    except ValueError:
        return answer


def records() -> list[str]:
    """Return the files of the port mapper's state that name the container."""
    files = [path for path in Path(STATE).rglob("*") if path.is_file()]
    return [str(path) for path in files if SHORT.encode() in path.read_bytes()]


def private_directories() -> None:
    """Cover the directories that plugins write to, without creating any on the machine."""
    state = Path("/var/lib/cni")
    covered = ["/run", str(state) if state.is_dir() else str(state.parent)]
    checkout = os.open(ROOT, os.O_PATH)
    for directory in covered:
        must(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", directory])
    state.mkdir(exist_ok=True)
    if not (ROOT / EXAMPLE).exists():
        # The checkout was below one of them.
        ROOT.mkdir(parents=True)
        # By its descriptor, because the path is covered; as it stands, or mount(8) resolves it.
        source = f"/proc/{os.getpid()}/fd/{checkout}"
        must(["mount", "--no-canonicalize", "--rbind", source, str(ROOT)])
    os.close(checkout)


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
    steps.add()
    steps.show_rules()
    steps.ask()
    steps.delete()
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
    except (StepError, OSError, subprocess.SubprocessError) as error:
        # What led to it comes first, wherever the two streams go.
        sys.stdout.flush()
        print(f"demo: failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
