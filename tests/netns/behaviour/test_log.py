"""The log that a configuration asks for: one line a command, wherever it goes."""

import calendar
import json
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.netns.behaviour.site import NOTHING, STATE, Imagined, Member, Site, everything, mapping
from tests.support.delegates import Delegates

LOG = "/run/ports.log"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def entries_in(site: Site) -> list[dict[str, Any]]:
    """Return what has been logged."""
    return [json.loads(line) for line in site.host.path(LOG).read_text().splitlines()]


def run(member: Member, command: str, **variables: str) -> Any:
    return member.plugin.run(command, member.container, member.request(), **variables)


def test_every_command_is_a_line(site: Site) -> None:
    member = Imagined(site).member("web", mapping(8080), log=LOG)

    begun = int(time.time())
    # In UTC, wherever the runtime is.
    added = run(member, "ADD", TRACEPARENT=PARENT, TZ="EST5")
    checked = member.run("CHECK", prevResult=added.document)
    member.detach()

    assert (added.status, checked.status) == (0, 0)
    entries = entries_in(site)
    assert [entry["command"] for entry in entries] == ["ADD", "CHECK", "DEL"]
    for entry in entries:
        assert (entry["network"], entry["container"]) == ("net-1", "web")
        said = calendar.timegm(time.strptime(entry["time"], "%Y-%m-%dT%H:%M:%SZ"))
        assert begun <= said <= time.time()
        assert (entry["interface"], "code" in entry) == ("eth0", False)
        seconds = entry["seconds"]
        assert seconds["total"] > seconds["delegate"] > 0
        assert seconds["total"] > seconds["batch"] > 0
    assert [entry.get("traceparent") for entry in entries] == [PARENT, None, None]
    assert everything(site) == NOTHING
    assert site.host.path(LOG).stat().st_mode & 0o777 == 0o600


def test_a_failure_is_logged_with_its_code(site: Site) -> None:
    imagined = Imagined(site)
    imagined.member("old", mapping(8080)).attach()

    answer = imagined.member("new", mapping(8080), log=LOG).run("ADD")

    (entry,) = entries_in(site)
    assert (answer.code, entry["code"]) == (105, 105)
    assert entry["error"] == answer.document["msg"]


def test_a_command_that_is_told_to_end_is_logged_as_it_is_answered(maps_site: Site) -> None:
    delegates = Delegates(maps_site.host)
    delegates.hanging("slow", ["ADD"])
    found = maps_site.finding(delegates.directory)
    container = maps_site.host.container("web")
    call = found.member(container, mapping(8080), delegate={"type": "slow"}, log=LOG).start("ADD")
    delegates.await_call("slow")

    call.kill(signal.SIGTERM)
    answer = call.wait()

    (entry,) = entries_in(maps_site)
    assert (answer.code, entry["code"]) == (11, 11)
    assert entry["error"] == answer.document["msg"]


def test_what_was_waited_for_is_told_apart(maps_site: Site) -> None:
    site = maps_site
    imagined = Imagined(site)
    imagined.member("old", mapping(8080)).attach()
    (directory,) = {name.partition("/")[0] for name in site.host.files(STATE)}
    lock = f"{STATE}/{directory}/lock"
    holder = site.host.start(["flock", "--no-fork", lock, "sleep", "0.6"])
    site.host.run(["sh", "-c", f"while flock -n {lock} true; do sleep 0.01; done"])

    imagined.member("web", mapping(8081), log=LOG).attach()

    holder.wait(10)
    holder.close()
    (entry,) = entries_in(site)
    assert 0 < entry["seconds"]["lock"] <= entry["seconds"]["total"]


def read_journal(site: Site, member: Member) -> dict[bytes, bytes]:
    """Run ADD, and return the fields of the one entry that the journal gets."""
    path: Path = site.host.path("/run/systemd/journal")
    path.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(path / "socket"))
        member.run("ADD")
        return dict(line.split(b"=", 1) for line in journal.recv(10_000).splitlines())


def test_the_journal_gets_an_entry(maps_site: Site) -> None:
    member = Imagined(maps_site).member("web", mapping(8080), log="journal")

    fields = read_journal(maps_site, member)

    assert json.loads(fields.pop(b"MESSAGE"))["command"] == "ADD"
    assert fields == {
        b"PRIORITY": b"6",
        b"SYSLOG_IDENTIFIER": b"mesos-cni-port-mapper",
        b"CNI_COMMAND": b"ADD",
        b"CNI_NETWORK": b"net-1",
        b"CNI_CONTAINERID": b"web",
        b"CNI_IFNAME": b"eth0",
    }


def test_failures_are_errors_in_the_journal(maps_site: Site) -> None:
    imagined = Imagined(maps_site)
    imagined.member("old", mapping(8080)).attach()

    fields = read_journal(maps_site, imagined.member("new", mapping(8080), log="journal"))

    assert fields[b"PRIORITY"] == b"3"
    assert json.loads(fields[b"MESSAGE"])["code"] == 105


@pytest.mark.parametrize("log", ["journal", "/proc/nowhere", "/"])
def test_a_log_that_cannot_be_written_fails_nothing(maps_site: Site, log: str) -> None:
    member = Imagined(maps_site).member("web", mapping(8080), log=log)

    answer = member.run("ADD")

    assert answer.status == 0, answer.document
    assert f"log: cannot write to {log}" in answer.stderr


@pytest.mark.parametrize("log", ["", "relative", 1, ["/run/x"], "/a\nb"])
def test_a_log_that_is_no_place_is_an_error(maps_site: Site, log: Any) -> None:
    answer = Imagined(maps_site).member("web", mapping(8080), log=log).run("ADD")

    assert answer.code == 7, answer.document
    assert answer.document["msg"].startswith("log:")
    assert everything(maps_site) == NOTHING
