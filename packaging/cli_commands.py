"""The commands of `mesos-cni` as values, read from what makes `--help`."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass

import click

from mesos_cni_port_mapper.cli.program import program


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag: its spellings, what it takes ("" for none), its words, its variable."""

    spellings: tuple[str, ...]
    value: str
    text: str
    variable: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Prose, or lines that are to stay as they are."""

    text: str
    as_it_is: bool


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its words, what may follow them, its description and its flags."""

    words: tuple[str, ...]
    usage: str
    summary: str
    description: tuple[Paragraph, ...]
    flags: tuple[Flag, ...]

    @property
    def name(self) -> str:
        """Return the command as it is typed."""
        return " ".join(self.words)


def commands(group: click.Command | None = None) -> tuple[Command, ...]:
    """Return a program (`mesos-cni`) and all its commands, those of groups after their group."""
    group = group or program()
    return tuple(_walk(group, None, str(group.name)))


def _walk(found: click.Command, parent: click.Context | None, name: str) -> Iterator[Command]:
    context = click.Context(found, parent=parent, info_name=name, **found.context_settings)
    yield _read(found, context)
    if isinstance(found, click.Group):
        for each in found.list_commands(context):
            below = found.get_command(context, each)
            if below is not None and not below.hidden:
                yield from _walk(below, context, each)


def _read(found: click.Command, context: click.Context) -> Command:
    text = (found.help or "").partition("\f")[0]
    paragraphs = [*_paragraphs(text), *_paragraphs(found.epilog or "")]
    summary = paragraphs[0].text.partition(". ")[0].rstrip(".")
    return Command(
        words=tuple(context.command_path.split()),
        usage=" ".join(found.collect_usage_pieces(context)),
        summary=summary,
        description=tuple(paragraphs),
        flags=tuple(
            _flag(each, context)
            for each in found.get_params(context)
            if isinstance(each, click.Option) and not each.hidden
        ),
    )


def _paragraphs(text: str) -> Iterator[Paragraph]:
    for part in inspect.cleandoc(text).split("\n\n"):
        if part.startswith("\b"):
            yield Paragraph(part.lstrip("\b").strip("\n"), as_it_is=True)
        elif part.strip():
            yield Paragraph(" ".join(part.split()), as_it_is=False)


def _flag(option: click.Option, context: click.Context) -> Flag:
    # What --help prints says it all: spellings and what they take, then the words and the limits.
    spelt, text = option.get_help_record(context) or ("", "")
    takes = not option.is_flag and not option.count
    value = option.make_metavar(context) if takes else ""
    names = spelt.removesuffix(value).replace(" / ", ", ").split(", ")
    return Flag(
        spellings=tuple(each.strip() for each in names),
        value=value,
        text=" ".join(text.split()),
        variable=option.envvar if isinstance(option.envvar, str) else "",
    )
