package ringtest_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

// A process is one member, however its address is spelled and by whichever name it is dialled.
func TestOneProcessIsOneMember(t *testing.T) {
	tr := ringtest.New(t, nil)
	other := ringtest.New(t, nil) // its node answers probes and is no member here
	n := other.Join(nil)
	_, port, _ := net.SplitHostPort(n.Peer().Addr)
	for _, host := range []string{"127.0.0.1", "[127.0.0.1]", "[::ffff:127.0.0.1]", "[::FFFF:7F00:1]", "localhost", "LOCALHOST", "LocalHost."} {
		m := tr.DialRaw(t)
		if r := m.Ask(control.TypeRegister, control.Register{Addr: host + ":" + port, Token: ringtest.NodeOf(n).Token()}); r != nil {
			t.Errorf("%s: %+v", host, r)
		}
		if list := tr.Registry.Members(); len(list) != 1 {
			t.Fatalf("%s: %v", host, list)
		}
	}
	if got := tr.Registry.Members()[0].Addr; got != "localhost:"+port {
		t.Errorf("%s is the address", got)
	}
	for _, addr := range []string{"127.0.0.1:0" + port, "127.0.0.1:+" + port, "127.1:" + port, "[::1%lo]:" + port, "2130706433:" + port, "0.0.0.0:" + port} {
		m := tr.DialRaw(t)
		r := m.Ask(control.TypeRegister, control.Register{Addr: addr, Other: true, Token: ringtest.NodeOf(n).Token()})
		if r == nil || r.Code != control.CodeProtocol || !strings.Contains(r.Reason, "WithAdvertise") {
			t.Errorf("%s: %+v", addr, r)
		}
	}
	// Any spelling of an address finds its holder.
	m := tr.DialRaw(t)
	r := m.Ask(control.TypeRegister, control.Register{Addr: "LOCALHOST:" + port, Token: ringtest.NodeOf(n).Token() + 1})
	if r == nil || r.Code != control.CodeAddrTaken {
		t.Errorf("another node at the address: %+v", r)
	}
	m = tr.DialRaw(t)
	r = m.Ask(control.TypeDeregister, control.Deregister{ID: uint64(tr.Registry.Members()[0].ID), Addr: "LOCALHOST.:" + port})
	if r == nil || !strings.Contains(r.Reason, "another connection") {
		t.Errorf("deregistering: %+v", r)
	}
}

// A node advertises its address in that form too. It refuses what is not an address.
func TestNodesAdvertiseOneForm(t *testing.T) {
	tr := ringtest.New(t, nil)
	if n := tr.Join(nil, ringdht.WithListen("[::ffff:127.0.0.1]:0")); !strings.HasPrefix(n.Peer().Addr, "127.0.0.1:") {
		t.Errorf("joined as %v", n.Peer())
	}
	if n := tr.Join(nil, ringdht.WithListen("LOCALHOST:0")); !strings.HasPrefix(n.Peer().Addr, "localhost:") {
		t.Errorf("joined as %v", n.Peer())
	}
	for _, addr := range []string{"0.0.0.0:80", "[::]:80", "127.0.0.1:080", "127.0.0.1:http", "127.0.0.1:0", "host", "a b:80"} {
		if _, err := ringtest.Join(tr.Ctx(), tr.Line(), nil, ringdht.WithAdvertise(addr)); err == nil || !strings.Contains(err.Error(), "WithAdvertise") || errors.Is(err, ringdht.ErrUnreachable) {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

// The in-memory network ignores the case of host names, as all networks do.
func TestMemoryHostsByCase(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net)
	tr.Name = "Node"
	for range 3 {
		tr.Join(nil)
	}
	tr.Setup(0)
	tr.Exchange(tr.Nodes...)
	for i, n := range tr.Nodes {
		if !strings.HasPrefix(n.Peer().Addr, fmt.Sprintf("node%d:", i)) {
			t.Errorf("the node advertises %v", n.Peer())
		}
	}
	net.Cut("NODE0", "Node1")
	if _, err := net.Host("nODe0").Dial(t.Context(), tr.Nodes[1].Peer().Addr); err == nil {
		t.Error("not cut")
	}
}
