"""Forget conntrack entries inside a throwaway host, as some kernel would, and print how it went.

Started there as a program. Its argument is JSON: a list of flushes and the name of a kernel.
"""

import errno
import json
import sys
from collections.abc import Iterator, Sequence

from mesos_cni_port_mapper.linux.netlink import DUMP, NETFILTER, Netlink, encode_attribute
from mesos_cni_port_mapper.netfilter.conntrack import Flush, apply

_FILTER = 25 | 0x8000
_LENGTH_OF_FILTER = 12
_FAMILY_HEADER = 4


class Kernel(Netlink):
    """The kernel that there is, and a note of what it was asked."""

    asked: list[str] = []  # noqa: RUF012 - one list for the whole run is what is wanted

    def ask(self, kind: int, body: bytes, flags: int = 0) -> Iterator[bytes]:
        self.asked.append("dump" if flags == DUMP else "ask")
        return super().ask(kind, body, flags)

    def tell(self, requests: Sequence[tuple[int, bytes]]) -> list[int]:
        filtered = any(_has_filter(body) for _, body in requests)
        self.asked.append(f"{'filter' if filtered else 'delete'} {len(requests)}")
        return super().tell(requests)


class BeforeFilteredFlush(Kernel):
    """A kernel before 6.12: what it is told to delete it reads without the filter.

    Whether it refuses that is up to the real one, which reads it as old ones did.
    """

    def tell(self, requests: Sequence[tuple[int, bytes]]) -> list[int]:
        return super().tell([(kind, _without_filter(body)) for kind, body in requests])


class BeforeFilters(BeforeFilteredFlush):
    """A kernel before 5.8: it dumps everything of a family."""

    def ask(self, kind: int, body: bytes, flags: int = 0) -> Iterator[bytes]:
        return super().ask(kind, body[:_FAMILY_HEADER], flags)


class WithoutConntrackNetlink(Kernel):
    """A kernel that knows netfilter's netlink, but nobody there who tracks connections."""

    def ask(self, kind: int, body: bytes, flags: int = 0) -> Iterator[bytes]:
        return super().ask(kind | 0xF00, body, flags)

    def tell(self, requests: Sequence[tuple[int, bytes]]) -> list[int]:
        return super().tell([(kind | 0xF00, body) for kind, body in requests])


class WithoutNetfilterNetlink(Kernel):
    """A kernel without netfilter's netlink."""

    def __init__(self, protocol: int, seconds: float = 5) -> None:
        super().__init__({NETFILTER: 31}[protocol], seconds)


class Busy(Kernel):
    """A kernel that does not let go of entries that hardware has taken over."""

    def tell(self, requests: Sequence[tuple[int, bytes]]) -> list[int]:
        return [errno.EINVAL if _has_filter(body) else errno.EBUSY for _, body in requests]


class Late(BeforeFilteredFlush):
    """A kernel whose entries end by themselves between a dump and what follows from it."""

    def tell(self, requests: Sequence[tuple[int, bytes]]) -> list[int]:
        super().tell(requests)
        return super().tell(requests)


KERNELS = {
    kernel.__name__: kernel
    for kernel in (
        Kernel,
        BeforeFilteredFlush,
        BeforeFilters,
        WithoutConntrackNetlink,
        WithoutNetfilterNetlink,
        Busy,
        Late,
    )
}


def _has_filter(body: bytes) -> bool:
    return body[-_LENGTH_OF_FILTER:][:4] == encode_attribute(_FILTER, bytes(8))[:4]


def _without_filter(body: bytes) -> bytes:
    return body[:-_LENGTH_OF_FILTER] if _has_filter(body) else body


def main(flushes: Sequence[dict[str, object]], kernel: str) -> None:
    error = 0
    words = ""
    try:
        apply([Flush(**flush) for flush in flushes], connect=KERNELS[kernel])  # type: ignore[arg-type]
    except OSError as problem:
        error = problem.errno or -1
        words = str(problem)
    outcome = {"asked": Kernel.asked, "error": error, "words": words}
    sys.stdout.write(json.dumps(outcome) + "\n")


if __name__ == "__main__":
    main(*json.loads(sys.argv[1]))
