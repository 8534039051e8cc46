package ringdht

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/dial"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

// rawMember is a connection to a registry without a Node behind it.
type rawMember struct {
	t *testing.T
	*control.Conn
}

func (tr *testRing) raw(t *testing.T) rawMember {
	t.Helper()
	c := newCommon()
	if tr.net != nil {
		c.Transport = tr.net.Host("raw")
	}
	conn, _, err := c.Dial(tr.ctx(), tr.addr, wire.Hello{Role: wire.RoleMember})
	if err != nil {
		t.Fatal(err)
	}
	m := rawMember{t, control.NewConn(conn, c.Codec, 1<<20)}
	t.Cleanup(m.Close)
	return m
}

// ask sends a message and returns the refusal it gets, or nil.
func (m rawMember) ask(t wire.Type, v any) *control.Refused {
	m.t.Helper()
	if err := m.Send(t, v); err != nil {
		m.t.Fatal(err)
	}
	got, body, err := m.Recv()
	if err != nil {
		m.t.Fatal(err)
	}
	if got != control.TypeRefused {
		return nil
	}
	var r control.Refused
	if err := m.Decode(body, &r); err != nil {
		m.t.Fatal(err)
	}
	return &r
}

func TestRegistrationRules(t *testing.T) {
	tr := newTestRing(t, nil)
	first := tr.join(nil)

	for name, c := range map[string]struct {
		addr string
		opts []NodeOption
		want error
		says string
	}{
		"same address":  {opts: []NodeOption{WithAdvertise(first.Peer().Addr)}, want: ErrAddressTaken, says: first.ID().String()},
		"unreachable":   {opts: []NodeOption{WithAdvertise("127.0.0.1:1")}, want: ErrUnreachable, says: "WithAdvertise"},
		"somebody else": {opts: []NodeOption{WithAdvertise(tr.addr)}, want: ErrUnreachable, says: "registry"},
		"other host":    {opts: []NodeOption{WithListen("127.0.0.2:0")}, want: ErrHostMismatch, says: "WithAdvertise"},
	} {
		_, err := Join(tr.ctx(), tr.addr, nil, c.opts...)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %v and %q", name, err, c.want, c.says)
		}
	}
	if got := tr.registry.Members(); len(got) != 1 || got[0] != first.Peer() {
		t.Errorf("the refused left traces: %v", got)
	}

	// Said explicitly, another host is fine as long as it leads to the node.
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skip("no second loopback address:", err)
	}
	addr := l.Addr().String()
	l.Close()
	n := tr.join(nil, WithListen(addr), WithAdvertise(addr))
	if n.Peer().Addr != addr || n.Status().Members != 2 {
		t.Errorf("joined as %v, %d members", n.Peer(), n.Status().Members)
	}
	// So is a name for the host that the connection comes from.
	_, port, _ := net.SplitHostPort(first.Peer().Addr)
	if m := tr.raw(t); m.ask(control.TypeRegister, control.Register{Addr: "localhost:" + port}).Code == control.CodeHost {
		t.Error("localhost is not taken for the loopback address")
	}
}

// An address is shown to people and told to others: it cannot hold what commands a terminal, or
// ends a line of a log.
func TestAddressIsPrintable(t *testing.T) {
	tr := newTestRing(t, nil)
	for _, zone := range []string{"\x1bc", "a\nVerdict: exact", "\u009b31m", "\x9b", "\u202e", "\x00"} {
		m := tr.raw(t)
		r := m.ask(control.TypeRegister, control.Register{Addr: "[::1%" + zone + "]:80", Other: true})
		if r == nil || r.Code != control.CodeProtocol || !strings.Contains(r.Reason, "printed") || !dial.Printable(r.Reason) {
			t.Errorf("%q: %+v", zone, r)
		}
	}
}

// A node that answers the probe for another one is found out.
func TestProbeComparesTokens(t *testing.T) {
	net := NewMemoryNetwork(1)
	tr := newTestRing(t, net)
	other := newTestRing(t, net) // its nodes answer probes, and their addresses are free in the first
	other.name = "other"
	n := other.join(nil)
	m := tr.raw(t)
	r := m.ask(control.TypeRegister, control.Register{Addr: n.Peer().Addr, Other: true, Token: n.token + 1})
	if r == nil || r.Code != control.CodeUnreachable || !strings.Contains(r.Reason, "another node") {
		t.Errorf("got %+v", r)
	}
}

func TestDeregistration(t *testing.T) {
	tr := newTestRing(t, NewMemoryNetwork(1))
	a := tr.join(nil)
	b := tr.join(nil)
	m := tr.raw(t)
	r := m.ask(control.TypeDeregister, control.Deregister{ID: uint64(a.ID()), Addr: a.Peer().Addr})
	if r == nil || r.Code != control.CodeNotYours || !strings.Contains(r.Reason, "another connection") {
		t.Errorf("from elsewhere: %+v", r)
	}
	m = tr.raw(t)
	r = m.ask(control.TypeDeregister, control.Deregister{ID: uint64(a.ID()), Addr: "n7:1"})
	if r == nil || r.Code != control.CodeNotYours || !strings.Contains(r.Reason, a.Peer().Addr) {
		t.Errorf("with another address: %+v", r)
	}
	m = tr.raw(t)
	if r = m.ask(control.TypeDeregister, control.Deregister{ID: 1 << 17}); r == nil || r.Code != control.CodeNotMember {
		t.Errorf("nobody: %+v", r)
	}
	if len(tr.registry.Members()) != 2 {
		t.Fatalf("members: %v", tr.registry.Members())
	}

	// Over its own connection, twice.
	a.tell(control.TypeDeregister, control.Deregister{ID: uint64(a.ID()), Addr: a.addr})
	if err := <-a.left; err != nil {
		t.Errorf("the first time: %v", err)
	}
	a.tell(control.TypeDeregister, control.Deregister{ID: uint64(a.ID()), Addr: a.addr})
	if err := <-a.left; !errors.Is(err, ErrNotMember) || !strings.Contains(err.Error(), "already") {
		t.Errorf("the second time: %v", err)
	}

	if err := b.Leave(tr.ctx()); err != nil {
		t.Errorf("leaving: %v", err)
	}
	if err := b.Leave(tr.ctx()); !errors.Is(err, ErrNotMember) {
		t.Errorf("leaving twice: %v", err)
	}
	if len(tr.registry.Members()) != 0 {
		t.Errorf("members: %v", tr.registry.Members())
	}
}

