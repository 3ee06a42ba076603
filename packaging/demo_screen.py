"""What the demo prints, and how: plain on a pipe, in colour on a terminal that wants it."""

import os
import sys
import textwrap
from collections.abc import Mapping

WIDTH = 98
# Where remarks stand when they fit on the line.
BESIDE = 51
BOLD, DIM, GREEN, PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[0m"


class Screen:
    """Prints: prose at the margin, commands and what they answer indented, remarks beside them."""

    def __init__(self) -> None:
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb"
        self._colour = sys.stdout.isatty() and not plain

    def heading(self, text: str) -> None:
        print(f"\n{self._in(BOLD, text)}", flush=True)

    def say(self, text: str) -> None:
        print(textwrap.fill(text, WIDTH))

    def command(self, text: str, remark: str = "") -> None:
        first, *rest = text.splitlines()
        self._line(f"# {first}", remark, GREEN)
        for line in rest:
            self._line(f"    {line}", "", GREEN)
        sys.stdout.flush()

    def output(self, text: str, remark: str = "") -> None:
        """Print what a command answered and, beside it or else below, what is to be seen in it."""
        if len(f"{text:<{BESIDE}}{remark}") <= WIDTH - 2:
            self._line(text, remark)
            return
        *lines, last = textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent=" " * 6)
        print("".join(f"{line}\n" for line in lines), end="")
        if lines and len(f"{last:<{BESIDE + 2}}{remark}") <= WIDTH:
            self._line(last[2:], remark)
            return
        print(last)
        self.remark(remark)

    def document(self, text: str, remarks: Mapping[str, str]) -> None:
        """Print a document; beside a line that begins with a key of ``remarks``, what it says."""
        for line in text.splitlines():
            start = line.lstrip(" {")
            self._line(line, next((remarks[key] for key in remarks if start.startswith(key)), ""))

    def remark(self, text: str) -> None:
        if text:
            print(self._in(DIM, textwrap.indent(textwrap.fill(text, WIDTH - 6), " " * 6)))

    def _line(self, text: str, remark: str, style: str = "") -> None:
        room = " " * max(1, BESIDE - len(text)) if remark else ""
        print(f"  {self._in(style, text)}{room}{self._in(DIM, remark)}")

    def _in(self, style: str, text: str) -> str:
        return f"{style}{text}{PLAIN}" if self._colour and style and text else text
