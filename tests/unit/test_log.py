"""What the log says of a command, and where the time went."""

import pytest

from mesos_cni_port_mapper.cni.errors import BUG, PORT_TAKEN, TRY_AGAIN, CniError
from mesos_cni_port_mapper.cni.request import Request
from mesos_cni_port_mapper.linux.signals import Interrupted
from mesos_cni_port_mapper.port_mapper.log import describe

REQUEST = Request(
    command="ADD",
    container_id="web",
    ifname="eth0",
    netns="/run/netns/web",
    path=("/opt/cni/bin",),
    environ={},
    netconf={"name": "net"},
    version="1.0.0",
)


@pytest.mark.parametrize(
    ("failure", "code", "words"),
    [
        (CniError(PORT_TAKEN, "taken", "by web"), PORT_TAKEN, "taken: by web"),
        (Interrupted(15), TRY_AGAIN, "interrupted by signal 15"),
        (KeyError("x"), BUG, "KeyError('x')"),
    ],
    ids=["failure", "interruption", "bug"],
)
def test_a_command_that_fails_has_the_code_of_its_answer(
    failure: BaseException, code: int, words: str
) -> None:
    entry = describe(REQUEST, failure, 1.0, {})

    assert (entry["code"], entry["error"]) == (code, words)


def test_time_is_told_apart_by_what_was_waited_for() -> None:
    waited = {
        "/usr/sbin/iptables-restore": 0.1,
        "/usr/sbin/ip6tables-save": 0.2,
        "/bin/sh": 0.4,
        "/run/nowhere/lock": 0.8,
        "nf_tables": 0.05,
    }

    seconds = describe(REQUEST, None, 2.0, waited)["seconds"]

    assert seconds == {"total": 2.0, "delegate": 0.4, "lock": 0.8, "batch": 0.35}
