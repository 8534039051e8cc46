package page

import (
	"net"
)

// Invite lets the page of an empty ring show how a node joins: the command, with the address of
// the registry behind it. A registry that listens on all addresses is dialled by the name under
// which the page is open.
func (f *Flags) Invite(command string, registry net.Addr) {
	host, port, err := net.SplitHostPort(registry.String())
	if err != nil {
		return
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		f.join = command + " {host}:" + port
		return
	}
	f.join = command + " " + net.JoinHostPort(host, port)
}
