"""The log that a configuration asks for: one line a command, wherever it goes."""

import json
import socket
from typing import Any

import pytest

from tests.netns.behaviour.site import NOTHING, STATE, Imagined, Member, Site, everything, mapping

LOG = "/run/ports.log"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def entries_in(site: Site) -> list[dict[str, Any]]:
    """Return what has been logged."""
    return [json.loads(line) for line in site.host.path(LOG).read_text().splitlines()]


def run(member: Member, command: str, **variables: str) -> Any:
    return member.plugin.run(command, member.container, member.request(), **variables)


def test_every_command_is_a_line(site: Site) -> None:
    member = Imagined(site).member("web", mapping(8080), log=LOG)

    added = run(member, "ADD", TRACEPARENT=PARENT)
    checked = member.run("CHECK", prevResult=added.document)
    member.detach()

    assert (added.status, checked.status) == (0, 0)
    entries = entries_in(site)
    assert [entry["command"] for entry in entries] == ["ADD", "CHECK", "DEL"]
    for entry in entries:
        assert (entry["network"], entry["container"]) == ("net-1", "web")
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


def test_the_journal_gets_an_entry(maps_site: Site) -> None:
    site = maps_site
    site.host.run(["mkdir", "-p", "/run/systemd/journal"])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(site.host.path("/run/systemd/journal/socket")))

        Imagined(site).member("web", mapping(8080), log="journal").attach()

        fields = dict(line.split(b"=", 1) for line in journal.recv(10_000).splitlines())
    assert fields[b"SYSLOG_IDENTIFIER"] == b"mesos-cni-port-mapper"
    assert (fields[b"CNI_CONTAINERID"], fields[b"PRIORITY"]) == (b"web", b"6")
    assert json.loads(fields[b"MESSAGE"])["command"] == "ADD"


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
