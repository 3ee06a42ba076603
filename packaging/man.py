"""Manual pages of `mesos-cni`, one a command, written from what makes `--help`.

python packaging/man.py DIRECTORY
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from cli_commands import Command, Flag, Paragraph, commands

from mesos_cni_port_mapper import __version__

_STATUSES = (
    ("0", "It did what it was asked for."),
    ("1", "It failed, and stderr says at what; or what it looked at is not as it should be."),
    ("2", "A flag, an argument or a document cannot be meant."),
)
_GLOBAL = "Those of mesos\\-cni(1) may stand here as well."
_ALSO = ("run", "exec")
"""Commands that end with the status of a program in a container."""


def render(command: Command, others: Sequence[Command]) -> str:
    """Return a command's page, in the macros of man(7)."""
    page = _page_of(command)
    lines = [
        f'.TH {_escape(page.upper())} 1 "" "mesos\\-cni {_escape(__version__)}" "mesos\\-cni"',
        ".SH NAME",
        f"{_escape(page)} \\- {_escape(_lowered(command.summary))}",
        ".SH SYNOPSIS",
        f".B {_escape(command.name)}",
        *([_text(command.usage)] if command.usage else []),
        ".SH DESCRIPTION",
        *[line for each in command.description for line in _paragraph(each)],
        ".SH OPTIONS",
        *([_GLOBAL] if len(command.words) > 1 else []),
        *[line for flag in command.flags for line in _flag(flag)],
        *_environment(command.flags),
        ".SH EXIT STATUS",
        *[line for item in _STATUSES for line in _item(f"\\fB{item[0]}\\fR", item[1])],
    ]
    if command.words[-1] in _ALSO:
        lines += _item("another", "That of the command in the container.")
    lines += [".SH SEE ALSO", *_references([each for each in others if each != command])]
    return "".join(f"{line}\n" for line in lines)


def file_name(command: Command) -> str:
    """Return the name of a command's page in a directory of section 1."""
    return f"{_page_of(command)}.1"


def write_pages(directory: Path) -> None:
    """Write all pages into a directory, which is made."""
    directory.mkdir(parents=True, exist_ok=True)
    every = commands()
    for command in every:
        (directory / file_name(command)).write_text(render(command, every), encoding="utf-8")


def _page_of(command: Command) -> str:
    return "-".join(command.words)


def _paragraph(paragraph: Paragraph) -> list[str]:
    if not paragraph.as_it_is:
        return [".PP", _text(paragraph.text)]
    lines = [_text(line) for line in paragraph.text.split("\n")]
    return [".PP", ".nf", ".RS 4", *lines, ".RE", ".fi"]


def _flag(flag: Flag) -> list[str]:
    names = ", ".join(f"\\fB{_escape(each)}\\fR" for each in flag.spellings)
    value = f" \\fI{_escape(flag.value)}\\fR" if flag.value else ""
    return _item(names + value, flag.text)


def _environment(flags: Sequence[Flag]) -> list[str]:
    named = [flag for flag in flags if flag.variable]
    items = [
        line
        for flag in named
        for line in _item(f"\\fB{_escape(flag.variable)}\\fR", f"As {flag.spellings[0]}.")
    ]
    return [".SH ENVIRONMENT", *items] if items else []


def _item(head: str, text: str) -> list[str]:
    return [".TP", head, _text(text)]


def _references(others: Sequence[Command]) -> list[str]:
    names = [_escape(_page_of(each)) for each in others]
    return [f".BR {name} (1){',' if name != names[-1] else ''}" for name in names]


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def _text(text: str) -> str:
    """Return a line of text that is no request, whatever it begins with."""
    escaped = _escape(text)
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped


def _escape(text: str) -> str:
    # A bare minus is a hyphen to roff, which nobody can paste into a shell.
    return text.replace("\\", "\\(rs").replace("-", "\\-").replace("~", "\\(ti")


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
