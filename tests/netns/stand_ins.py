"""Stand-ins for network plugins that are no package: what theirs do, without what is behind them.

Each attaches for real (interface, addresses and routes in the container, the host's end and its
routes) and answers what the plugin was seen to answer.
"""

from tests.support.delegates import Delegates
from tests.support.host import CLIENT_IPV4, Host

ADDRESSES = {"calico": "192.168.98.192", "weave-net": "10.32.0.1", "cilium-cni": "10.15.28.5"}
WEAVE = "10.32.0.2"
"""The address of Weave's bridge, behind which it hides all others from its containers."""
ADDRESS_V6 = "f00d::a0f:0:0:105"

# The host's end is named after the container's ID, which these plugins' users stumble over.
_LINK = """\
set -e
host={prefix}$(printf %.{letters}s "$CNI_CONTAINERID")
inside() {{ nsenter --net="$CNI_NETNS" "$@"; }}
"""
_PAIR = """\
ip link add "$host" type veth peer name "$CNI_IFNAME" netns "$CNI_NETNS"
inside ip link set "$CNI_IFNAME" up
ip link set "$host" up
echo 1 >/proc/sys/net/ipv4/ip_forward
"""
_DELETE = 'ip link delete "$host" 2>/dev/null || echo "nothing to do" >&2\n'

_CALICO = """\
echo "Extracted identifiers" >&2
inside ip address add 192.168.98.192/32 dev "$CNI_IFNAME"
inside ip route add 169.254.1.1 dev "$CNI_IFNAME" scope link
inside ip route add default via 169.254.1.1 dev "$CNI_IFNAME"
ip link set "$host" address ee:ee:ee:ee:ee:ee
echo 1 >"/proc/sys/net/ipv4/conf/$host/proxy_arp"
ip route add 192.168.98.192 dev "$host" scope link
echo '{"ip4":{"ip":"192.168.98.192/32"},"dns":{}}'
"""
_WEAVE = """\
ip link show weave >/dev/null 2>&1 || {
    ip link add weave type bridge
    ip address add 10.32.0.2/12 dev weave
    ip link set weave up
    iptables -t nat -N WEAVE
    iptables -t nat -A POSTROUTING -j WEAVE
    iptables -t nat -A WEAVE ! -s 10.32.0.0/12 -d 10.32.0.0/12 -j MASQUERADE
    iptables -t nat -A WEAVE -s 10.32.0.0/12 ! -d 10.32.0.0/12 -j MASQUERADE
}
ip link set "$host" master weave
inside ip address add 10.32.0.1/12 dev "$CNI_IFNAME"
inside ip route add default via 10.32.0.2
echo '{"ip4":{"ip":"10.32.0.1/12","gateway":"10.32.0.2"},"dns":{}}'
"""
_CILIUM = """\
ip link show cilium_host >/dev/null 2>&1 || {
    ip link add cilium_host type bridge
    ip address add 10.15.0.1/32 dev cilium_host
    ip link set cilium_host up
}
inside ip address add 10.15.28.5/32 dev "$CNI_IFNAME"
inside ip address add f00d::a0f:0:0:105/128 dev "$CNI_IFNAME" nodad
inside ip route add 10.15.0.1 dev "$CNI_IFNAME" scope link
inside ip route add default via 10.15.0.1 mtu 1400
echo 1 >"/proc/sys/net/ipv4/conf/$host/proxy_arp"
ip route add 10.15.28.5 dev "$host" scope link
cat <<'END'
{"ip4":{"ip":"10.15.28.5/32","gateway":"10.15.0.1",
        "routes":[{"dst":"10.15.0.1/32"},{"dst":"0.0.0.0/0","gw":"10.15.0.1"}]},
 "ip6":{"ip":"f00d::a0f:0:0:105/128","gateway":"f00d::a0f:0:0:1",
        "routes":[{"dst":"f00d::a0f:0:0:1/128"},{"dst":"::/0","gw":"f00d::a0f:0:0:1"}]},
 "dns":{}}
END
"""
_PLUGINS = {
    "calico": ("cali", 11, _CALICO),
    "weave-net": ("vethwepl", 7, _WEAVE),
    "cilium-cni": ("lxc", 5, _CILIUM),
}


def write_stand_ins(host: Host, plugins: Delegates) -> None:
    """Write all of them into a directory of plugins."""
    # Calico's containers ask for a gateway that is nowhere: the host answers if it has a route.
    host.run(["ip", "route", "add", "default", "via", CLIENT_IPV4])
    for name, (prefix, letters, attach) in _PLUGINS.items():
        link = _LINK.format(prefix=prefix, letters=letters)
        plugins.scripted(name, {"ADD": link + _PAIR + attach, "DEL": link + _DELETE})
