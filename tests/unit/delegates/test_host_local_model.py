"""host-local driven at random against a model that is a list: no address is lost or given twice."""

import ipaddress
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from delegates.host_local import HostLocal
from mesos_cni_port_mapper.cni.errors import CniError
from tests.unit.delegates.ipam_requests import request

Attachment = tuple[str, str]

CONFIGURATION = {
    "ranges": [
        [
            {"subnet": "192.0.2.0/29", "gateway": "192.0.2.3"},
            {"subnet": "10.0.0.0/24", "rangeStart": "10.0.0.254", "rangeEnd": "10.0.0.255"},
        ],
        [{"subnet": "fd00::/125"}],
    ]
}
POOLS = (
    [f"192.0.2.{number}" for number in (1, 2, 4, 5, 6)] + ["10.0.0.254", "10.0.0.255"],
    [f"fd00::{number}" for number in range(2, 8)],
)
SUBNETS = [ipaddress.ip_network(net) for net in ("192.0.2.0/29", "10.0.0.0/24", "fd00::/125")]
EVERYTHING = [address for pool in POOLS for address in pool]

ATTACHMENTS = st.tuples(
    st.sampled_from(["web-1", "web-10", "db.2", "10.0.0.9"]), st.sampled_from(["eth0", "eth1"])
)
NOTHING: list[str] = []
REQUESTED = st.just(NOTHING) | st.lists(
    st.sampled_from([*EVERYTHING, "192.0.2.3", "10.0.0.7"]), min_size=1, max_size=2
)


class Pools(RuleBasedStateMachine):
    """Attachments come and go; files appear that an administrator or a dead writer made."""

    def __init__(self) -> None:
        super().__init__()
        self.base = tempfile.TemporaryDirectory()
        self.directory = Path(self.base.name, "net")
        self.holders: dict[str, str] = {}
        self.last = ["", ""]

    def teardown(self) -> None:
        self.base.cleanup()

    @initialize()
    def make(self) -> None:
        self.directory.mkdir()

    @rule(attachment=ATTACHMENTS, requested=REQUESTED)
    def add(self, attachment: Attachment, requested: list[str]) -> None:
        expected = self.expected(attachment, requested)
        asked = request(
            {"dataDir": self.base.name, **CONFIGURATION},
            container_id=attachment[0],
            ifname=attachment[1],
            runtimeConfig={"ips": requested},
        )
        if expected is None:
            with pytest.raises(CniError):
                HostLocal().add(asked)
            return
        answer = HostLocal().add(asked)
        assert [ip["address"] for ip in answer["ips"]] == [
            f"{address}/{prefix_of(address)}" for address in expected
        ]
        for index, address in enumerate(expected):
            self.holders[address] = "\r\n".join(attachment)
            self.last[index] = address

    def expected(self, attachment: Attachment, requested: list[str]) -> list[str] | None:
        """Return what the model gives, or nothing when it has to refuse."""
        wanted = list(dict.fromkeys(requested))
        given = []
        for index, pool in enumerate(POOLS):
            chosen = [address for address in wanted if address in pool]
            if chosen:
                wanted.remove(chosen[0])
                if self.taken(chosen[0]):
                    return None
                given.append(chosen[0])
                continue
            if any(address in pool for address in self.own(attachment)):
                return None
            begin = pool.index(self.last[index]) + 1 if self.last[index] else 0
            free = [address for address in pool[begin:] + pool[:begin] if not self.taken(address)]
            if not free:
                return None
            given.append(free[0])
        return None if wanted else given

    def taken(self, address: str) -> bool:
        return bool(self.holders.get(address))

    def own(self, attachment: Attachment) -> list[str]:
        holder = "\r\n".join(attachment)
        own = [address for address, words in self.holders.items() if words == holder]
        return own or [address for address, words in self.holders.items() if words == attachment[0]]

    @rule(number=st.integers(0, 20))
    def delete_one_that_is_there(self, number: int) -> None:
        there = sorted({words for words in self.holders.values() if words})
        if there:
            container, _, ifname = there[number % len(there)].partition("\r\n")
            self.delete((container, ifname or "eth0"))

    @rule(attachment=ATTACHMENTS)
    def delete(self, attachment: Attachment) -> None:
        HostLocal().delete(
            request({"dataDir": self.base.name}, container_id=attachment[0], ifname=attachment[1])
        )
        for address in self.own(attachment):
            del self.holders[address]
        self.holders = {address: words for address, words in self.holders.items() if words}

    @rule(
        address=st.sampled_from(EVERYTHING),
        words=st.sampled_from(["", "web-1", "db.2\r\neth0", "by hand \ufffd"]),
    )
    def write(self, address: str, words: str) -> None:
        if address not in self.holders:
            (self.directory / address).write_bytes(words.encode())
            self.holders[address] = words

    @rule(index=st.sampled_from([0, 1]))
    def forget_last(self, index: int) -> None:
        (self.directory / f"last_reserved_ip.{index}").write_text("")
        self.last[index] = ""

    @invariant()
    def the_files_are_the_model(self) -> None:
        found = {
            path.name: path.read_bytes().decode()
            for path in self.directory.iterdir()
            if not path.name.startswith(("last", "lock"))
        }
        # Nobody's addresses go when somebody works here, and not before.
        assert {name: words for name, words in found.items() if words} == {
            name: words for name, words in self.holders.items() if words
        }
        assert set(found) <= set(self.holders)


def prefix_of(address: str) -> int:
    return next(net.prefixlen for net in SUBNETS if ipaddress.ip_address(address) in net)


TestPools = Pools.TestCase
TestPools.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
