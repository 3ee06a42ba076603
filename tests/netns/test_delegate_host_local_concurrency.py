"""Many ADDs at once: no address is given twice, and none passed over when the range is full."""

from pathlib import Path

import pytest

from tests.netns.leases import Leases, given
from tests.support.gate import need
from tests.support.host import Host
from tests.support.plugin import PLUGIN_DIRECTORY, Answer, Plugin

MANY = 64


@pytest.fixture
def leases(host: Host, delegates_dir: Path) -> Leases:
    return Leases(host, Plugin(host, str(delegates_dir / "host-local")))


def ranges(count: int) -> dict[str, object]:
    """Return a range of so many addresses, the gateway not among them."""
    return {"subnet": "10.1.2.0/24", "rangeStart": "10.1.2.2", "rangeEnd": f"10.1.2.{count + 1}"}


def all_at_once(command: str, users: list[Leases]) -> list[Answer]:
    calls = [user.start(command, f"web-{number}") for number, user in enumerate(users)]
    return [call.wait(120) for call in calls]


@pytest.mark.parametrize("with_debians", [False, True], ids=["ours", "mixed"])
def test_as_many_as_there_are_addresses_all_get_one(leases: Leases, with_debians: bool) -> None:
    ours = leases.of(**ranges(MANY))
    users = [ours] * MANY
    if with_debians:
        need(f"{PLUGIN_DIRECTORY}/host-local")
        users = [ours, ours.debian()] * (MANY // 2)

    answers = all_at_once("ADD", users)

    addresses = {
        address: f"web-{number}\r\neth0"
        for number, answer in enumerate(answers)
        for address in given(answer)
    }
    assert sorted(addresses) == sorted(f"10.1.2.{number}" for number in range(2, MANY + 2))
    assert leases.taken == addresses
    assert {answer.status for answer in all_at_once("DEL", users[::-1])} == {0}
    assert leases.taken == {}


def test_when_there_is_one_too_few_one_is_refused(leases: Leases) -> None:
    users = [leases.of(**ranges(MANY - 1))] * MANY

    answers = all_at_once("ADD", users)

    (refused,) = [number for number, answer in enumerate(answers) if answer.status]
    assert answers[refused].code == 999
    assert len(leases.taken) == MANY - 1
    assert f"web-{refused}\r\neth0" not in leases.taken.values()


def test_the_one_address_that_comes_free_is_found_by_one(leases: Leases) -> None:
    """It is the one given last, to which the search comes at its end."""
    network = leases.of(**ranges(8))
    all_at_once("ADD", [network] * 8)
    last = (leases.path / "last_reserved_ip.0").read_text()
    network.delete(leases.taken[last].partition("\r\n")[0])

    calls = [network.start("ADD", f"late-{number}") for number in range(8)]
    answers = [call.wait(120) for call in calls]

    assert [given(answer) for answer in answers if answer.status == 0] == [[last]]
    assert len(leases.taken) == 8
