package dial

import (
	"errors"
	"net"
	"runtime"
	"slices"
	"syscall"
)

// What a failed dial says depends on whose fault it is. A refusal proves that no process
// listens at the address. A shortage on this side, such as of file descriptors, says nothing
// about the other side: dialling again later may succeed. Anything else leaves it open.
//
// Windows reports sockets' errors by numbers of its own, which match none of package
// syscall's constants, and uses those constants for nothing; transports in Go, such as
// package memnet, use them there as everywhere.

// dialErrors lists the errors by what they mean.
type dialErrors struct {
	refused []syscall.Errno
	scarce  []syscall.Errno
	// noAddress is a shortage of ports, or an address that this machine has no address to
	// dial from: any IPv6 address, on a machine without IPv6.
	noAddress []syscall.Errno
	// noRoute is an address that this machine has no way to.
	noRoute []syscall.Errno
}

var portableErrors = dialErrors{
	refused: []syscall.Errno{syscall.ECONNREFUSED},
	// No dial binds an address, so one in use is the port that the system has chosen: it
	// found no other.
	scarce:    []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRINUSE},
	noAddress: []syscall.Errno{syscall.EADDRNOTAVAIL},
	noRoute:   []syscall.Errno{syscall.ENETUNREACH, syscall.EAFNOSUPPORT},
}

var windowsErrors = dialErrors{
	refused: []syscall.Errno{
		10061, // WSAECONNREFUSED
		1225,  // ERROR_CONNECTION_REFUSED
	},
	scarce: []syscall.Errno{
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

var systemErrors = errorsOf(runtime.GOOS)

// errorsOf lists what the dials of a program on an operating system fail with.
func errorsOf(system string) dialErrors {
	if system != "windows" {
		return portableErrors
	}
	return dialErrors{
		refused:   slices.Concat(portableErrors.refused, windowsErrors.refused),
		scarce:    slices.Concat(portableErrors.scarce, windowsErrors.scarce),
		noAddress: slices.Concat(portableErrors.noAddress, windowsErrors.noAddress),
		noRoute:   slices.Concat(portableErrors.noRoute, windowsErrors.noRoute),
	}
}

func anyOf(err error, list []syscall.Errno) bool {
	return slices.ContainsFunc(list, func(e syscall.Errno) bool { return errors.Is(err, e) })
}

// connRefused says that no process listens at the address that was dialled.
func Refused(err error) bool { return anyOf(err, systemErrors.refused) }

// scarce says that dialling failed for want of something on this side.
func Scarce(err error) bool { return systemErrors.isScarce(err, canReach) }

func (d dialErrors) isScarce(err error, reach func(net.Addr) bool) bool {
	if anyOf(err, d.scarce) {
		return true
	}
	var op *net.OpError
	return anyOf(err, d.noAddress) && errors.As(err, &op) && op.Addr != nil && reach(op.Addr)
}

// canReach says whether this machine has an address from which it could send to a TCP
// address. To connect a UDP socket sends nothing and looks for such an address only; UDP
// has ports of its own, so that it does not fail for want of one of TCP's.
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
