package link

import (
	"crypto/tls"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// The kernel's buffer for a connection within the machine is bounded, also below TLS.
func TestNearBuffer(t *testing.T) {
	want := localWriteBuffer
	if b, err := os.ReadFile("/proc/sys/net/core/wmem_max"); err == nil {
		most, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil {
			t.Fatal(err)
		}
		want = min(want, most)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"plain": func(c net.Conn) net.Conn { return c },
		"tls":   func(c net.Conn) net.Conn { return tls.Client(c, &tls.Config{InsecureSkipVerify: true}) },
	} {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		NewWriter(wrap(conn), 1, 1)
		raw, err := conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var size int
		raw.Control(func(fd uintptr) { size, err = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF) })
		if err != nil || size != 2*want { // Linux doubles it, for its own needs
			t.Errorf("%s: a buffer of %d bytes, %v", name, size, err)
		}
	}
}

// Connections that may leave the machine are left as they are.
func TestNear(t *testing.T) {
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 1} }
	for _, c := range []struct {
		a, b net.Addr
		want bool
	}{
		{tcp("127.0.0.1"), tcp("127.0.0.1"), true},
		{tcp("127.0.0.1"), tcp("127.0.0.9"), true},
		{tcp("::1"), tcp("::1"), true},
		{tcp("192.0.2.1"), tcp("192.0.2.1"), true},
		{tcp("192.0.2.1"), tcp("::ffff:192.0.2.1"), true},
		{tcp("192.0.2.1"), tcp("192.0.2.2"), false},
		{tcp("2001:db8::1"), tcp("2001:db8::2"), false},
		{tcp("127.0.0.1"), &net.UnixAddr{Name: "x"}, false},
		{nil, nil, false},
	} {
		if got := sameMachine(c.a, c.b); got != c.want {
			t.Errorf("near(%v, %v) = %v", c.a, c.b, got)
		}
	}
}
