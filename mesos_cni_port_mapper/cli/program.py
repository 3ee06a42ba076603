"""The commands of `mesos-cni`, and how what one leaves becomes an exit status."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

import click

from mesos_cni_port_mapper import __version__
from mesos_cni_port_mapper.cli.flags import Flags, global_flags, rewrite_booleans
from mesos_cni_port_mapper.cli.lazy import Group
from mesos_cni_port_mapper.harness.errors import HarnessError, one_line, visible

PROGRAM = "mesos-cni"
COMMANDS = {
    "agent": "agent",
    "cleanup": "cleanup",
    "completion": "completion",
    "doctor": "doctor",
    "exec": "enter",
    "install": "install",
    "kill": "kill",
    "logs": "logs",
    "networks": "networks",
    "ports": "ports",
    "ps": "ps",
    "recover": "recover",
    "run": "run",
    "status": "status",
    "uninstall": "uninstall",
    "usage": "usage",
    "wait": "wait",
}
"""Which module of this package a command is in, as its ``command``."""


def program() -> click.Group:
    """Return the program with its global flags, its commands still to be imported."""
    return Group(
        PROGRAM,
        modules={name: f"{__package__}.{module}" for name, module in COMMANDS.items()},
        params=[
            *global_flags(),
            click.Option(
                ["--version"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_print_version,
                help="Print the version and leave.",
            ),
        ],
        help="Run containers on CNI networks as a Mesos agent would, without Mesos.",
        epilog="Example: mesos-cni run --networks web --port 8080:80 --command 'httpd -f'",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


def _print_version(ctx: click.Context, _parameter: click.Parameter, given: bool) -> None:
    if given:
        click.echo(f"{PROGRAM} {__version__}")
        ctx.exit()


def run(arguments: Sequence[str]) -> int:
    """Run one command and return the exit status."""
    try:
        status = program().main(
            rewrite_booleans(arguments), PROGRAM, standalone_mode=False, obj=Flags()
        )
    except click.ClickException as error:
        return _complain(error.format_message(), error.exit_code)
    except click.Abort:
        return 130
    except HarnessError as error:
        return _complain(_with_remedy(str(error)), error.status)
    except BrokenPipeError:
        # Whoever read our output has left, and asks for no more of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except OSError as error:
        return _complain(_with_remedy(one_line(error)), 1)
    return status if isinstance(status, int) else 0


def _with_remedy(words: str) -> str:
    """Say what is needed where something is refused to somebody who is not root."""
    refused = words.endswith((os.strerror(errno.EACCES), os.strerror(errno.EPERM)))
    return f"{words}: run it as root, with sudo for example" if refused and os.geteuid() else words


def _complain(words: str, status: int) -> int:
    line = visible(" ".join(words.split()))
    sys.stderr.write(f"{PROGRAM}: {line}\n")
    return status
