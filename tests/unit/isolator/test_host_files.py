from mesos_cni_port_mapper.isolator.host_files import render_hostname, render_hosts


def test_each_address_has_a_line_and_ipv4_comes_first_in_its_network() -> None:
    networks = [["fd00::2", "10.0.0.2"], [], ["10.1.0.2", "10.1.0.3"]]

    assert render_hosts("web", networks) == (
        "127.0.0.1 localhost\n10.0.0.2 web\nfd00::2 web\n10.1.0.2 web\n10.1.0.3 web\n"
    )


def test_without_an_address_there_is_loopback_alone() -> None:
    assert render_hosts("web", []) == "127.0.0.1 localhost\n"


def test_the_hostname_has_no_line_end() -> None:
    assert render_hostname("web") == "web"
