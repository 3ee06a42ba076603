"""`mesos-cni completion`: what makes a shell complete our command lines."""

from __future__ import annotations

import sys

import click

from mesos_cni_port_mapper.cli.flags import Command

_VARIABLE = "_MESOS_CNI_COMPLETE"
"""Where click looks for being asked by a shell; it makes the name of the program's."""


@click.command(
    "completion", cls=Command, epilog="Example, for one shell: . <(mesos-cni completion bash)"
)
@click.argument("shell", metavar="bash|zsh|fish", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print a script that makes a shell complete commands and flags.

    For all shells to come, write it to /usr/share/bash-completion/completions/mesos-cni, for zsh to
    _mesos-cni in a directory of its fpath, for fish to
    /usr/share/fish/vendor_completions.d/mesos-cni.fish.
    """
    sys.stdout.write(_script(ctx.find_root().command, shell))


def _script(program: click.Command, shell: str) -> str:
    from click.shell_completion import ShellComplete, get_completion_class

    found = get_completion_class(shell)
    if found is None:
        raise click.BadParameter(f"{shell} is not known to click", param_hint="SHELL")
    completer = found(program, {}, str(program.name), _VARIABLE)
    # Its own source() runs the shell first, to see its version, where there may be none.
    return ShellComplete.source(completer) + "\n"
