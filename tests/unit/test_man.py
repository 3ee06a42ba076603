"""Manual pages: one a command, of what --help says, and nothing that roff would complain of."""

import subprocess
from pathlib import Path

import click
import pytest
from cli_commands import Command, Flag, Paragraph, commands
from man import file_name, render, write_pages

from mesos_cni_port_mapper.cli.program import program
from tests.support.gate import need

EVERY = commands()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("man")
    write_pages(directory)
    return directory


def test_every_command_has_a_page(pages: Path) -> None:
    group = program()
    named = {f"mesos-cni-{each}.1" for each in group.list_commands(click.Context(group))}

    assert {"mesos-cni.1", *named} <= {path.name for path in pages.iterdir()}


@pytest.mark.parametrize("command", EVERY, ids=[each.name for each in EVERY])
def test_a_page_has_every_flag_that_help_has(command: Command) -> None:
    text = render(command, EVERY).replace("\\-", "-")

    assert command.flags
    for flag in command.flags:
        assert all(f"\\fB{each}\\fR" in text for each in flag.spellings)
        assert flag.text in text


@pytest.mark.parametrize("command", EVERY, ids=[each.name for each in EVERY])
def test_roff_has_nothing_to_complain_of(command: Command, pages: Path) -> None:
    need("groff")
    path = pages / file_name(command)
    argv = ["groff", "-man", "-ww", "-Tutf8", "-z", str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_what_roff_would_take_for_its_own_is_text() -> None:
    command = Command(
        words=("tool", "do"),
        usage="[OPTIONS]",
        summary="Do it",
        description=(
            Paragraph(".hidden is 'no' request\\", as_it_is=False),
            Paragraph("$ tool do\n'quoted", as_it_is=True),
        ),
        flags=(Flag(("--to", "-t"), "TEXT", ".where", "TOOL_TO"),),
    )

    page = render(command, [command]).split("\n")

    assert [line for line in page if line.startswith("'")] == []
    assert "\\&.hidden is 'no' request\\(rs" in page
    assert page[page.index("$ tool do") + 1] == "\\&'quoted"
    assert page[page.index(".SH OPTIONS") + 2 :][:3] == [
        ".TP",
        "\\fB\\-\\-to\\fR, \\fB\\-t\\fR \\fITEXT\\fR",
        "\\&.where",
    ]
    assert page[page.index(".SH ENVIRONMENT") + 2 :][:2] == ["\\fBTOOL_TO\\fR", "As \\-\\-to."]


def test_a_group_is_followed_by_its_commands() -> None:
    @click.group(help="Look after ports.\n\n\b\nports ls\nports gc\n\fnot shown")
    def ports() -> None: ...

    @ports.command("ls", epilog="An example.")
    @click.option("--json/--no-json", help="As JSON.", default=None)
    @click.option("--secret", hidden=True)
    def listing(*, json: bool, secret: str) -> None:
        """List them."""

    whole, ls = commands(ports)

    assert (whole.words, ls.words) == (("ports",), ("ports", "ls"))
    assert whole.description == (
        Paragraph("Look after ports.", as_it_is=False),
        Paragraph("ports ls\nports gc", as_it_is=True),
    )
    assert [each.text for each in ls.description] == ["List them.", "An example."]
    assert [each.spellings for each in ls.flags] == [("--json", "--no-json"), ("--help",)]
