"""Who may ask the agent: where it listens, and the token that it then asks for."""

from __future__ import annotations

import hmac
import ipaddress
import os
import stat
from dataclasses import dataclass

from mesos_cni_port_mapper.harness.errors import HarnessError, UsageError, one_line

_SHORTEST = 16
_LARGEST_FILE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Where an agent listens: at an address and a port, or else at a Unix socket."""

    ip: str
    port: int
    socket: str | None = None


def is_loopback(ip: str) -> bool:
    """Tell whether an address, which must be one, can be reached from this host alone."""
    return ipaddress.ip_address(ip).is_loopback


def check_listen(listen: Listen, *, has_token: bool) -> None:
    """Refuse an address that is none, and one that others reach when there is no token."""
    if listen.socket is not None:
        return
    try:
        loopback = is_loopback(listen.ip)
    except ValueError as error:
        raise UsageError(f"--ip: {listen.ip!r} is not an IP address") from error
    if not loopback and not has_token:
        raise UsageError(f"--ip: {listen.ip} is not loopback, which needs --token_file")


def read_token(path: str) -> bytes:
    """Return the token in a file that nobody but its owner, us or root, can read or change."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise UsageError(f"--token_file: {one_line(error)}") from error
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"--token_file: {path} is no file")
        if status.st_mode & 0o077 or status.st_uid not in (0, os.geteuid()):
            mode = stat.S_IMODE(status.st_mode)
            raise UsageError(f"--token_file: {path} has mode {mode:04o}; it must be yours, as 0600")
        return parse_token(os.read(file, _LARGEST_FILE + 1), path)
    finally:
        os.close(file)


def parse_token(data: bytes, path: str) -> bytes:
    """Return the one word of a token's file."""
    words = data.split()
    if len(words) != 1 or len(data) > _LARGEST_FILE or not words[0].isascii():
        raise UsageError(f"--token_file: {path} must hold one word of ASCII, the token")
    if len(words[0]) < _SHORTEST:
        raise UsageError(f"--token_file: {path}: a token has at least {_SHORTEST} characters")
    return words[0]


def is_authorised(header: str | None, token: bytes) -> bool:
    """Tell whether an Authorization header has the token, in a time that tells nothing of it."""
    scheme, _, given = (header or "").partition(" ")
    matches = hmac.compare_digest(given.strip().encode(errors="replace"), token)
    return scheme.lower() == "bearer" and matches


def is_own_host(header: str | None, ip: str) -> bool:
    """Tell whether a Host header names us as somebody on this host would.

    A web page can make a browser here ask loopback under a name of its own, and then read the
    answer. Where no token is asked for, that must not count as somebody of this host.
    """
    if not header:
        return True  # Browsers never leave it out.
    name = header.rpartition(":")[0] if ":" in header and not header.endswith("]") else header
    name = name.removeprefix("[").removesuffix("]")
    if name.lower() in ("localhost", ip):
        return True
    try:
        return is_loopback(name)
    except ValueError:
        return False


def check_socket_path(path: str) -> None:
    """Refuse what no Unix socket can be at."""
    if not path.startswith("/") or "\0" in path or len(os.fsencode(path)) > 107:
        raise UsageError("--socket: must be an absolute path of at most 107 bytes")
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        raise HarnessError(f"--socket: {directory}: no such directory")
