"""Who may ask, and where an agent may listen."""

from pathlib import Path

import pytest

from mesos_cni_port_mapper.harness.agent.access import (
    Listen,
    check_listen,
    check_socket_path,
    is_authorised,
    is_own_host,
    parse_token,
    read_token,
)
from mesos_cni_port_mapper.harness.errors import HarnessError, UsageError

TOKEN = b"0123456789abcdef"


@pytest.mark.parametrize("ip", ["127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_needs_no_token(ip: str) -> None:
    check_listen(Listen(ip=ip, port=1), has_token=False)


@pytest.mark.parametrize("ip", ["0.0.0.0", "::", "192.0.2.1", "::ffff:192.0.2.1"])
def test_any_other_address_needs_one(ip: str) -> None:
    check_listen(Listen(ip=ip, port=1), has_token=True)
    with pytest.raises(UsageError, match=r"^--ip: .* needs --token_file$"):
        check_listen(Listen(ip=ip, port=1), has_token=False)


@pytest.mark.parametrize("ip", ["", "localhost", "127.0.0.1:80", "1.2.3"])
def test_an_address_is_an_address(ip: str) -> None:
    with pytest.raises(UsageError, match=r"^--ip: .* is not an IP address$"):
        check_listen(Listen(ip=ip, port=1), has_token=True)


def test_a_unix_socket_needs_neither() -> None:
    check_listen(Listen(ip="nonsense", port=1, socket="/run/x"), has_token=False)


def test_a_socket_has_an_absolute_path_in_a_directory_that_is_there(tmp_path: Path) -> None:
    check_socket_path("/x")
    for path in ("x", "", "/" + "x" * 107, "/a\0b"):
        with pytest.raises(UsageError, match=r"^--socket: "):
            check_socket_path(path)
    with pytest.raises(HarnessError, match=r"^--socket: .*: no such directory$"):
        check_socket_path("/no/such/directory/x")


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        ("Bearer 0123456789abcdef", True),
        ("bearer  0123456789abcdef ", True),
        ("Bearer 0123456789abcdeF", False),
        ("Bearer 0123456789abcde", False),
        ("Bearer 0123456789abcdef0", False),
        ("Bearer", False),
        ("Basic 0123456789abcdef", False),
        ("0123456789abcdef", False),
        ("Bearer \udcff", False),
        ("", False),
        (None, False),
    ],
)
def test_only_the_token_lets_in(header: str | None, allowed: bool) -> None:
    assert is_authorised(header, TOKEN) is allowed


@pytest.mark.parametrize(
    ("header", "own"),
    [
        ("127.0.0.1:5051", True),
        ("127.0.0.1", True),
        ("localhost:5051", True),
        ("LOCALHOST", True),
        ("[::1]:5051", True),
        ("[::1]", True),
        (None, True),
        ("evil.example:5051", False),
        ("localhost.evil.example", False),
        ("192.0.2.9", False),
        ("[2001:db8::1]:80", False),
        ("[", False),
    ],
)
def test_a_page_under_another_name_is_not_of_this_host(header: str | None, own: bool) -> None:
    assert is_own_host(header, "127.0.0.1") is own


def test_a_token_is_one_word() -> None:
    assert parse_token(b" 0123456789abcdef\n", "f") == TOKEN


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "must hold one word"),
        (b"0123456789abcdef 0123456789abcdef", "must hold one word"),
        (b"0123456789abcde\xff", "must hold one word"),
        (b"x" * 5000, "must hold one word"),
        (b"short", "at least 16 characters"),
    ],
)
def test_a_token_that_is_none_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=f"^--token_file: f.*{words}"):
        parse_token(data, "f")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_token_that_others_can_see_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "token"
    file.write_bytes(TOKEN)
    file.chmod(0o600)
    assert read_token(str(file)) == TOKEN

    file.chmod(mode)
    with pytest.raises(UsageError, match=f"has mode {mode:04o}"):
        read_token(str(file))


def test_a_token_is_in_a_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^--token_file: .*no such"):
        read_token(str(tmp_path / "no such"))
    with pytest.raises(UsageError, match=r"is no file$"):
        read_token(str(tmp_path))
