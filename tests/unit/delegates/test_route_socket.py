"""What the kernel may answer on a route socket, and what becomes of it."""

import struct
from typing import Any

import pytest

from delegates.route_socket import HEADER_SIZE, RouteSocket

ERROR, DONE, LINK = 2, 3, 16
INTERRUPTED, CAPPED, HAS_WORDS = 0x10, 0x100, 0x200
BODY = bytes(HEADER_SIZE) + b"question"


def message(kind: int, sequence: int, body: bytes = b"", flags: int = 0) -> bytes:
    header = struct.pack("=IHHII", HEADER_SIZE + len(body), kind, flags, sequence, 0)
    return header + body + bytes(-len(body) % 4)


def acknowledgement(sequence: int, number: int = 0, words: str = "") -> bytes:
    body = struct.pack("=i", -number) + bytes(HEADER_SIZE)
    if not words:
        return message(ERROR, sequence, body, CAPPED)
    text = words.encode() + b"\0"
    offset = struct.pack("=HHI", 8, 2, 4)
    attribute = struct.pack("=HH", 4 + len(text), 1) + text
    return message(ERROR, sequence, body + offset + attribute, CAPPED | HAS_WORDS)


class Scripted:
    """A socket that answers in turn what it is given, and keeps what it is sent."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.sent: list[bytes] = []

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def recv(self, _size: int) -> bytes:
        return self.answers.pop(0)


def talk(*answers: bytes) -> tuple[RouteSocket, Scripted]:
    route_socket, scripted = RouteSocket(), Scripted(*answers)
    route_socket.close()
    route_socket._socket = scripted  # type: ignore[assignment]
    return route_socket, scripted


def request(*answers: bytes) -> Any:
    return talk(*answers)[0].request(LINK, 0x400, BODY)


def test_a_request_is_numbered_and_asks_for_an_answer() -> None:
    route_socket, scripted = talk(acknowledgement(1), acknowledgement(2))

    route_socket.request(LINK, 0x400, BODY)
    route_socket.request(LINK, 0, BODY)

    assert scripted.sent == [
        struct.pack("=IHHII", len(BODY), LINK, 0x405, 1, 0) + b"question",
        struct.pack("=IHHII", len(BODY), LINK, 0x005, 2, 0) + b"question",
    ]


def test_replies_come_before_the_acknowledgement() -> None:
    reply = message(LINK, 1, b"answer")

    assert request(reply + acknowledgement(1)) == [reply[: HEADER_SIZE + 6]]
    assert request(reply, acknowledgement(1)) == [reply[: HEADER_SIZE + 6]]


def test_what_was_left_of_another_answer_is_passed_over() -> None:
    assert request(message(LINK, 0, b"stale") + acknowledgement(0, 1), acknowledgement(1)) == []


def test_a_refusal_has_the_kernels_words() -> None:
    with pytest.raises(FileExistsError, match="there is one already"):
        request(acknowledgement(1, 17, "there is one already"))


def test_a_refusal_without_words_has_its_number() -> None:
    with pytest.raises(OSError, match="No such device") as caught:
        request(acknowledgement(1, 19))

    assert caught.value.errno == 19


def test_a_dump_ends_with_done() -> None:
    done = message(DONE, 1, struct.pack("=i", 0))
    first, second = message(LINK, 1, b"abcd"), message(LINK, 1, b"efgh")

    assert talk(first + second, done)[0].dump(LINK, BODY) == [first, second]


def test_a_dump_that_fails_at_its_end_fails() -> None:
    with pytest.raises(PermissionError):
        talk(message(DONE, 1, struct.pack("=i", -1)))[0].dump(LINK, BODY)


def test_a_dump_of_what_changed_meanwhile_is_read_again() -> None:
    stale, fresh = message(LINK, 1, b"abcd", INTERRUPTED), message(LINK, 2, b"efgh")
    rest = message(LINK, 1, b"rest", INTERRUPTED)
    route_socket, scripted = talk(stale, rest, fresh, message(DONE, 2, struct.pack("=i", 0)))

    assert route_socket.dump(LINK, BODY) == [fresh]
    assert len(scripted.sent) == 2


def test_a_list_that_never_stays_is_given_up() -> None:
    answers = [message(LINK, number, b"abcd", INTERRUPTED) for number in range(1, 20)]

    with pytest.raises(InterruptedError, match="changed each time"):
        talk(*answers)[0].dump(LINK, BODY)
