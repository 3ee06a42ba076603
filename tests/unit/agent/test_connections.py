"""Connections on which nothing is asked."""

from mesos_cni_port_mapper.harness.agent.connections import QUIET, Connections


class Line:
    """A connection."""

    closed = False

    def force_close(self) -> None:
        self.closed = True


def test_a_connection_that_says_nothing_is_closed() -> None:
    connections: Connections[Line] = Connections()
    line = Line()
    connections.sweep([line], 0)
    connections.sweep([line], QUIET - 1)
    assert not line.closed

    connections.sweep([line], QUIET)
    assert line.closed


def test_a_connection_that_waits_for_an_answer_is_not() -> None:
    connections: Connections[Line] = Connections()
    line = Line()
    connections.sweep([line], 0)
    connections.begin(line)
    connections.sweep([line], 10 * QUIET)
    connections.end(line)
    connections.sweep([line], 11 * QUIET)
    assert not line.closed

    connections.sweep([line], 12 * QUIET)
    assert line.closed


def test_a_connection_that_is_gone_is_forgotten() -> None:
    connections: Connections[Line] = Connections()
    line = Line()
    connections.sweep([line], 0)
    connections.sweep([], 1)
    connections.sweep([line], QUIET)

    assert not line.closed
