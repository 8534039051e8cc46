package registry_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/dial"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

func TestRegistrationRules(t *testing.T) {
	tr := ringtest.New(t, nil)
	first := tr.Join(nil)

	for name, c := range map[string]struct {
		addr string
		opts []ringdht.NodeOption
		want error
		says string
	}{
		"same address": {opts: []ringdht.NodeOption{ringdht.WithAdvertise(first.Peer().Addr)}, want: ringdht.ErrTaken, says: "address already registered: " + first.Peer().Addr + " is registered already, as node " + first.ID().String()},
		"unreachable":  {opts: []ringdht.NodeOption{ringdht.WithAdvertise("127.0.0.1:1")}, want: ringdht.ErrUnreachable, says: "WithAdvertise"},
		"the registry": {opts: []ringdht.NodeOption{ringdht.WithAdvertise(tr.Addr)}, want: ringdht.ErrUnreachable, says: "registry"},
		"other host":   {opts: []ringdht.NodeOption{ringdht.WithListen("127.0.0.2:0")}, want: ringdht.ErrUnreachable, says: "advertised host is not where the connection comes from: "},
	} {
		_, err := ringtest.Join(tr.Ctx(), tr.Line(), nil, c.opts...)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %v and %q", name, err, c.want, c.says)
		}
	}
	if got := tr.Registry.Members(); len(got) != 1 || got[0] != first.Peer() {
		t.Errorf("refused nodes are members: %v", got)
	}

	// Another host is fine if the option names it and it leads to the node.
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skip("no second loopback address:", err)
	}
	addr := l.Addr().String()
	l.Close()
	n := tr.Join(nil, ringdht.WithListen(addr), ringdht.WithAdvertise(addr))
	if n.Peer().Addr != addr || n.Status().Members != 2 {
		t.Errorf("joined as %v, %d members", n.Peer(), n.Status().Members)
	}
	// So is a name of the host from which the connection comes.
	_, port, _ := net.SplitHostPort(first.Peer().Addr)
	if m := tr.DialRaw(t); m.Ask(control.TypeRegister, control.Register{Addr: "localhost:" + port}).Code == control.CodeHost {
		t.Error("localhost is not taken for the loopback address")
	}
}

// An address is shown to users and sent to other nodes. So it cannot contain control
// characters, which command a terminal or end a line of a log.
func TestAddressIsPrintable(t *testing.T) {
	tr := ringtest.New(t, nil)
	for _, zone := range []string{"\x1bc", "a\nVerdict: exact", "\u009b31m", "\x9b", "\u202e", "\x00"} {
		m := tr.DialRaw(t)
		r := m.Ask(control.TypeRegister, control.Register{Addr: "[::1%" + zone + "]:80", Other: true})
		if r == nil || r.Code != control.CodeProtocol || !strings.Contains(r.Reason, "printed") || !dial.Printable(r.Reason) {
			t.Errorf("%q: %+v", zone, r)
		}
	}
}

// A probe finds out a node that answers for another one. In virtual time a busy machine does not use up
// the time of a handshake.
func TestProbeComparesTokens(t *testing.T) { synctest.Test(t, probeComparesTokens) }

func probeComparesTokens(t *testing.T) {
	net, log := memnet.New(1), ringtest.NewLog()
	tr := ringtest.New(t, net, log.Option(), ringdht.WithHandshakeTimeout(500*time.Millisecond))
	other := ringtest.New(t, net) // its nodes answer probes, and their addresses are free in the first ring
	other.Name = "other"
	n := other.Join(nil)
	m := tr.DialRaw(t)
	r := m.Ask(control.TypeRegister, control.Register{Addr: n.Peer().Addr, Other: true, Token: ringtest.NodeOf(n).Token() + 1})
	if r == nil || r.Code != control.CodeUnreachable || strings.Contains(r.Reason, "another node") {
		t.Errorf("got %+v", r)
	}
	log.WaitFor(t, "not found", n.Peer().Addr, "another node answers there")
}

// A node that vanishes before it has its answer does not become a member.
func TestUndeliveredAnswerUndoesTheRegistration(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net)
	other := ringtest.New(t, net)
	other.Name = "other"
	n := other.Join(nil) // answers the probe
	m := tr.DialRaw(t)
	m.Send(control.TypeRegister, control.Register{Addr: n.Peer().Addr, Other: true, Token: ringtest.NodeOf(n).Token()})
	if err := tr.Registry.WaitMembers(tr.Ctx(), 1); err != nil {
		t.Fatal(err)
	}
	n.Close()
	m.Close()
	if err := ringtest.RegistryOf(tr.Registry).Await(tr.Ctx(), func() bool { return ringtest.RegistryOf(tr.Registry).Authority().Len() == 0 }); err != nil {
		t.Error(err)
	}
}

