"""What is done to a directory of plugins, and what is left alone."""

import itertools
from collections.abc import Mapping

import pytest

from mesos_cni_port_mapper.cli.installation import (
    CURRENT,
    DIRECTORY,
    LINK,
    OTHER,
    PLUGIN,
    SCRATCH,
    SCRATCH_LINK,
    WASTE,
    Clear,
    ConflictError,
    Copy,
    Entry,
    Link,
    Offer,
    RemoveVersion,
    Step,
    Unlink,
    plan_install,
    plan_uninstall,
    version_name,
)

Directory = dict[str, Entry]

OLDEST, OLD, NEW = (version_name(f"0.{n}.0", f"{n}" * 64) for n in range(3))
OFFER = Offer(NEW, ("bridge", "loopback"))
FOREIGN = Entry(OTHER)


def delegate(name: str) -> Entry:
    return Entry(LINK, f"{CURRENT}/.mesos-cni-delegates/{name}")


PORT_MAPPER = Entry(LINK, f"{CURRENT}/{PLUGIN}")
EMPTY: Directory = {}
INSTALLED: Directory = {
    OLD: Entry(DIRECTORY),
    CURRENT: Entry(LINK, OLD),
    PLUGIN: PORT_MAPPER,
}
WITH_DELEGATES = INSTALLED | {"bridge": delegate("bridge"), "vlan": delegate("vlan")}
LEFT_OVER: Directory = {
    SCRATCH: Entry(DIRECTORY),
    WASTE: Entry(DIRECTORY),
    SCRATCH_LINK: Entry(LINK, NEW),
    OLDEST: Entry(DIRECTORY),
}


def install(found: Directory, *, delegates: bool = False, intact: bool = True) -> tuple[Step, ...]:
    return plan_install(found, OFFER, delegates=delegates, intact=intact)


def after(found: Mapping[str, Entry], steps: tuple[Step, ...]) -> Directory:
    """Return the directory once the steps are taken."""
    made = dict(found)
    for step in steps:
        match step:
            case Copy(version):
                made[version] = Entry(DIRECTORY)
            case Link(name, target, replace):
                assert (name in made) == replace
                made[name] = Entry(LINK, target)
            case Unlink(name) | Clear(name):
                del made[name]
            case RemoveVersion(version):
                del made[version]
    return made


def test_an_empty_directory_gets_a_version_and_two_links() -> None:
    assert install(EMPTY) == (Copy(NEW), Link(CURRENT, NEW), Link(PLUGIN, PORT_MAPPER.target))


def test_delegates_are_linked_when_asked_for() -> None:
    made = after(EMPTY, install(EMPTY, delegates=True))

    assert made == {
        NEW: Entry(DIRECTORY),
        CURRENT: Entry(LINK, NEW),
        PLUGIN: PORT_MAPPER,
        "bridge": delegate("bridge"),
        "loopback": delegate("loopback"),
    }


def test_an_upgrade_is_one_link_and_the_version_before_stays() -> None:
    assert install(INSTALLED) == (Copy(NEW), Link(CURRENT, NEW, replace=True))


def test_the_version_before_that_goes() -> None:
    assert install({OLDEST: Entry(DIRECTORY), **INSTALLED}) == (
        Copy(NEW),
        Link(CURRENT, NEW, replace=True),
        RemoveVersion(OLDEST),
    )


def test_an_upgrade_keeps_the_delegates_that_were_linked() -> None:
    made = after(WITH_DELEGATES, install(WITH_DELEGATES))

    assert made["bridge"] == delegate("bridge")
    assert "loopback" not in made


def test_a_delegate_that_the_new_version_lacks_goes_before_the_link_changes() -> None:
    steps = install(WITH_DELEGATES)

    assert steps.index(Unlink("vlan")) < steps.index(Link(CURRENT, NEW, replace=True))


@pytest.mark.parametrize("found", [EMPTY, INSTALLED, WITH_DELEGATES, INSTALLED | LEFT_OVER])
@pytest.mark.parametrize("delegates", [False, True])
def test_the_second_time_there_is_nothing_to_do(found: Directory, delegates: bool) -> None:
    made = after(found, install(found, delegates=delegates))

    assert install(made, delegates=delegates) == ()


def test_a_damaged_version_is_copied_anew() -> None:
    made = after(INSTALLED, install(INSTALLED))

    assert install(made, intact=False) == (Copy(NEW),)


