package dial

import (
	"net"
	"net/netip"
)

// Source names the host at the other end of a connection, for shares of what a registry or a node has
// to give. It is an IPv4 address, or the first 64 bits of an IPv6 address: a network gives a machine
// as many addresses below those as it likes. An address that is none of the two stands for itself,
// without its port. A zone does not count.
func Source(addr net.Addr) string {
	if addr == nil {
		return ""
	}
	host, _, err := net.SplitHostPort(addr.String())
	if err != nil {
		return ""
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() || ip.IsLoopback() {
		return ip.String()
	}
	if prefix, err := ip.Prefix(64); err == nil {
		return prefix.String()
	}
	return ip.String()
}
