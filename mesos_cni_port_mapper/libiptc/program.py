"""``restore`` and ``save``, as a program: arguments and streams in, exit status out."""

from __future__ import annotations

import os
import sys

from mesos_cni_port_mapper.libiptc.batch import BatchError, parse_batch
from mesos_cni_port_mapper.linux import lock
from mesos_cni_port_mapper.linux.signals import Interrupted
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mesos_cni_port_mapper.libiptc.batch import Batch, Line
    from mesos_cni_port_mapper.libiptc.table import Table

PROGRAM = "mesos-cni-libiptc"
USAGE = f"""\
usage: {PROGRAM} restore 4|6 [-w SECONDS] [--noflush] [--test]    a batch on stdin, for one table
       {PROGRAM} save 4|6 -t TABLE [-w SECONDS] [-c]"""

DONE, FAILED, WRONG_USAGE, NO_LOCK = 0, 1, 2, 4
"""Exit statuses, those of iptables-restore."""

_LOCK = "/run/xtables.lock"
_PATIENCE = 5


class UsageError(Exception):
    """The arguments make no sense."""


class Wish(Value):
    """What is asked for on the command line; ``table`` only of ``save``."""

    action: str
    family: str
    table: str = ""
    seconds: int = _PATIENCE
    is_test: bool = False
    counted: bool = False


def parse_arguments(arguments: Sequence[str]) -> Wish:
    """Parse the arguments behind the program's name, or raise ``UsageError``."""
    if len(arguments) < 2 or arguments[0] not in ("restore", "save"):
        raise UsageError
    action, family, *options = arguments
    # iptables-restore has to be told not to empty the table. This program never does.
    own = {"restore": ("--noflush", "--test"), "save": ("-c",)}[action]
    flags = [option for option in options if option not in own]
    values = dict(zip(flags[::2], flags[1::2], strict=False))
    table = values.pop("-t", "")
    seconds = values.pop("-w", str(_PATIENCE))
    if (
        family not in ("4", "6")
        or len(flags) % 2
        or values
        or bool(table) != (action == "save")
        or not seconds.isdecimal()
    ):
        raise UsageError
    return Wish(
        action=action,
        family=family,
        table=table,
        seconds=max(int(seconds), 1),
        is_test="--test" in options,
        counted="-c" in options,
    )


def run(arguments: Sequence[str], stdin: int, environ: Mapping[str, str]) -> int:
    """Do what the arguments say, and return the exit status. Failures are one line on stderr."""
    try:
        wish = parse_arguments(arguments)
        batch = parse_batch(_read_all(stdin)) if wish.action == "restore" else None
    except UsageError:
        return _fail(USAGE, WRONG_USAGE)
    except BatchError as error:
        return _fail(str(error), FAILED)
    path = environ.get("XTABLES_LOCKFILE") or _LOCK
    try:
        # Held until the process is gone.
        lock.acquire(path, wish.seconds)
    except lock.LockHeldError as error:
        return _fail(f"{error}, waited {wish.seconds} s", NO_LOCK)
    except OSError as error:
        return _fail(f"cannot lock {path}: {error.strerror}", NO_LOCK)
    except Interrupted as error:
        return _fail(str(error), 128 + error.number)
    return _restore(wish, batch) if batch else _save(wish)


def _restore(wish: Wish, batch: Batch) -> int:
    from mesos_cni_port_mapper.libiptc.extensions import situation
    from mesos_cni_port_mapper.libiptc.rule import RuleError
    from mesos_cni_port_mapper.libiptc.table import TableError

    try:
        situation.at = f"the {batch.table} table"
        table = _open(wish.family, batch.table)
        for line in batch.lines:
            situation.at = f"line {line.number} ({line.text})"
            _change(table, line)
        situation.at = f"COMMIT of the {batch.table} table"
        if not wish.is_test:
            table.commit()
    except (RuleError, TableError) as error:
        return _fail(f"{situation.at}: {error}", FAILED)
    return DONE


def _change(table: Table, line: Line) -> None:
    from mesos_cni_port_mapper.libiptc.rule import encode_rule

    if line.command == "-N":
        table.create(line.chain)
    elif line.command == "-X":
        table.delete_chain(line.chain)
    else:
        rule = encode_rule(line.words, table.family, table.is_chain)
        change = {"-A": table.append, "-I": table.insert, "-D": table.delete, "-C": table.check}
        change[line.command](line.chain, rule)


def _save(wish: Wish) -> int:
    from mesos_cni_port_mapper.libiptc.extensions import situation
    from mesos_cni_port_mapper.libiptc.listing import ListingError, print_table
    from mesos_cni_port_mapper.libiptc.table import TableError

    situation.at = f"the {wish.table} table"
    try:
        print_table(_open(wish.family, wish.table), counted=wish.counted)
    except (ListingError, TableError) as error:
        return _fail(str(error), FAILED)
    return DONE


def _open(number: str, name: str) -> Table:
    from mesos_cni_port_mapper.libiptc.extensions import choose_family
    from mesos_cni_port_mapper.libiptc.family import FAMILIES
    from mesos_cni_port_mapper.libiptc.table import Table

    family = FAMILIES[number]
    choose_family(family)
    return Table(name, family)


def _read_all(file: int) -> bytes:
    pieces = []
    while piece := os.read(file, 1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


def _fail(message: str, status: int) -> int:
    os.write(2, f"{message}\n".encode("utf-8", "surrogateescape"))
    return status


def main() -> None:
    """Serve one call, and leave without the interpreter's teardown."""
    os._exit(run(sys.argv[1:], 0, os.environ))
