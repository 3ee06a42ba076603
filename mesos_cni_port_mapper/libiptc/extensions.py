"""Matches and targets, as libxtables knows them.

Their modules are found, asked for an option and checked with the functions that iptables(8) itself
uses, so what they accept and how they are stored is the same.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, byref, c_char_p, c_int, c_uint, c_void_p

from mesos_cni_port_mapper.libiptc.bindings import libc, libxtables, structures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from mesos_cni_port_mapper.libiptc.family import Family

HEADER = ctypes.sizeof(structures.xt_entry_match)
"""Size, name and revision, before a match's or a target's own data; the same for both."""

STANDARD = (b"ACCEPT", b"DROP", b"QUEUE", b"RETURN")
"""Verdicts of the kernel's own."""

_TRY_LOAD = structures.XTF_TRY_LOAD
_NO_ARGUMENT = 0
_ON_REFUSAL = ctypes.CFUNCTYPE(None, c_int, c_char_p, *[c_void_p] * 4)

_MATCH = structures._xtables_match_v12
_TARGET = structures._xtables_target_v12
_optarg = c_char_p.in_dll(libc, "optarg")
_optind = c_int.in_dll(libc, "optind")

for _name in ("xtables_find_match", "xtables_find_match_revision"):
    getattr(libxtables, _name).restype = POINTER(_MATCH)
for _name in ("xtables_find_target", "xtables_find_target_revision"):
    getattr(libxtables, _name).restype = POINTER(_TARGET)
libxtables.xtables_find_match.argtypes = [c_char_p, c_int, c_void_p]
libxtables.xtables_find_target.argtypes = [c_char_p, c_int]
libxtables.xtables_find_match_revision.argtypes = [c_char_p, c_int, POINTER(_MATCH), c_int]
libxtables.xtables_find_target_revision.argtypes = [c_char_p, c_int, POINTER(_TARGET), c_int]
for _name in ("xtables_option_mpcall", "xtables_option_tpcall"):
    getattr(libxtables, _name).restype = None
    getattr(libxtables, _name).argtypes = [c_uint, c_void_p, ctypes.c_bool, c_void_p, c_void_p]


class Situation:
    """What the program is at, for the words it says when libxtables will have none of it."""

    at = ""

    def fail(self, reason: str) -> None:
        """Say what failed, and leave: libxtables does not expect to go on."""
        try:
            os.write(2, f"{self.at}: {reason}\n".encode("utf-8", "surrogateescape"))
        finally:
            os._exit(1)


situation = Situation()


def _refuse(_status: int, form: bytes, *values: int | None) -> None:
    # It is called like printf, and as many arguments come through as fit into registers.
    text = ctypes.create_string_buffer(form[:1023], 1024)
    if form.count(b"%") <= len(values):
        libc.snprintf(text, len(text), form, *[c_void_p(value) for value in values])
    situation.fail(" ".join(text.value.decode("utf-8", "surrogateescape").split()))


_refuse_in_c = _ON_REFUSAL(_refuse)
structures._xt_globals.exit_err = ctypes.cast(_refuse_in_c, type(structures._xt_globals.exit_err))


def choose_family(family: Family) -> None:
    """Have modules found for a family from now on."""
    libxtables.xtables_set_nfproto(family.nfproto)


def find_match(name: bytes, revision: int | None = None) -> Any:
    """Return what libxtables knows of a match, in one revision or the kernel's newest, or None."""
    newest = libxtables.xtables_find_match(name, _TRY_LOAD, None)
    if newest and revision is not None:
        newest = libxtables.xtables_find_match_revision(name, _TRY_LOAD, newest, revision)
    return newest[0] if newest else None


def find_target(name: bytes, revision: int | None = None) -> Any:
    """Return what libxtables knows of a target, likewise."""
    newest = libxtables.xtables_find_target(name, _TRY_LOAD)
    if newest and revision is not None:
        newest = libxtables.xtables_find_target_revision(name, _TRY_LOAD, newest, revision)
    return newest[0] if newest else None


class Extension:
    """One match or target of a rule that is being written."""

    def __init__(self, described: Any) -> None:
        # A copy of the library's description: options seen so far are remembered in it.
        self.module = type(described)()
        ctypes.pointer(self.module)[0] = described
        self.is_match = isinstance(described, _MATCH)
        self.size = structures.xt_align(HEADER + described.size)
        self._data = ctypes.create_string_buffer(self.size)
        self._scratch = ctypes.create_string_buffer(described.udata_size)
        header = structures.xt_entry_match.from_buffer(self._data)
        header.u.user.match_size = self.size
        header.u.user.name = described.real_name or described.name
        header.u.user.revision = described.revision
        if self.is_match:
            self.module.m = ctypes.cast(self._data, POINTER(structures.xt_entry_match))
            self.module.mflags = 0
        else:
            self.module.t = ctypes.cast(self._data, POINTER(structures.xt_entry_target))
            self.module.tflags = 0
        self.module.udata = ctypes.cast(self._scratch, c_void_p)
        if self.module.init:
            self.module.init(self.module.m if self.is_match else self.module.t)

    @property
    def name(self) -> bytes:
        """The name it was found by."""
        return bytes(self.module.name)

    def rename(self, name: bytes) -> None:
        """Lead to a chain, or give a verdict: the name says which."""
        structures.xt_entry_target.from_buffer(self._data).u.user.name = name

    def data(self) -> bytes:
        """Return it as the kernel wants it."""
        return bytes(self._data)

    def mask(self) -> bytes:
        """Return which of its bytes say what it does; the kernel keeps notes in the others."""
        telling: int = HEADER + self.module.userspacesize
        return (b"\xff" * telling).ljust(self.size, b"\0")

    def find_option(self, name: bytes) -> tuple[int, bool] | None:
        """Return an option's number and whether a value follows it."""
        for table, number, kind in (("x6_options", "id", "type"), ("extra_opts", "val", "has_arg")):
            options = getattr(self.module, table)
            index = 0
            while options and options[index].name:
                if options[index].name == name:
                    found = options[index]
                    return getattr(found, number), getattr(found, kind) != _NO_ARGUMENT
                index += 1
        return None

    def parse(self, option: int, words: Sequence[bytes], after: int, ip: Any, *, no: bool) -> int:
        """Take an option in, ``no`` in front of it or not, and return where the next one is.

        ``after`` is the place behind the option and its value; a few options take more. Ends the
        program when the value is wrong.
        """
        argv = (c_char_p * (len(words) + 1))(*words, None)
        _optarg.value = words[after - 1]
        _optind.value = after
        call = (
            libxtables.xtables_option_mpcall if self.is_match else libxtables.xtables_option_tpcall
        )
        call(option, argv, no, byref(self.module), byref(ip))
        return int(_optind.value)

    def finish(self) -> None:
        """Check that its options go together, and that none is missing, or end the program."""
        finish = (
            libxtables.xtables_option_mfcall if self.is_match else libxtables.xtables_option_tfcall
        )
        finish(byref(self.module))
