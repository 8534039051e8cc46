package ringdht

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/x/ringdht/internal/control"
)

// A process is one member, however its address is spelled, and by whichever name it is
// dialled.
func TestOneProcessIsOneMember(t *testing.T) {
	tr := newTestRing(t, nil)
	other := newTestRing(t, nil) // whose node answers probes, and is no member here
	n := other.join(nil)
	_, port, _ := net.SplitHostPort(n.Peer().Addr)
	for _, host := range []string{"127.0.0.1", "[127.0.0.1]", "[::ffff:127.0.0.1]", "[::FFFF:7F00:1]", "localhost", "LOCALHOST", "LocalHost."} {
		m := tr.raw(t)
		if r := m.ask(control.TypeRegister, control.Register{Addr: host + ":" + port, Token: n.token}); r != nil {
			t.Errorf("%s: %+v", host, r)
		}
		if list := tr.registry.Members(); len(list) != 1 {
			t.Fatalf("%s: %v", host, list)
		}
	}
	if got := tr.registry.Members()[0].Addr; got != "localhost:"+port {
		t.Errorf("%s is the address", got)
	}
	for _, addr := range []string{"127.0.0.1:0" + port, "127.0.0.1:+" + port, "127.1:" + port, "[::1%lo]:" + port, "2130706433:" + port, "0.0.0.0:" + port} {
		m := tr.raw(t)
		r := m.ask(control.TypeRegister, control.Register{Addr: addr, Other: true, Token: n.token})
		if r == nil || r.Code != control.CodeProtocol || !strings.Contains(r.Reason, "WithAdvertise") {
			t.Errorf("%s: %+v", addr, r)
		}
	}
	// The holder is found under any spelling.
	m := tr.raw(t)
	r := m.ask(control.TypeRegister, control.Register{Addr: "LOCALHOST:" + port, Token: n.token + 1})
	if r == nil || r.Code != control.CodeAddrTaken {
		t.Errorf("another node at the address: %+v", r)
	}
	m = tr.raw(t)
	r = m.ask(control.TypeDeregister, control.Deregister{ID: uint64(tr.registry.Members()[0].ID), Addr: "LOCALHOST.:" + port})
	if r == nil || !strings.Contains(r.Reason, "another connection") {
		t.Errorf("deregistering: %+v", r)
	}
}

// A node brings what it advertises into that form too, and refuses what is no address.
func TestNodesAdvertiseOneForm(t *testing.T) {
	tr := newTestRing(t, nil)
	if n := tr.join(nil, WithListen("[::ffff:127.0.0.1]:0")); !strings.HasPrefix(n.Peer().Addr, "127.0.0.1:") {
		t.Errorf("joined as %v", n.Peer())
	}
	if n := tr.join(nil, WithListen("LOCALHOST:0")); !strings.HasPrefix(n.Peer().Addr, "localhost:") {
		t.Errorf("joined as %v", n.Peer())
	}
	for _, addr := range []string{"0.0.0.0:80", "[::]:80", "127.0.0.1:080", "127.0.0.1:http", "127.0.0.1:0", "host", "a b:80"} {
		if _, err := Join(tr.ctx(), tr.addr, nil, WithAdvertise(addr)); err == nil || !strings.Contains(err.Error(), "WithAdvertise") || errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

// The in-memory network tells no names apart by case, as no other does.
func TestMemoryHostsByCase(t *testing.T) {
	net := NewMemoryNetwork(1)
	tr := newTestRing(t, net)
	tr.name = "Node"
	for range 3 {
		tr.join(nil)
	}
	tr.setup(0)
	tr.exchange(tr.nodes...)
	for i, n := range tr.nodes {
		if !strings.HasPrefix(n.Peer().Addr, fmt.Sprintf("node%d:", i)) {
			t.Errorf("%v", n.Peer())
		}
	}
	net.Cut("NODE0", "Node1")
	if _, err := net.Host("nODe0").Dial(t.Context(), tr.nodes[1].Peer().Addr); err == nil {
		t.Error("not cut")
	}
}
