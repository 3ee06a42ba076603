"""ipvlan and vlan do what Debian's do, on a kernel that has such links; and say so where not."""

from typing import Any, ClassVar

import pytest

from tests.uml.cases import CASES, FAILED, Case

_UNSUPPORTED = 2
_HOST = ["eth0", "lo"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name, chosen in (("lasting", True), ("refused", False)):
        if name in metafunc.fixturenames and metafunc.cls is not None:
            cases = [case for case in CASES[metafunc.cls.kind] if (case.code == 0) is chosen]
            metafunc.parametrize(name, cases, ids=[case.name for case in cases])


def alike(seen: dict[str, Any]) -> dict[str, Any]:
    """Return an observation with the code alone of every error: words are one's own."""
    return {key: code_of(value) if is_error(value) else value for key, value in seen.items()}


def is_error(answer: Any) -> bool:
    return isinstance(answer, dict) and "error" in answer


def code_of(answer: Any) -> int:
    """Return an answer's error code, 0 for success."""
    return int(answer["error"]["code"]) if is_error(answer) else 0


class Links:
    kind: ClassVar[str]
    module: ClassVar[str]

    def test_an_attachment_lives_as_debians(self, report: Any, lasting: Case) -> None:
        ours, debians = (alike(report[side][lasting.name]) for side in ("ours", "debian"))
        if not lasting.debian_checks:
            assert (ours.pop("CHECK"), debians.pop("CHECK")) == ("", FAILED)

        assert ours == debians

    def test_an_attachment_carries_traffic(self, report: Any, lasting: Case) -> None:
        seen = report["ours"][lasting.name]

        assert len(seen["traffic"]) == len(lasting.ask)
        assert all(answer.startswith("client saw ") for answer in seen["traffic"])
        if lasting.neighbour:
            assert seen["neighbour"].startswith("c2 saw ")

    def test_an_attachment_is_of_the_kind(self, report: Any, lasting: Case) -> None:
        seen = report["ours"][lasting.name]
        kinds = [
            link["linkinfo"]["info_kind"] for link in seen.get("container", {"links": []})["links"]
        ]

        assert kinds == ([] if lasting.damage else [self.kind])

    def test_check_tells_a_damage(self, report: Any, lasting: Case) -> None:
        seen = report["ours"][lasting.name]

        assert code_of(seen.get("CHECK", "")) == (FAILED if lasting.damage else 0)

    def test_del_leaves_nothing(self, report: Any, lasting: Case) -> None:
        seen = report["ours"][lasting.name]

        assert (seen["DEL"], seen["left"], seen["left on the host"]) == ("", ["lo"], _HOST)
        assert seen.get("DEL again", ["", ""]) == ["", ""]

    def test_a_refusal_is_debians_too_and_leaves_nothing(self, report: Any, refused: Case) -> None:
        seen, debians = (report[side][refused.name] for side in ("ours", "debian"))

        assert (code_of(seen["ADD"]), code_of(debians["ADD"])) == (refused.code, FAILED)
        assert seen["left"] == (["eth0", "lo"] if refused.container else ["lo"])
        assert seen["left on the host"] == ([*_HOST, "taken"] if refused.host[0] else _HOST)

    def test_a_kernel_without_such_links_is_named_as_the_reason(self, report: Any) -> None:
        seen = report["unsupported"]
        error = seen["ADD"]["error"]

        assert error["code"] == _UNSUPPORTED
        assert "kernel" in error["msg"]
        assert self.module in error["msg"].split()

    def test_a_kernel_without_such_links_is_left_alone(self, report: Any) -> None:
        seen = report["unsupported"]

        assert (seen["left"], seen["left on the host"]) == (["lo"], _HOST)
        assert seen["DEL again"] == ["", ""]


class TestIpvlan(Links):
    kind = "ipvlan"
    module = "ipvlan"

    @pytest.mark.parametrize("mode", ["l2", "l3", "l3s"])
    def test_the_mode_is_the_configured_one(self, report: Any, mode: str) -> None:
        (link,) = report["ours"][f"mode {mode}"]["container"]["links"]

        assert link["linkinfo"]["info_data"]["mode"] == mode


class TestVlan(Links):
    kind = "vlan"
    module = "8021q"

    @pytest.mark.parametrize(
        ("name", "number"),
        [("an id", 5), ("the largest id, both families", 4094), ("no id", 0)],
    )
    def test_the_id_is_the_configured_one(self, report: Any, name: str, number: int) -> None:
        (link,) = report["ours"][name]["container"]["links"]

        assert link["linkinfo"]["info_data"]["id"] == number
