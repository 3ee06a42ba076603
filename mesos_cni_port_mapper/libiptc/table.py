"""One table, opened once: what is in it, changes to it, and their commit.

libiptc holds the table in memory from opening to commit, and puts the whole of it back. It takes no
lock; whoever opens a table holds ``/run/xtables.lock``.
"""

from __future__ import annotations

import ctypes
import os

from mesos_cni_port_mapper.libiptc import bindings
from mesos_cni_port_mapper.libiptc.extensions import find_target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from mesos_cni_port_mapper.libiptc.family import Family
    from mesos_cni_port_mapper.libiptc.rule import Encoded

LONGEST_NAME = 28
"""Of a chain, in bytes."""


class TableError(Exception):
    """The table, or the kernel, would not have it; the message says why."""


class Table:
    """A table of one family. Names of chains are bytes: others may have given them any."""

    def __init__(self, name: str, family: Family) -> None:
        self.name = name
        self.family = family
        self._functions = family.functions
        self._handle = self._open()

    def _open(self) -> Any:
        handle = self._functions.iptc_init(self.name.encode())
        if not handle:
            # The kernel's part may be a module that nobody has used yet.
            bindings.libxtables.xtables_load_ko(None, True)
            handle = self._functions.iptc_init(self.name.encode())
        if not handle:
            raise TableError(f"cannot open the {self.name} table: {self._reason()}")
        return handle

    def chains(self) -> Iterator[bytes]:
        """Yield the names of the chains, the kernel's own first."""
        name = self._functions.iptc_first_chain(self._handle)
        while name:
            yield name
            name = self._functions.iptc_next_chain(self._handle)

    def is_chain(self, name: bytes) -> bool:
        return bool(self._functions.iptc_is_chain(name, self._handle))

    def policy(self, chain: bytes) -> tuple[bytes, int, int]:
        """Return a chain's policy with its packets and bytes; "-" is of a chain that has none."""
        if not self._functions.iptc_builtin(chain, self._handle):
            return b"-", 0, 0
        counters = bindings.structures.xt_counters()
        policy = self._functions.iptc_get_policy(chain, ctypes.byref(counters), self._handle)
        return policy, counters.pcnt, counters.bcnt

    def rules(self, chain: bytes) -> Iterator[Any]:
        """Yield a chain's entries, as they lie in memory."""
        entry = self._functions.iptc_first_rule(chain, self._handle)
        while entry:
            yield entry[0]
            entry = self._functions.iptc_next_rule(entry, self._handle)

    def target(self, entry: Any) -> bytes:
        """Return the name of an entry's target, verdict or chain; nothing where it has none."""
        return self._functions.iptc_get_target(ctypes.byref(entry), self._handle) or b""

    def create(self, chain: bytes) -> None:
        if len(chain) > LONGEST_NAME or not chain or chain[:1] in (b"-", b"!"):
            raise TableError(f"a chain's name has 1 to {LONGEST_NAME} bytes, and no - or ! first")
        if find_target(chain) is not None:
            raise TableError("a target has this name")
        self._done(self._functions.iptc_create_chain(chain, self._handle))

    def delete_chain(self, chain: bytes) -> None:
        """Delete a chain without rules that nothing leads to."""
        self._done(self._functions.iptc_delete_chain(chain, self._handle))

    def insert(self, chain: bytes, rule: Encoded) -> None:
        """Put a rule before all others."""
        self._done(self._functions.iptc_insert_entry(chain, rule.data, 0, self._handle))

    def append(self, chain: bytes, rule: Encoded) -> None:
        self._done(self._functions.iptc_append_entry(chain, rule.data, self._handle))

    def delete(self, chain: bytes, rule: Encoded) -> None:
        """Delete the first rule that is this one, to the last byte."""
        mask = ctypes.create_string_buffer(rule.mask, len(rule.mask))
        self._done(self._functions.iptc_delete_entry(chain, rule.data, mask, self._handle))

    def check(self, chain: bytes, rule: Encoded) -> None:
        """Raise unless the rule is there."""
        mask = ctypes.create_string_buffer(rule.mask, len(rule.mask))
        self._done(self.family.check_entry(chain, rule.data, mask, self._handle))

    def commit(self) -> None:
        """Put the whole table back, or raise with the kernel's as it was."""
        self._done(self._functions.iptc_commit(self._handle))

    def _done(self, result: int) -> None:
        if not result:
            raise TableError(self._reason())

    def _reason(self) -> str:
        return os.fsdecode(self._functions.iptc_strerror(bindings.last_error()))
