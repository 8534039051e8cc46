package dial

import (
	"errors"
	"net"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// A failed dial says something about the other side or about this one. A refusal proves that no
// process listens at the address. A shortage on this side, such as of file descriptors, says
// nothing about the other side: a later dial may succeed. Any other error leaves it open.
//
// Windows has its own numbers for sockets' errors. They match none of package syscall's constants,
// which Windows itself never returns. Transports in Go, such as package memnet, use the constants
// there as on every system.

// dialErrors lists system errors by what they mean.
type dialErrors struct {
	// A refused dial has found no process that listens.
	refused []syscall.Errno
	// A scarce error is a shortage of this process or machine.
	shortage []syscall.Errno
	// noAddress is a shortage of ports, or the lack of an address to dial from: any IPv6 address
	// fails so on a machine without IPv6.
	noAddress []syscall.Errno
	// noRoute is an address to which this machine has no route.
	noRoute []syscall.Errno
}

// portableErrors are the errors of every system but Windows, and of transports in Go on all
// systems.
var portableErrors = dialErrors{
	refused: []syscall.Errno{syscall.ECONNREFUSED},
	// No dial binds an address. So EADDRINUSE is about the port that the system has chosen: it
	// found no free one.
	shortage:  []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRINUSE},
	noAddress: []syscall.Errno{syscall.EADDRNOTAVAIL},
	noRoute:   []syscall.Errno{syscall.ENETUNREACH, syscall.EAFNOSUPPORT},
}

// windowsErrors are the errors that only Windows returns.
var windowsErrors = dialErrors{
	refused: []syscall.Errno{
		10061, // WSAECONNREFUSED
		1225,  // ERROR_CONNECTION_REFUSED
	},
	shortage: []syscall.Errno{
		10024, // WSAEMFILE
		10055, // WSAENOBUFS
		10048, // WSAEADDRINUSE
		4,     // ERROR_TOO_MANY_OPEN_FILES
		8,     // ERROR_NOT_ENOUGH_MEMORY, and WSA_NOT_ENOUGH_MEMORY
		1450,  // ERROR_NO_SYSTEM_RESOURCES
	},
	noAddress: []syscall.Errno{10049},        // WSAEADDRNOTAVAIL
	noRoute:   []syscall.Errno{10051, 10047}, // WSAENETUNREACH, WSAEAFNOSUPPORT
}

// systemErrors are the errors of this system.
var systemErrors = errorsOf(runtime.GOOS)

// errorsOf returns the errors of dials on an operating system.
func errorsOf(system string) dialErrors {
	if system != "windows" {
		return portableErrors
	}
	return dialErrors{
		refused:   slices.Concat(portableErrors.refused, windowsErrors.refused),
		shortage:  slices.Concat(portableErrors.shortage, windowsErrors.shortage),
		noAddress: slices.Concat(portableErrors.noAddress, windowsErrors.noAddress),
		noRoute:   slices.Concat(portableErrors.noRoute, windowsErrors.noRoute),
	}
}

// anyOf reports whether err is one of a list.
func anyOf(err error, list []syscall.Errno) bool {
	return slices.ContainsFunc(list, func(e syscall.Errno) bool { return errors.Is(err, e) })
}

// IsRefused reports whether a dial failed because no process listens at the address.
func IsRefused(err error) bool { return anyOf(err, systemErrors.refused) }

// IsMalformed reports whether a dial failed because the address is none: no later dial succeeds.
func IsMalformed(err error) bool {
	var addr *net.AddrError
	var name *net.DNSError // also for an unknown port
	return errors.As(err, &addr) || errors.As(err, &name) && strings.HasPrefix(name.Name, "tcp/")
}

// IsShortage reports whether a dial failed because this side lacks something.
func IsShortage(err error) bool { return systemErrors.isShortage(err, canReach) }

// isShortage is IsShortage for a list of errors. reach reports whether this machine can send to an
// address at all.
func (d dialErrors) isShortage(err error, reach func(net.Addr) bool) bool {
	if anyOf(err, d.shortage) {
		return true
	}
	var op *net.OpError
	return anyOf(err, d.noAddress) && errors.As(err, &op) && op.Addr != nil && reach(op.Addr)
}

// canReach reports whether this machine has an address from which it could send to a TCP address. A
// connected UDP socket sends nothing; connecting it only looks for such an address. UDP has ports
// of its own, so it does not fail for lack of a TCP port.
func canReach(to net.Addr) bool {
	tcp, ok := to.(*net.TCPAddr)
	if !ok {
		return false
	}
	conn, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: tcp.IP, Port: tcp.Port, Zone: tcp.Zone})
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
