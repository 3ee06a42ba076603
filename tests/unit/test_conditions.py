"""Which words narrow a rule down, and which would make it another one."""

import pytest

from mesos_cni_port_mapper.portmap.conditions import find_fault, find_nft_fault

UNFIT = [
    "",
    " ",
    "a b",
    "a\tb",
    "a\nb",
    "a\nadd rule ip t c accept",
    '"',
    "'",
    '"x"',
    "\\",
    "é",
    "\0",
]


@pytest.mark.parametrize("word", UNFIT)
def test_a_word_is_one_word_without_quotes(word: str) -> None:
    for fault in (find_fault(word), find_nft_fault(word)):
        assert fault
        assert fault.isprintable()


def test_what_is_wrong_is_said_in_one_line_however_long_the_word_is() -> None:
    for fault in (find_fault("-j" + "x" * 100_000), find_nft_fault("x" * 100_000 + ";")):
        assert fault.isprintable()
        assert len(fault) < 500


@pytest.mark.parametrize(
    "word",
    [
        "!",
        "-s",
        "-d",
        "-i",
        "-m",
        "-p",
        "-f",
        "--sport",
        "--ctstate",
        "--set",
        "10.0.0.0/8",
        "x" * 999,
        "--match-set",
        "blocked",
        "src",
        "1024:65535",
        "}",
    ],
)
def test_a_match_of_iptables_is_taken(word: str) -> None:
    assert find_fault(word) == ""


@pytest.mark.parametrize(
    "word",
    [
        "-j",
        "-g",
        "-A",
        "-I",
        "-D",
        "-X",
        "-F",
        "-N",
        "-P",
        "-t",
        "-jACCEPT",
        "-s10.0.0.1",
        "-",
        "--",
        "--jump",
        "--ju",
        "--jump=ACCEPT",
        "--goto",
        "--append",
        "--table",
        "--set-c",
    ],
)
def test_what_acts_or_names_a_target_is_refused_for_iptables(word: str) -> None:
    assert "is no match" in find_fault(word)


@pytest.mark.parametrize(
    "word",
    [
        "ip",
        "saddr",
        "!=",
        "10.0.0.0/8",
        "fd00::add:1",
        "{",
        "}",
        "{10.0.0.1,",
        "1024-65535",
        "limit",
        "rate",
        "1/second",
        "ct",
        "state",
        "new,established",
        "eth0",
        "br-log",
        "-j",
        "*",
    ],
)
def test_a_match_of_nft_is_taken(word: str) -> None:
    assert find_nft_fault(word) == ""


@pytest.mark.parametrize(
    "word",
    [
        ";",
        "5;",
        "#",
        "$x",
        "@set",
        "accept",
        "drop",
        "jump",
        "goto",
        "return",
        "queue",
        "meter",
        "set",
        "log",
        "counter",
        "comment",
        "dnat",
        "vmap",
        "map",
        "vmap{",
        "80:accept",
        "set{5}",
        "{10.0.0.0/8:drop,",
        "(accept)",
        "x:jump",
        "delete",
        "flow",
        "last",
    ],
)
def test_what_acts_is_refused_for_nft_however_it_is_joined(word: str) -> None:
    assert "is no part of a match" in find_nft_fault(word)
