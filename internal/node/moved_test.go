package node_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// roamer is the transport of a machine that changes its address: it dials from where it is,
// and listens at all hosts that it has been given and that were not taken from it.
type roamer struct {
	net *memnet.Network
	in  chan net.Conn

	mu   sync.Mutex
	host string
	port string
	at   map[string]net.Listener
	done chan struct{}
}

func newRoamer(net_ *memnet.Network, host string) *roamer {
	return &roamer{net: net_, host: host, in: make(chan net.Conn), at: make(map[string]net.Listener), done: make(chan struct{})}
}

func (r *roamer) Dial(ctx context.Context, addr string) (net.Conn, error) {
	r.mu.Lock()
	host := r.host
	r.mu.Unlock()
	return r.net.Host(host).Dial(ctx, addr)
}

func (r *roamer) Listen(ctx context.Context, addr string) (net.Listener, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, r.port, _ = net.SplitHostPort(addr)
	return r, r.open(r.host)
}

func (r *roamer) open(host string) error {
	l, err := r.net.Host(host).Listen(context.Background(), ":"+r.port)
	if err != nil {
		return err
	}
	_, r.port, _ = net.SplitHostPort(l.Addr().String())
	r.at[host] = l
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			select {
			case r.in <- conn:
			case <-r.done:
				conn.Close()
			}
		}
	}()
	return nil
}

// move makes a host the address; those that it had before are its as long as they are not
// left.
func (r *roamer) move(t *testing.T, host string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at[host] == nil {
		if err := r.open(host); err != nil {
			t.Fatal(err)
		}
	}
	r.host = host
}

func (r *roamer) leave(host string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at[host].Close()
	delete(r.at, host)
}

func (r *roamer) Accept() (net.Conn, error) {
	select {
	case c := <-r.in:
		return c, nil
	case <-r.done:
		return nil, net.ErrClosed
	}
}

func (r *roamer) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.done:
	default:
		close(r.done)
	}
	for _, l := range r.at {
		l.Close()
	}
	return nil
}

func (r *roamer) Addr() net.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	return memAddr(net.JoinHostPort(r.host, r.port))
}

type memAddr string

func (memAddr) Network() string  { return "mem" }
func (a memAddr) String() string { return string(a) }

// roaming is a ring of six nodes of which the third and fourth roam, from h2 and h3.
func roaming(t *testing.T, test func(t *testing.T, tr *ringtest.Ring, net *memnet.Network, two, three *roamer)) {
	synctest.Test(t, func(t *testing.T) {
		mem := memnet.New(1)
		tr := ringtest.New(t, mem, ringdht.WithLease(ringtest.Lease))
		two, three := newRoamer(mem, "h2"), newRoamer(mem, "h3")
		for i, id := range ringtest.SixIDs {
			opts := []ringdht.NodeOption{ringdht.WithID(id)}
			switch i {
			case 2:
				opts = append(opts, ringdht.WithTransport(two), ringdht.WithListen(":7"))
			case 3:
				opts = append(opts, ringdht.WithTransport(three), ringdht.WithListen(":7"))
			}
			tr.Join(nil, opts...)
		}
		tr.Setup(3)
		tr.Exchange(tr.Nodes...)
		test(t, tr, mem, two, three)
		tr.Close()
	})
}

// known checks what the registry, and all nodes that link to it, hold for a node's address.
func known(tr *ringtest.Ring, n *ringtest.Node, addr string) {
	tr.T.Helper()
	if n.Peer().Addr != addr {
		tr.T.Errorf("the node believes to be %v, want %s", n.Peer(), addr)
	}
	named := 0
	for _, m := range tr.Registry.Members() {
		if m.ID == n.ID() && m.Addr != addr {
			tr.T.Errorf("the registry has %v, want %s", m, addr)
		}
	}
	for _, x := range tr.Nodes {
		local := ringtest.NodeOf(x).Present().Told()
		for _, p := range append(append([]ring.Peer(nil), local.Entries...), local.Successors...) {
			if p.ID == uint64(n.ID()) {
				named++
				if p.Addr != addr {
					tr.T.Errorf("node %d believes that node %d is at %s, want %s", x.ID(), n.ID(), p.Addr, addr)
				}
			}
		}
	}
	if named == 0 {
		tr.T.Errorf("node %d is in no table", n.ID())
	}
}