def test_what_an_installation_left_unfinished_is_cleared_first() -> None:
    steps = install(INSTALLED | LEFT_OVER)

    assert set(steps[:3]) == {Clear(SCRATCH), Clear(WASTE), Clear(SCRATCH_LINK)}


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        (PLUGIN, FOREIGN),
        (PLUGIN, Entry(DIRECTORY)),
        (PLUGIN, Entry(LINK, "/opt/mesos/mesos-cni-port-mapper")),
        (PLUGIN, Entry(LINK, ".mesos-cni-port-mapper-lib/mesos-cni-port-mapper")),
        ("bridge", FOREIGN),
        ("loopback", Entry(LINK, "bridge")),
        (CURRENT, FOREIGN),
        (CURRENT, Entry(DIRECTORY)),
        (CURRENT, Entry(LINK, "/somewhere/else")),
        (CURRENT, Entry(LINK, f"../{OLD}")),
        (NEW, FOREIGN),
        (NEW, Entry(LINK, OLD)),
    ],
)
def test_what_is_not_ours_is_named_and_not_replaced(name: str, entry: Entry) -> None:
    with pytest.raises(ConflictError, match=name):
        install({name: entry}, delegates=True)


def test_all_that_is_in_the_way_is_named_at_once() -> None:
    with pytest.raises(
        ConflictError, match="bridge, loopback, mesos-cni-port-mapper are in the way"
    ):
        install(dict.fromkeys((PLUGIN, "bridge", "loopback"), FOREIGN), delegates=True)


def test_delegates_of_others_are_no_concern_of_the_port_mapper_alone() -> None:
    assert install({"bridge": FOREIGN}) == install(EMPTY)


@pytest.mark.parametrize("delegates", [False, True])
@pytest.mark.parametrize("found", [EMPTY, INSTALLED, WITH_DELEGATES, INSTALLED | LEFT_OVER])
def test_after_every_step_a_plugin_is_whole_or_not_there(found: Directory, delegates: bool) -> None:
    plan = install(found, delegates=delegates)
    undone = after(found, plan)
    held = {OLDEST: {"vlan"}, OLD: {"bridge", "vlan"}, NEW: {"bridge", "loopback"}}

    for count in range(len(plan) + 1):
        made = after(found, plan[:count])
        names = {name for name, entry in made.items() if entry.target.startswith(f"{CURRENT}/")}
        for name in names - {PLUGIN}:
            assert CURRENT in made
            assert name in held[made[CURRENT].target]
        if names:
            assert made[made[CURRENT].target] == Entry(DIRECTORY)
    for count in range(len(plan_uninstall(undone)) + 1):
        made = after(undone, plan_uninstall(undone)[:count])
        if any(entry.target.startswith(f"{CURRENT}/") for entry in made.values()):
            assert made[made[CURRENT].target] == Entry(DIRECTORY)


FOREIGNERS: Directory = {
    "portmap": FOREIGN,
    "dhcp": Entry(LINK, "../dhcp"),
    "loopback": Entry(LINK, ".mesos-cni-port-mapper-lib/loopback"),
    ".mesos-cni-port-mapper-lib": Entry(DIRECTORY),
    ".mesos-cni-delegates": Entry(DIRECTORY),
    f"{OLD}x": Entry(DIRECTORY),
}


@pytest.mark.parametrize("found", [EMPTY, INSTALLED, WITH_DELEGATES, LEFT_OVER])
def test_uninstalling_leaves_what_is_not_ours(found: Directory) -> None:
    everything = {**found, **FOREIGNERS}

    assert after(everything, plan_uninstall(everything)) == FOREIGNERS


def test_uninstalling_leaves_a_plugin_of_another_in_our_name() -> None:
    found = {
        PLUGIN: FOREIGN,
        CURRENT: Entry(LINK, "/somewhere/else"),
        SCRATCH: FOREIGN,
        NEW: FOREIGN,
    }

    assert plan_uninstall(found) == ()


@pytest.mark.parametrize("delegates", [False, True])
def test_an_installation_that_stopped_anywhere_can_be_removed(delegates: bool) -> None:
    found = WITH_DELEGATES | {"portmap": FOREIGN}
    plan = install(found, delegates=delegates)

    for count in range(len(plan) + 1):
        partial = after(found, plan[:count])
        assert after(partial, plan_uninstall(partial)) == {"portmap": FOREIGN}


def test_versions_differ_by_their_content() -> None:
    names = [version_name("0.1.0", digit * 64) for digit in "abc"]

    assert all(one != other for one, other in itertools.combinations(names, 2))
