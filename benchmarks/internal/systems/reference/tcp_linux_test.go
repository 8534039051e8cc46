package reference

import (
	"net"
	"syscall"
	"testing"

	"github.com/x/ringdht/benchmarks/internal/bench"
	ringlink "github.com/x/ringdht/internal/link"
)

// Both ends of every connection have the send buffer that ringdht gives to its own, in one
// process and in several.
func TestTunedAsRingdht(t *testing.T) {
	l, err := listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	own, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	before := size(t, own)
	ringlink.NewWriter(own, 1, 1)
	want := size(t, own)
	if want == before {
		t.Fatalf("ringdht leaves the buffer of %d bytes as it is", want)
	}

	var conns []net.Conn
	for _, s := range []chains{{}, {relays: true}, {oneWay: true}} {
		nodes := 2
		if s.relays {
			nodes++
		}
		n, err := s.Start(t.Context(), bench.Topology{Nodes: nodes}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		conns = append(conns, n.(*chain).conns...)
	}
	top := bench.Topology{Shape: bench.Ring, Nodes: 2}
	n, err := ideal{}.Start(t.Context(), top, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for _, n := range n.(*ring).nodes {
		conns = append(conns, n.ins...)
		conns = append(conns, n.links[0].conn)
	}
	var members []*member
	var addrs []string
	for i := range top.Nodes {
		m, err := ideal{}.Join(t.Context(), top, i, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		members, addrs = append(members, m.(*member)), append(addrs, m.Addr())
	}
	for _, m := range members { // the connection waits in the other's backlog
		if err := m.dial(t.Context(), addrs); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range members {
		if err := m.acceptAll(); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, m.ins...)
		conns = append(conns, m.links[0].conn)
	}

	if all := 2 + 4 + 4 + 4 + 4; len(conns) != all {
		t.Fatalf("%d ends, want %d", len(conns), all)
	}
	for i, c := range conns {
		if got := size(t, c); got != want {
			t.Errorf("end %d has a buffer of %d bytes, ringdht's have %d", i, got, want)
		}
	}
}

// size returns the size of a connection's send buffer.
func size(t *testing.T, conn net.Conn) (bytes int) {
	t.Helper()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		bytes, err = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF)
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}
