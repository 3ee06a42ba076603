"""Small fake delegates, written into a directory of a throwaway host.

Each one records every call before it behaves as its name says, and each one answers VERSION. They
are shell scripts because a shell starts in a millisecond.
"""

import json
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.host import Host

VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
COMMANDS = ("ADD", "DEL", "CHECK", "GC", "STATUS")
RESULT = {"cniVersion": "1.0.0", "ips": [{"address": "192.168.7.2/24"}]}

_PREAMBLE = """\
#!/bin/sh
journal={journal}/$$
cat /proc/$$/environ >"$journal.env"
cat >"$journal.stdin"
{preparation}
: >"$journal.complete"
if [ "$CNI_COMMAND" = VERSION ]; then
    {version}
    exit 0
fi
"""

# The first string after a key, which is all the parsing that a test's own configuration needs.
_FIXED = """\
config=$(cat "$journal.stdin")
value() {
    case $config in *"\\"$1\\":"*) ;; *) return 0 ;; esac
    rest=${config#*"\\"$1\\":"}
    rest=${rest#*\\"}
    printf %s "${rest%%\\"*}"
}
[ "$CNI_COMMAND" = ADD ] || exit 0
version=$(value cniVersion)
four=$(value address)
six=$(value address6)
case $version in
    1.*) four=${four:+"{\\"address\\":\\"$four\\"}"} six=${six:+"{\\"address\\":\\"$six\\"}"} ;;
    0.[34].*)
        four=${four:+"{\\"version\\":\\"4\\",\\"address\\":\\"$four\\"}"}
        six=${six:+"{\\"version\\":\\"6\\",\\"address\\":\\"$six\\"}"} ;;
    *)
        four=${four:+"\\"ip4\\":{\\"ip\\":\\"$four\\"}"}
        six=${six:+"\\"ip6\\":{\\"ip\\":\\"$six\\"}"} ;;
esac
both=$four${four:+${six:+,}}$six
case $version in
    0.3.*|0.4.*|1.*) printf '{"cniVersion":"%s","ips":[%s]}' "$version" "$both" ;;
    *) printf '{"cniVersion":"%s"%s}' "${version:-0.2.0}" "${both:+,$both}" ;;
esac
"""


@dataclass(frozen=True)
class Received:
    """One call as a delegate received it."""

    env: Mapping[str, str]
    stdin: bytes

    @property
    def command(self) -> str:
        """Return the CNI command."""
        return self.env.get("CNI_COMMAND", "")

    @property
    def config(self) -> Any:
        """Return the configuration that came on stdin."""
        return json.loads(self.stdin)


class Delegates:
    """A directory of fake delegates; give it to `Plugin.finding`."""

    def __init__(self, host: Host, directory: str = "/run/delegates") -> None:
        self.directory = directory
        self._root = host.path(directory)
        self._root.mkdir(parents=True)

    def recording(self, name: str, result: object = RESULT) -> None:
        """Answer ADD with a result and everything else with success."""
        self.scripted(name, {"ADD": _say(result)})

    def answering(self, name: str, document: object, commands: Sequence[str] = COMMANDS) -> None:
        """Answer with a document, whatever it is, and success."""
        self.scripted(name, dict.fromkeys(commands, _say(document)))

    def failing(
        self,
        name: str,
        code: int,
        message: str,
        commands: Sequence[str] = COMMANDS,
        result: object = RESULT,
    ) -> None:
        """Fail with a CNI error on some commands; on the others be as `recording`."""
        error = {"cniVersion": "1.0.0", "code": code, "msg": message}
        bodies = {"ADD": _say(result)}
        self.scripted(name, bodies | dict.fromkeys(commands, _say(error) + "\nexit 1"))

    def crashing(self, name: str, words: str, commands: Sequence[str] = COMMANDS) -> None:
        """End with status 3 and words on stderr, without a document."""
        body = f"echo {shlex.quote(words)} >&2\nexit 3"
        self.scripted(name, {"ADD": _say(RESULT)} | dict.fromkeys(commands, body))

    def hanging(
        self,
        name: str,
        commands: Sequence[str] = COMMANDS,
        *,
        stubborn: bool = False,
        result: object = RESULT,
    ) -> None:
        """Do nothing for a minute, if stubborn with SIGTERM ignored."""
        bodies = {"ADD": _say(result)} | dict.fromkeys(commands, "exec sleep 60")
        # Before the call counts as received, or a test's signal could come too early.
        self._write(name, _cases(bodies), VERSIONS, "trap '' TERM" if stubborn else ":")

    def garbage(
        self, name: str, output: str = '{"ips": [', commands: Sequence[str] = COMMANDS
    ) -> None:
        """Answer with something that is no JSON, and success."""
        body = f"printf %s {shlex.quote(output)}"
        self.scripted(name, dict.fromkeys(commands, body))

    def silent(self, name: str) -> None:
        """Answer with nothing at all, and success."""
        self.scripted(name, {})

    def fixed(self, name: str = "fixed") -> None:
        """Answer with the ``address`` and ``address6`` of the configuration, in its version."""
        self.write(name, _FIXED)

    def scripted(
        self, name: str, bodies: Mapping[str, str], versions: Sequence[str] = VERSIONS
    ) -> None:
        """Run a piece of shell for each command named, and nothing for the others."""
        self.write(name, _cases(bodies), versions)

    def write(self, name: str, body: str, versions: Sequence[str] = VERSIONS) -> None:
        """Write a delegate whose call is recorded in ``$journal.stdin`` before its body runs."""
        self._write(name, body, versions, ":")

    def _write(self, name: str, body: str, versions: Sequence[str], preparation: str) -> None:
        journal = self._root / f".{name}"
        journal.mkdir(exist_ok=True)
        known = {"cniVersion": versions[-1], "supportedVersions": list(versions)}
        preamble = _PREAMBLE.format(
            journal=shlex.quote(f"{self.directory}/.{name}"),
            version=_say(known),
            preparation=preparation,
        )
        script = self._root / name
        script.write_text(preamble + body)
        script.chmod(0o755)

    def calls(self, name: str) -> list[Received]:
        """Return the calls that a delegate has received, the first one first."""
        journal = self._root / f".{name}"
        # The PIDs of a young PID namespace only grow.
        calls = sorted(int(entry.stem) for entry in journal.glob("*.complete"))
        return [
            Received(
                _environment((journal / f"{call}.env").read_bytes()),
                (journal / f"{call}.stdin").read_bytes(),
            )
            for call in calls
        ]

    def commands(self, name: str) -> list[str]:
        """Return the commands that a delegate has received, without VERSION, in order."""
        return [call.command for call in self.calls(name) if call.command != "VERSION"]

    def await_call(self, name: str, command: str = "ADD", timeout: float = 5) -> Received:
        """Wait until a delegate has been called with a command, and return its latest call."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for call in reversed(self.calls(name)):
                if call.command == command:
                    return call
            time.sleep(0.005)
        message = f"{name} was not called with {command} within {timeout} s"
        raise TimeoutError(message)


def _cases(bodies: Mapping[str, str]) -> str:
    cases = "".join(f"{command})\n{body}\n;;\n" for command, body in bodies.items())
    return f'case "$CNI_COMMAND" in\n{cases}esac\n'


def _say(document: object) -> str:
    return f"printf %s {shlex.quote(json.dumps(document))}"


def _environment(block: bytes) -> dict[str, str]:
    variables = (entry.partition(b"=") for entry in block.split(b"\0") if entry)
    return {name.decode(): value.decode(errors="surrogateescape") for name, _, value in variables}
