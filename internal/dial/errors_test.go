package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// What a dial's error means, by operating system.
func TestDialErrors(t *testing.T) {
	v4 := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}
	v6 := &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 80}
	onlyV4 := func(a net.Addr) bool { return a.(*net.TCPAddr).IP.To4() != nil }
	dial := func(errno syscall.Errno, to net.Addr) error {
		return fmt.Errorf("dialling: %w", &net.OpError{Op: "dial", Net: "tcp", Addr: to, Err: os.NewSyscallError("connect", errno)})
	}
	for _, c := range []struct {
		system            string
		errno             syscall.Errno
		to                net.Addr
		refused, shortage bool
	}{
		{"linux", syscall.ECONNREFUSED, v4, true, false},
		{"linux", syscall.ETIMEDOUT, v4, false, false},
		{"linux", syscall.EHOSTUNREACH, v4, false, false},
		{"linux", syscall.ENETUNREACH, v6, false, false},
		{"linux", syscall.EMFILE, v4, false, true},
		{"linux", syscall.ENFILE, v4, false, true},
		{"linux", syscall.ENOBUFS, v4, false, true},
		{"linux", syscall.ENOMEM, v4, false, true},
		{"linux", syscall.EADDRINUSE, v4, false, true},
		{"linux", syscall.EADDRNOTAVAIL, v4, false, true},  // all ports are taken
		{"linux", syscall.EADDRNOTAVAIL, v6, false, false}, // a machine without IPv6
		{"linux", syscall.EADDRNOTAVAIL, nil, false, false},
		{"linux", 10061, v4, false, false},
		{"windows", 10061, v4, true, false},
		{"windows", 1225, v4, true, false},
		{"windows", syscall.ECONNREFUSED, v4, true, false}, // of a transport in Go
		{"windows", 10060, v4, false, false},               // WSAETIMEDOUT
		{"windows", 10051, v6, false, false},               // WSAENETUNREACH
		{"windows", 10024, v4, false, true},
		{"windows", 10055, v4, false, true},
		{"windows", 10048, v4, false, true},
		{"windows", 1450, v4, false, true},
		{"windows", syscall.EMFILE, v4, false, true},
		{"windows", 10049, v4, false, true},
		{"windows", 10049, v6, false, false},
	} {
		d, err := errorsOf(c.system), dial(c.errno, c.to)
		if got := anyOf(err, d.refused); got != c.refused {
			t.Errorf("%s, %v (%d): refused %v", c.system, c.errno, c.errno, got)
		}
		if got := d.isShortage(err, onlyV4); got != c.shortage {
			t.Errorf("%s, %v (%d) to %v: scarce %v", c.system, c.errno, c.errno, c.to, got)
		}
	}
	if IsShortage(nil) || IsRefused(nil) || IsShortage(errors.New("x")) || IsRefused(errors.New("x")) {
		t.Error("what is no error of a dial means something")
	}
}

// On this system, whichever it is: a port that is not open, and an address that this
// machine can dial, or not.
func TestDialErrorsHere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr()
	if !canReach(addr) {
		t.Errorf("cannot reach %v", addr)
	}
	l.Close()
	_, err = TCP(t.Context(), addr.String())
	if !IsRefused(err) || IsShortage(err) {
		t.Errorf("dialling a closed port: %v", err)
	}
	// A source address that is not this machine's gives the error that an address
	// family does which it does not have.
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 77)}}
	if _, err = d.DialContext(context.Background(), "tcp", addr.String()); !anyOf(err, systemErrors.noAddress) {
		t.Errorf("dialling from another's address: %v", err)
	}
}

// An address that is none stays none. A name that does not resolve may do so later.
func TestMalformed(t *testing.T) {
	for addr, want := range map[string]bool{
		"localhost": true, "localhost:no-such-service": true, "localhost:70000": true, "[::1": true,
		"127.0.0.1:1": false, "no such name:1": false,
	} {
		ctx, cancel := context.WithCancel(t.Context())
		if strings.HasPrefix(addr, "no ") { // ask no server
			cancel()
		}
		conn, err := TCP(ctx, addr)
		if err == nil {
			conn.Close()
		} else if got := IsMalformed(err); got != want {
			t.Errorf("%s: %v: %v", addr, err, got)
		}
		cancel()
	}
	if IsMalformed(&net.OpError{Err: &net.DNSError{Err: "no such host", Name: "tcp.example", IsNotFound: true}}) {
		t.Error("an unknown name")
	}
}