func TestHundredNodesAtOnce(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1), ringdht.WithBits(8))
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			n, err := ringtest.Join(tr.Ctx(), tr.Line(), nil, ringdht.WithTransport(tr.Net.Host(fmt.Sprint("h", i))))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			tr.Nodes = append(tr.Nodes, n)
			mu.Unlock()
		})
	}
	wg.Wait()
	if err := tr.Registry.WaitMembers(tr.Ctx(), 100); err != nil {
		t.Fatal(err)
	}
	seen := make(map[ringdht.ID]bool)
	for _, n := range tr.Nodes {
		if seen[n.ID()] || n.ID() > 255 {
			t.Errorf("ID %d given twice, or out of the space", n.ID())
		}
		seen[n.ID()] = true
	}
}

func TestHandshakeMismatch(t *testing.T) {
	ringtest.OpenOnly(t, "its connections begin with TLS")
	log := ringtest.NewLog()
	tr := ringtest.New(t, memnet.New(1), log.Option())
	host := ringdht.WithTransport(tr.Net.Host("x"))
	for says, opt := range map[string]ringdht.NodeOption{
		`"msgpack", you asked for "json"`: ringdht.WithCodec(ringdht.JSON()),
		`ring "ring", you asked for`:      ringdht.WithRing("another"),
	} {
		_, err := ringtest.Join(tr.Ctx(), tr.Line(), nil, host, opt)
		if !errors.Is(err, ringdht.ErrHandshake) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %q", err, says)
		}
	}
	log.WaitFor(t, "connection refused", "codec")
	log.WaitFor(t, "connection refused", "another")

	// The wrong kind of program.
	n := tr.Join(nil)
	if _, err := ringtest.Join(tr.Ctx(), n.Peer().Addr, nil, host); !errors.Is(err, ringdht.ErrHandshake) || !strings.Contains(err.Error(), "not a registry") {
		t.Errorf("joining a node: %v", err)
	}
	c := *ringtest.DialConfig()
	c.Transport = tr.Net.Host("x")
	if _, _, _, err := c.Dial(tr.Ctx(), tr.Addr, wire.Hello{Role: wire.RoleLink}); !errors.Is(err, ringdht.ErrHandshake) {
		t.Errorf("linking to a registry: %v", err)
	}
	for _, h := range []wire.Hello{
		{Role: wire.RoleLink, To: uint64(n.ID()) + 1, ToIncarnation: n.Incarnation()},
		{Role: wire.RoleLink, To: uint64(n.ID()), ToIncarnation: n.Incarnation() - 1},
	} {
		if _, _, _, err := c.Dial(tr.Ctx(), n.Peer().Addr, h); !errors.Is(err, ringdht.ErrHandshake) || !strings.Contains(err.Error(), "out of date") {
			t.Errorf("linking to another incarnation: %v", err)
		}
	}
	// Another version.
	conn, err := c.Transport.Dial(tr.Ctx(), tr.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	b, _ := wire.Hello{Role: wire.RoleMember}.Append(nil)
	b[4], b[48] = 99, 99
	conn.Write(b)
	if a, err := wire.ReadAnswer(conn); err != nil || a.Status != wire.BadVersion || !strings.Contains(a.Reason, "version 2") {
		t.Errorf("version 99: %+v %v", a, err)
	}
}

func TestJoinErrors(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	net := memnet.New(1)
	if _, err := ringtest.Join(ctx, "empty:1", nil, ringdht.WithTransport(net.Host("x"))); err == nil || !strings.Contains(err.Error(), "empty:1") {
		t.Errorf("joining where no registry listens: %v", err)
	}
	net.Hold("x", "") // dials hang
	cancel()
	if _, err := ringtest.Join(ctx, "empty:1", nil, ringdht.WithTransport(net.Host("x"))); err == nil {
		t.Error("joined without a registry")
	}
}

// A registry that closes reports no member as dead, though it ends their connections.
func TestClosingBlamesNobody(t *testing.T) {
	tr := ringtest.New(t, nil)
	for range 5 {
		tr.Join(nil)
	}
	tr.Setup(0)
	r := tr.Registry
	events := r.Snapshot().Events
	before := events[len(events)-1].Seq
	ringtest.RegistryOf(r).Locked(func() {
		ringtest.RegistryOf(r).Authority().Leave(ringtest.RegistryOf(r).Now(), refOf(tr.Nodes[0])) // it is about to leave
	})
	r.Close()
	for _, e := range r.Snapshot().Events {
		if e.Seq <= before || e.Kind == status.EventLeft {
			continue
		}
		t.Errorf("%s: %v %s", e.Kind, e.Node, e.Why)
	}
}