// cameBack waits until so many members that were out of sight are back.
func cameBack(t *testing.T, tr *ringtest.Ring, members int64) {
	t.Helper()
	ringtest.WaitUntil(t, "they are back", func() bool { return tr.Registry.Snapshot().Happened[status.EventBack] >= members })
}

func sameLives(tr *ringtest.Ring, test func()) {
	tr.T.Helper()
	before := make(map[ringdht.ID]uint64)
	for _, n := range tr.Nodes {
		before[n.ID()] = n.Incarnation()
	}
	test()
	for _, n := range tr.Nodes {
		if was := before[n.ID()]; was != 0 && was != n.Incarnation() {
			tr.T.Errorf("node %d has another incarnation", n.ID())
		}
	}
}

// A node whose machine gets another address comes back with the same incarnation, and others link
// to it where it is now; links that stand stay.
func TestNodeMoves(t *testing.T) {
	for name, gone := range map[string]bool{"and keeps its links": false, "and its old address is silent": true} {
		t.Run(name, func(t *testing.T) {
			roaming(t, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network, two, _ *roamer) {
				n := tr.Nodes[2]
				links := n.Status().Counters.Dropped.LinkDown
				sameLives(tr, func() {
					two.move(t, "elsewhere")
					ringtest.NodeOf(n).HangUp()
					cameBack(t, tr, 1)
					tr.WaitSettled()
					known(tr, n, "elsewhere:7")
					if gone {
						two.leave("h2")
						net.Cut("h2", "") // which ends all links that it has
						tr.WaitSettled()
					}
					tr.Exchange(tr.Nodes...)
				})
				if d := n.Status().Counters.Dropped.LinkDown; !gone && d != links {
					t.Errorf("%d frames were lost with links", d-links)
				}
				if d := tr.Registry.Degraded(); len(d) > 0 {
					t.Errorf("%v", d)
				}
				e := tr.Registry.Snapshot().Events
				if len(e) == 0 || !strings.Contains(e[len(e)-1].Why, "h2:7") {
					t.Errorf("the latest event is %+v", e)
				}
				if err := n.Leave(tr.Ctx()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// One that was away for too long joins again, at its new address.
func TestNodeMovesAfterItsLease(t *testing.T) {
	roaming(t, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network, two, _ *roamer) {
		n := tr.Nodes[2]
		was := n.Incarnation()
		net.Hold("h2", "")
		net.Hold("", "h2")
		tr.WaitGone(n.ID())
		two.move(t, "elsewhere")
		for n.Incarnation() == was {
			time.Sleep(ringtest.Lease / 3)
		}
		if err := n.Ready(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		tr.WaitSettled()
		known(tr, n, "elsewhere:7")
		tr.Exchange(tr.Nodes...)
	})
}

// Two nodes that get each other's address keep their incarnations.
func TestNodesSwapAddresses(t *testing.T) {
	roaming(t, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network, two, three *roamer) {
		sameLives(tr, func() {
			two.leave("h2")
			three.leave("h3")
			two.move(t, "h3")
			three.move(t, "h2")
			ringtest.NodeOf(tr.Nodes[2]).HangUp()
			ringtest.NodeOf(tr.Nodes[3]).HangUp()
			cameBack(t, tr, 2)
			tr.WaitSettled()
			known(tr, tr.Nodes[2], "h3:7")
			known(tr, tr.Nodes[3], "h2:7")
			tr.Exchange(tr.Nodes...)
		})
		if n := tr.Registry.Snapshot().Happened[status.EventDead]; n != 0 {
			t.Errorf("%d were declared dead", n)
		}
	})
}

// A newcomer gets the address that a node had before; both are members.
func TestOldAddressOfAnother(t *testing.T) {
	roaming(t, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network, two, _ *roamer) {
		sameLives(tr, func() {
			two.move(t, "elsewhere")
			ringtest.NodeOf(tr.Nodes[2]).HangUp()
			cameBack(t, tr, 1)
			two.leave("h2")
			n := tr.Join(nil, ringdht.WithTransport(net.Host("h2")), ringdht.WithListen(":7"))
			if err := n.Ready(tr.Ctx()); err != nil {
				t.Fatal(err)
			}
			tr.WaitSettled()
			known(tr, n, "h2:7")
			known(tr, tr.Nodes[2], "elsewhere:7")
			tr.Exchange(tr.Nodes...)
		})
	})
}

// A member that says that it is where another is, or where nobody is, is not believed.
func TestClaimsOfAnAddress(t *testing.T) {
	roaming(t, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network, two, three *roamer) {
		n := tr.Nodes[2]
		for addr, code := range map[string]control.Code{
			tr.Nodes[3].Peer().Addr: control.CodeAddrTaken,
			"nobody:1":              control.CodeUnreachable,
		} {
			claim := control.Register{Addr: addr, Other: true, Token: ringtest.NodeOf(n).Token(), ID: uint64(n.ID()), Incarnation: n.Incarnation(), Epoch: tr.Registry.Epoch()}
			if r := tr.DialRaw(t).Ask(control.TypeRegister, claim); r == nil || r.Code != code {
				t.Errorf("%s: %+v", addr, r)
			}
			claim.Token++
			if r := tr.DialRaw(t).Ask(control.TypeRegister, claim); r == nil || r.Code != control.CodeNotYours {
				t.Errorf("%s, with another token: %+v", addr, r)
			}
		}
		known(tr, n, "h2:7")
		known(tr, tr.Nodes[3], "h3:7")
		tr.Exchange(tr.Nodes...)
	})
}

// A registry that is started again at another address of its machine finds the nodes, whose
// own addresses change with it, over TCP.
func TestRegistryComesBackAtAnotherAddress(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6:", err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	name := &named{}
	name.set("[::1]:" + port)
	start := func(addr string) *ringdht.Registry {
		r, err := ringdht.NewRegistry(ringdht.WithLease(2 * time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = r.Listen(t.Context(), addr); err != nil {
			t.Skip(err)
		}
		return r
	}
	tr := &ringtest.Ring{T: t, Registry: start("[::1]:" + port), Addr: "registry:1", Shared: []ringdht.Option{ringdht.WithTransport(name)}}
	defer func() { tr.Close() }()
	for range 4 {
		tr.Join(nil)
	}
	tr.Setup(0)
	tr.Exchange(tr.Nodes...)
	sameLives(tr, func() {
		tr.Registry.Close()
		name.set("127.0.0.1:" + port)
		tr.Registry = start("127.0.0.1:" + port)
		for _, n := range tr.Nodes {
			if err := n.WaitConnected(tr.Ctx()); err != nil {
				t.Fatal(err)
			}
		}
		if err := tr.Registry.WaitMembers(tr.Ctx(), 4); err != nil {
			t.Fatal(err)
		}
		tr.WaitSettled()
		for _, n := range tr.Nodes {
			if !strings.HasPrefix(n.Peer().Addr, "127.0.0.1:") {
				t.Errorf("%v", n.Peer())
			}
			known(tr, n, n.Peer().Addr)
		}
		tr.Exchange(tr.Nodes...)
	})
}

// named is TCP with a name, "registry:1", for an address that changes.
type named struct {
	ringdht.TCP
	mu   sync.Mutex
	addr string
}

func (n *named) set(addr string) {
	n.mu.Lock()
	n.addr = addr
	n.mu.Unlock()
}

func (n *named) Dial(ctx context.Context, addr string) (net.Conn, error) {
	if addr == "registry:1" {
		n.mu.Lock()
		addr = n.addr
		n.mu.Unlock()
	}
	return n.TCP.Dial(ctx, addr)
}
