"""What a table would refuse, told without asking the kernel."""

import pytest

from mesos_cni_port_mapper.netfilter.rehearsal import find_refusal
from mesos_cni_port_mapper.portmap.listing import Listing

JUMP = "-m addrtype --dst-type LOCAL -j CHAIN"
LISTING = Listing(
    chains={"PREROUTING": (JUMP,), "CHAIN": ('-p tcp -m comment --comment "a b" -j ACCEPT',)},
    built_in=frozenset(["PREROUTING"]),
)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [f"-C PREROUTING {JUMP}", "-I CHAIN -j RETURN"],
        ["-C PREROUTING -j CHAIN -m addrtype --dst-type LOCAL"],
        ["-N OTHER", "-A OUTPUT -j OTHER", "-I OTHER -j RETURN"],
        ['-D CHAIN -p tcp -m comment --comment "a b" -j ACCEPT', "-X CHAIN", "-N CHAIN"],
        ["-I CHAIN -j RETURN", "-D CHAIN -j RETURN"],
    ],
)
def test_what_can_be_carried_out_is_not_refused(lines: list[str]) -> None:
    assert find_refusal(LISTING, lines) == ""


@pytest.mark.parametrize(
    "lines",
    [
        ["-N CHAIN"],
        ["-I OTHER -j RETURN"],
        ["-X OTHER"],
        [f"-C OUTPUT {JUMP}"],
        ["-D CHAIN -j RETURN"],
        ["-X CHAIN", "-I CHAIN -j RETURN"],
        [f"-D PREROUTING {JUMP}", f"-C PREROUTING {JUMP}"],
    ],
)
def test_the_line_that_cannot_be_carried_out_is_named(lines: list[str]) -> None:
    assert find_refusal(LISTING, lines) == lines[-1]