// A node that vanishes before it has its answer is not a member.
func TestUndeliveredAnswerUndoesTheRegistration(t *testing.T) {
	net := NewMemoryNetwork(1)
	tr := newTestRing(t, net)
	other := newTestRing(t, net)
	other.name = "other"
	n := other.join(nil) // answers the probe
	m := tr.raw(t)
	m.Send(control.TypeRegister, control.Register{Addr: n.addr, Other: true, Token: n.token})
	if err := tr.registry.WaitMembers(tr.ctx(), 1); err != nil {
		t.Fatal(err)
	}
	n.Close()
	m.Close()
	if err := tr.registry.await(tr.ctx(), func() bool { return tr.registry.members.Len() == 0 }); err != nil {
		t.Error(err)
	}
}

func TestHundredNodesAtOnce(t *testing.T) {
	tr := newTestRing(t, NewMemoryNetwork(1), WithBits(8))
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			n, err := Join(tr.ctx(), tr.addr, nil, WithTransport(tr.net.Host(fmt.Sprint("h", i))))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			tr.nodes = append(tr.nodes, n)
			mu.Unlock()
		})
	}
	wg.Wait()
	if err := tr.registry.WaitMembers(tr.ctx(), 100); err != nil {
		t.Fatal(err)
	}
	seen := make(map[ID]bool)
	for _, n := range tr.nodes {
		if seen[n.ID()] || n.ID() > 255 {
			t.Errorf("ID %d given twice, or out of the space", n.ID())
		}
		seen[n.ID()] = true
	}
}

func TestHandshakeMismatch(t *testing.T) {
	log := newTestLog()
	tr := newTestRing(t, NewMemoryNetwork(1), log.option())
	host := WithTransport(tr.net.Host("x"))
	for says, opt := range map[string]NodeOption{
		`"msgpack", you asked for "json"`: WithCodec(JSON()),
		`ring "ring", you asked for`:      WithRing("another"),
	} {
		_, err := Join(tr.ctx(), tr.addr, nil, host, opt)
		if !errors.Is(err, ErrHandshake) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %q", err, says)
		}
	}
	log.waitFor(t, "connection refused", "codec")
	log.waitFor(t, "connection refused", "another")

	// The wrong kind of program.
	n := tr.join(nil)
	if _, err := Join(tr.ctx(), n.Peer().Addr, nil, host); !errors.Is(err, ErrHandshake) || !strings.Contains(err.Error(), "not a registry") {
		t.Errorf("joining a node: %v", err)
	}
	c := newCommon()
	c.Transport = tr.net.Host("x")
	if _, _, err := c.Dial(tr.ctx(), tr.addr, wire.Hello{Role: wire.RoleLink}); !errors.Is(err, ErrHandshake) {
		t.Errorf("linking to a registry: %v", err)
	}
	for _, h := range []wire.Hello{
		{Role: wire.RoleLink, To: n.inc.Load().self.ID + 1, ToLife: n.inc.Load().self.Life},
		{Role: wire.RoleLink, To: n.inc.Load().self.ID, ToLife: n.inc.Load().self.Life - 1},
	} {
		if _, _, err := c.Dial(tr.ctx(), n.addr, h); !errors.Is(err, ErrHandshake) || !strings.Contains(err.Error(), "out of date") {
			t.Errorf("linking to another life: %v", err)
		}
	}
	// Another version.
	conn, err := c.Transport.Dial(tr.ctx(), tr.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	b, _ := wire.Hello{Role: wire.RoleMember}.Append(nil)
	b[4] = 99
	conn.Write(b)
	if a, err := wire.ReadAnswer(conn); err != nil || a.Status != wire.BadVersion || !strings.Contains(a.Reason, "version 1") {
		t.Errorf("version 99: %+v %v", a, err)
	}
}

func TestJoinErrors(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	net := NewMemoryNetwork(1)
	if _, err := Join(ctx, "nobody:1", nil, WithTransport(net.Host("x"))); err == nil || !strings.Contains(err.Error(), "nobody:1") {
		t.Errorf("nobody listens: %v", err)
	}
	net.Hold("x", "") // dials hang
	cancel()
	if _, err := Join(ctx, "nobody:1", nil, WithTransport(net.Host("x"))); err == nil {
		t.Error("joined nobody")
	}
}

// A registry that closes says nothing of members whose connections it ends.
func TestClosingBlamesNobody(t *testing.T) {
	tr := newTestRing(t, nil)
	for range 5 {
		tr.join(nil)
	}
	tr.setup(0)
	r := tr.registry
	r.mu.Lock()
	before := len(r.events)
	self := tr.nodes[0].inc.Load().self
	r.members.Leave(r.now(), ring.Ref{ID: self.ID, Life: self.Life}) // it is about to go
	r.mu.Unlock()
	r.Close()
	for _, e := range r.events[before:] {
		if e.Kind == status.EventLeft {
			continue
		}
		t.Errorf("%s: %v %s", e.Kind, e.Node, e.Why)
	}
}
