from hypothesis import given
from hypothesis import strategies as st

from mesos_cni_port_mapper.isolator.configurations import Problem
from mesos_cni_port_mapper.isolator.network_info import NetworkInfo
from mesos_cni_port_mapper.isolator.records import ContainerRequest, Record, record_of
from mesos_cni_port_mapper.isolator.recovery import (
    Detach,
    Entry,
    Keep,
    Leave,
    StepOver,
    find_lost,
    plan_recovery,
)


def entry(name: str, record: Record | None = None) -> Entry:
    return Entry(f"/state/{name}", name, True, record or Record(name, name, ()))


def request(name: str) -> ContainerRequest:
    return ContainerRequest(name, (NetworkInfo("net"),))


def test_each_entry_has_one_action() -> None:
    entries = [entry("living"), entry("listed"), entry("unknown"), entry("both")]
    live = {name: request(name) for name in ("living", "both", "elsewhere")}

    assert plan_recovery(entries, live, {"listed", "both"}) == [
        Keep("living"),
        Leave("listed"),
        Detach("unknown"),
        Keep("both"),
    ]


def test_a_lost_record_is_written_again_from_the_request() -> None:
    lost = Entry("/state/a", "a", True)

    assert plan_recovery([lost], {"a": request("a")}, set()) == [Keep("a", record_of(request("a")))]
    assert plan_recovery([lost], {"a": ContainerRequest("a")}, set()) == [Keep("a")]
    assert plan_recovery([lost], {}, set()) == [Detach("a")]


def test_what_is_no_containers_is_stepped_over() -> None:
    stray, odd = Entry("/state/x", "x", False), Entry("/state/a b", "a b", True)

    actions = plan_recovery([stray, odd], {"x": request("x")}, {"a b"})

    assert actions == [
        StepOver(Problem("/state/x", "it is no container's directory")),
        StepOver(
            Problem(
                "/state/a b",
                "as a container ID it has a slash, a backslash, a space or a control character "
                "in it",
            )
        ),
    ]


def test_live_containers_of_which_nothing_is_known_are_found() -> None:
    live = {
        "known": request("known"),
        "lost": request("lost"),
        "host": ContainerRequest("host"),
        "p.debug": ContainerRequest("p.debug", (NetworkInfo("net"),), debug=True),
    }

    assert find_lost([entry("known"), Entry("/state/lost", "lost", False)], live) == ["lost"]


_NAMES = st.sampled_from(["a", "b", "a.b", "c", ".x", "a b"])


@given(
    st.lists(st.builds(entry, _NAMES), unique_by=lambda each: each.name),
    st.dictionaries(_NAMES, st.builds(request, _NAMES)),
    st.sets(_NAMES),
)
def test_nothing_that_anybody_knows_is_ever_detached(
    entries: list[Entry], live: dict[str, ContainerRequest], orphans: set[str]
) -> None:
    actions = plan_recovery(entries, live, orphans)

    detached = {action.container_id for action in actions if isinstance(action, Detach)}
    assert len(actions) == len(entries)
    assert not detached & (set(live) | orphans)
