"""Commands of a document, run on a throwaway host one after the other, as a reader would."""

import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tests.netns.containers import ROOT
from tests.support.agent import TOOLS
from tests.support.host import SEARCH_PATH, Host
from tests.support.process import CommandError

_MARK = "\x01"
_PROMPT = "$ "

# Directories that a reader has, or may make, and that must not be made on the machine.
_HOME = """\
mount -t tmpfs -o mode=0755 tmpfs /var/lib
mkdir /var/lib/cni /run/lock
cd {root}
"""

OWN_OPT = "mount -t tmpfs -o mode=0755 tmpfs /opt\n"
"""A preparation: an /opt with nothing in it, for pages that install something there."""

_NOISE: tuple[tuple[str, str], ...] = (
    (r"([0-9a-f]{2}:){5}[0-9a-f]{2}", "MAC"),
    (r"^\d+: ", "N: "),
    (r"\b(veth|join)[0-9a-f]{8}\b", r"\1"),
    (r"@if\d+", ""),
    (r" link-(netnsid \d+|netns \S+)", ""),
    (r"fe80:[0-9a-f:]+", "fe80::1"),
    (r" tentative\b", ""),
    (r" +", " "),
    (r" $", ""),
)


@dataclass(frozen=True)
class Step:
    """A command, and what it should print; a line ``...`` is any number of lines."""

    command: str
    output: tuple[str, ...]


def parse_sections(page: str) -> dict[str, list[Step]]:
    """Return the commands of a page by the heading they are under."""
    sections: dict[str, list[Step]] = {}
    for part in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        heading, _, text = part.partition("\n")
        steps = [
            step for block in parse_blocks(text, "console") for step in parse_transcript(block)
        ]
        if steps:
            sections[heading] = steps
    return sections


def parse_blocks(page: str, language: str) -> list[str]:
    """Return what a page shows in a language, block by block."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def parse_transcript(text: str) -> list[Step]:
    """Return the commands of a transcript: each has a prompt, and may have a here document."""
    steps: list[Step] = []
    lines = text.splitlines()
    while lines:
        line = lines.pop(0)
        if not line.startswith(_PROMPT):
            message = f"not a command, and no command's output: {line}"
            raise ValueError(message)
        command = [line.removeprefix(_PROMPT)]
        while command[-1].endswith("\\"):
            command.append(lines.pop(0))
        if "<<EOF" in command[-1]:
            command += lines[: lines.index("EOF") + 1]
            del lines[: lines.index("EOF") + 1]
        output = []
        while lines and not lines[0].startswith(_PROMPT):
            output.append(lines.pop(0))
        steps.append(Step("\n".join(command), tuple(output)))
    return steps


def run_steps(host: Host, steps: Sequence[Step], preparation: str = "") -> list[list[str]]:
    """Run commands in one shell as root, each of which must succeed; return what each printed.

    A preparation is what no page says: commands, one a line, that print nothing.
    """
    tool = host.path(f"{TOOLS}/mesos-cni")
    words = shlex.join(["exec", sys.executable, "-m", "mesos_cni_port_mapper.cli"])
    tool.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} PYTHONDONTWRITEBYTECODE=1 {words} "$@"\n')
    tool.chmod(0o755)
    script = _HOME.format(root=shlex.quote(str(ROOT))) + preparation
    script += "".join(
        f"{{ {step.command}\n}} 2>&1; printf '{_MARK}%s{_MARK}' $?\n" for step in steps
    )
    environment = {"PATH": f"{SEARCH_PATH}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
    done = host.run(["sh", "-c", script], env=environment, check=False, timeout=60)
    parts = done.text.split(_MARK)
    outputs, statuses = parts[:-1:2], parts[1::2]
    if len(statuses) != len(steps):
        message = f"the shell did not come to its end: {parts[-1]}{done.stderr.decode()}"
        raise CommandError(message)
    for step, output, status in zip(steps, outputs, statuses, strict=True):
        if status != "0":
            message = f"{step.command!r} ended with {status}: {output}"
            raise CommandError(message)
    return [output.splitlines() for output in outputs]


def normalise(lines: Sequence[str]) -> list[str]:
    """Return lines without what is different each time: MAC addresses, indices, and blanks."""
    text = "\n".join(lines)
    for pattern, instead in _NOISE:
        text = re.sub(pattern, instead, text, flags=re.MULTILINE)
    return text.split("\n") if lines else []


def matches(expected: Sequence[str], seen: Sequence[str]) -> bool:
    """Tell whether lines are as expected, noise apart."""
    pattern = "".join(
        "(.*\n)*" if line == "..." else f"{re.escape(line)}\n" for line in normalise(expected)
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in normalise(seen))) is not None


def follow(host: Host, steps: Sequence[Step], preparation: str = "") -> None:
    """Do what a page says, and insist that what it shows is what is printed."""
    for step, seen in zip(steps, run_steps(host, steps, preparation), strict=True):
        shown = "\n".join(["", step.command, *seen, "", "the page says:", *step.output])
        assert matches(step.output, seen), shown
