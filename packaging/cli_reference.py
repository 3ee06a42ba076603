"""The commands of `mesos-cni` in docs/reference.md, written from what makes `--help`.

python packaging/cli_reference.py docs/reference.md
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from cli_commands import Command, Flag, commands

BEGIN, END = "<!-- commands -->\n", "<!-- end of commands -->"


def render(every: Sequence[Command]) -> str:
    """Return a heading, what it does, and a table of its flags, for each command."""
    return "\n".join(_section(each) for each in every)


def replaced(page: str, every: Sequence[Command]) -> str:
    """Return a page with its commands as they are now."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{render(every)}\n{END}{rest.partition(END)[2]}"


def _section(command: Command) -> str:
    flags = [each for each in command.flags if "--help" not in each.spellings]
    lines = [f"### {command.name}", "", f"    {command.name} {command.usage}".rstrip(), ""]
    lines += [f"{_prose(command)}", ""]
    if flags:
        lines += ["| flag | |", "|---|---|", *[_row(each) for each in flags], ""]
    return "\n".join(lines)


def _prose(command: Command) -> str:
    return _cell(f"{command.summary}.")


def _row(flag: Flag) -> str:
    # A table's cell ends at a bar, in code as well.
    value = f" {_barred(flag.value)}" if flag.value else ""
    names = [
        f"`{each}{value}`" for each in flag.spellings if not _is_spelt_with_hyphens(each, flag)
    ]
    variable = f" `{flag.variable}`" if flag.variable else ""
    return f"| {', '.join(names)} | {_cell(flag.text)}{variable} |".replace("|  |", "| |")


def _is_spelt_with_hyphens(spelling: str, flag: Flag) -> bool:
    """Tell whether a spelling is that of another with hyphens for its underscores."""
    return any(
        other != spelling and "_" in other and _hyphened(other) == spelling
        for other in flag.spellings
    )


def _hyphened(flag: str) -> str:
    return flag.replace("_", "-")


def _cell(text: str) -> str:
    return _barred(text).replace("<", "&lt;")


def _barred(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(replaced(path.read_text(encoding="utf-8"), commands()), encoding="utf-8")
