package ringtest_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// attack is a row of docs/attacks.md whose effect is a matter of identity or of time: what a stranger
// does in the name of a member, or a member with its own. Keys alone prevent the former, so in an open
// ring some of them do harm.
type attack struct {
	row, name string
	before    string // what it did, once
	does      func(f *field, t *testing.T) (harm bool)
	open      bool // it harms an open ring
	lasts     bool // until the stream that it has deceived is used again, and ends
	member    bool // it harms a secure ring as well: members are trusted with it
}

// field is a ring of four under attack, in virtual time. The stranger knows all that can be known
// without being a member: IDs, incarnations, addresses, tokens, and the ring's pin.
type field struct {
	*ringtest.Ring
	a, b    *ringtest.Node // with the greatest ID and the least: each is the other's neighbour
	handled atomic.Int64   // by b
}

var attacks = []attack{
	{"A1", "a link in the name of a successor takes messages and acknowledges them", "flush reports success, the sink saw nothing", (*field).takesMessages, true, true, false},
	{"A2", "a member acknowledges for a sink, and reports what it took", "run exact, 191 messages missing", (*field).swallows, true, true, true},
	{"A3", "a cast in a member's name", "handled", (*field).casts, true, false, false},
	{"A3", "a recorded cast, sent again", "handled each time", (*field).castsAgain, true, false, false},
	{"A4", "an Open with the greatest incarnation and generation", "no messages from that source for 365 s", (*field).opens, false, false, false},
	{"A5", "a Reset in the sink's name", "the stream ends", (*field).resets, true, false, false},
	{"B2", "a resumed session, and a Deregister", "the member's life ends; its table is shown", (*field).deregisters, true, false, false},
	{"C1", "a new registry is told that all lives are over", "every life ends", (*field).saysOver, true, false, false},
	{"C2", "a new registry is told of later lives of all members", "no life goes on", (*field).takesIDs, true, false, false},
	{"C3", "a new registry is told of great numbers", "after a restart no member comes back", (*field).saysGreatNumbers, false, false, false},
	{"C4", "another process at the registry's port ends all lives", "all lives end", (*field).refusesAll, true, false, false},
	{"C5", "a new registry is told of a slow pace", "no newcomer for 105 s", (*field).saysSlowPace, false, false, false},
	{"D6", "100 Registers name a silent port", "joins fail, deaths are noticed late", (*field).namesSilentPort, false, false, false},
	{"D7", "66,000 Opens with forged sources", "runs at 0.29, new sources refused", (*field).forgesSources, false, false, false},
	{"E3", "a member passes nothing on", "pairs dead, nothing to see", (*field).passesNothingOn, false, false, false},
	{"E8", "a member's false Summary", "WRONG, without a name", (*field).reportsFalsely, false, false, false},
	{"E9", "a member's pace of 2^31, and then silence", "a member for 100 leases", (*field).claimsPace, false, false, false},
}

// Each attack is tried in an open ring and in a secure one, in virtual time. In a secure ring none by a
// stranger does harm. After each the run is exact, and memory and goroutines are as before: each end of a
// connection has a goroutine. TestRows has the rows that need no such time, over TCP, with descriptors.
func TestAttacks(t *testing.T) {
	ringtest.OpenOnly(t, "both kinds of rings are tried")
	for _, a := range attacks {
		for _, safe := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %s, secure %v", a.row, a.name, safe), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { a.try(t, safe) })
			})
		}
	}
}

func (a attack) try(t *testing.T, safe bool) {
	start := ringtest.New
	if safe {
		start = ringtest.NewSecure
	}
	f := &field{Ring: start(t, memnet.New(1), ringdht.WithLease(ringtest.Lease))}
	for i := range 4 {
		f.Join(func(_ context.Context, m ringdht.Message) {
			if i == 0 {
				f.handled.Add(1)
			}
		}, ringdht.WithTraffic(), ringdht.WithID(ringdht.ID(10*(i+1))))
	}
	f.b, f.a = f.Nodes[0], f.Nodes[3]
	f.Setup(1)
	f.Run(status.Traffic{Messages: 100})
	time.Sleep(5 * ringtest.Lease)
	f.handled.Store(0)
	lives, before := incarnations(f.Ring), inUse()
	if harm := a.does(f, t); harm != (a.member || a.open && !safe) {
		t.Errorf("harm is done: %v", harm)
	}
	if safe && !slices.Equal(incarnations(f.Ring), lives) {
		t.Error("a member's life has ended")
	}
	time.Sleep(30 * ringtest.Lease) // what was harmed comes back
	for _, n := range f.Nodes {
		if err := n.Ready(f.Ctx()); err != nil {
			t.Fatal(err)
		}
	}
	if a.lasts && (a.member || !safe) {
		if s, err := f.Registry.RunTraffic(f.Ctx(), status.Traffic{Messages: 1000}); err != nil || s.Exact() || s.Sum.Unknown == 0 {
			t.Errorf("the deceived stream did not end: %v %v", s, err)
		}
	}
	f.WaitSettled()
	f.Run(status.Traffic{Messages: 1000})
	time.Sleep(5 * ringtest.Lease)
	if now := inUse(); !ringtest.RaceEnabled && (now.heap > before.heap+2<<20 || now.goroutines > before.goroutines+4) {
		t.Errorf("%d bytes and %d goroutines are left", now.heap-before.heap, now.goroutines-before.goroutines)
	}
	f.Close()
}

// gullible are credentials of a stranger, which talks to any process.
type gullible struct {
	*ringtest.Credentials
	h wire.Hello
}

// Check implements handshake.Security.
func (g gullible) Check(role wire.Role, cs *tls.ConnectionState) (secure.Proof, error) {
	proof, _ := g.Credentials.Check(role, cs)
	if g.h.Role == wire.RoleLink {
		proof.Kind, proof.Admission.ID, proof.Admission.Incarnation = secure.Member, g.h.To, g.h.ToIncarnation
	}
	return proof, nil
}

// dial connects to an address as a stranger. In a secure ring it has a key, but no admission.
func (f *field) dial(t *testing.T, addr string, h wire.Hello) net.Conn {
	t.Helper()
	c := ringtest.DialConfig()
	c.Transport = f.Net.Host("stranger")
	if f.Secure {
		line, err := secure.ParseJoinLine(f.Line())
		if err != nil {
			t.Fatal(err)
		}
		in := gullible{ringtest.NewRingKey().Newcomer(), h}
		in.Trust = secure.Trust{Pin: &line.Pin}
		if h.Role == wire.RoleLink {
			in.DialsAs = secure.Protocol
		}
		c.Security = in
	}
	conn, _, _, err := c.Dial(t.Context(), addr, h)
	if err != nil {
		t.Log("the stranger: ", err)
		return nil
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// link dials a node in the name of another. It is nil if that is refused.
func (f *field) link(t *testing.T, to, as *ringtest.Node) net.Conn {
	t.Helper()
	from := ringtest.RefOf(as)
	return f.dial(t, to.Peer().Addr, wire.Hello{
		Role: wire.RoleLink, From: from.ID, FromIncarnation: from.Incarnation, To: uint64(to.ID()), ToIncarnation: to.Incarnation(),
	})
}

// The stranger is b, and a moves its link to the connection, since b's ID is the lower one.
func (f *field) takesMessages(t *testing.T) (harm bool) {
	conn := f.link(t, f.a, f.b)
	var read sync.WaitGroup
	var bodies atomic.Int64
	if conn != nil {
		read.Go(func() { f.impersonate(conn, &bodies) })
		time.Sleep(time.Second)
	}
	const messages = 1000
	for range messages {
		if err := f.a.Send(f.Ctx(), f.b.ID(), []byte("for b alone")); err != nil {
			t.Fatal(err)
		}
	}
	err := f.a.Flush(f.Ctx())
	t.Logf("%v; b has handled %d, the stranger has read %d", err, f.handled.Load(), bodies.Load())
	if conn != nil {
		conn.Close()
	}
	read.Wait()
	return f.handled.Load() < messages || bodies.Load() > 0
}

// impersonate takes a stream to b, and acknowledges each message, or resets it if it does not count.
func (f *field) impersonate(conn net.Conn, bodies *atomic.Int64) {
	var pending []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		pending = append(pending, buf[:n]...)
		for len(pending) >= wire.PrefixSize && len(pending) >= wire.Size(pending) {
			var fr wire.Frame
			fr, pending = wire.Next(pending)
			switch fr.Type() {
			case wire.Share:
				conn.Write(bareFrame(wire.Shared, 0))
			case wire.Ping:
				conn.Write(bareFrame(wire.Pong, fr.Seq()))
			case wire.Data:
				if bodies == nil {
					conn.Write(answer(wire.Reset, fr, fr.Seq(), nil))
					break
				}
				bodies.Add(1)
				fallthrough
			default:
				conn.Write(answerFor(f.b, fr))
			}
		}
	}
}

// answerFor is what a sink would answer to a frame of a stream that it has handled whole, or nil.
func answerFor(sink *ringtest.Node, fr wire.Frame) []byte {
	switch fr.Type() {
	case wire.Open:
		o, _ := wire.ParseOpen(fr.Port(), fr.Body())
		return answer(wire.Opened, fr, fr.Seq(), wire.OpenedBody{SourceIncarnation: o.Incarnation, SinkIncarnation: sink.Incarnation(), First: 1, Window: 1 << 20}.Append(nil))
	case wire.Data:
		return answer(wire.Ack, fr, fr.Seq()+1, wire.AckBody{Window: 1 << 20}.Append(nil, nil))
	case wire.Sync:
		round, _ := wire.ParseRound(fr.Body())
		return answer(wire.Ack, fr, fr.Seq(), wire.AckBody{Window: 1 << 20, Round: round}.Append(nil, nil))
	}
	return nil
}

// answer makes the answer to a frame, in the name of its sink.
func answer(is wire.Type, to wire.Frame, seq uint64, body []byte) []byte {
	return wire.Append(nil, wire.Header{Type: is, Port: to.Port(), Dst: to.Src(), Src: to.Dst(), Seq: seq}, body)
}

func bareFrame(is wire.Type, seq uint64) []byte {
	return wire.Append(nil, wire.Header{Type: is, Seq: seq}, nil)
}

// sends writes frames to b in a's name. It reports whether that was possible.
func (f *field) sends(t *testing.T, to, as *ringtest.Node, frames ...[]byte) bool {
	conn := f.link(t, to, as)
	if conn == nil {
		return false
	}
	conn.Write(slices.Concat(frames...))
	time.Sleep(time.Second)
	conn.Close()
	return true
}

func (f *field) casts(t *testing.T) (harm bool) {
	f.sends(t, f.b, f.a, cast(uint64(f.b.ID()), uint64(f.a.ID()), 0))
	return f.handled.Load() > 0
}

// castsAgain sends a cast that was recorded: as it was, since its source is not written anywhere else.
func (f *field) castsAgain(t *testing.T) (harm bool) {
	if err := f.a.Cast(f.Ctx(), f.b.ID(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	recorded := cast(uint64(f.b.ID()), uint64(f.a.ID()), 0)
	f.sends(t, f.b, f.a, recorded, recorded)
	return f.handled.Load() > 1
}

func (f *field) opens(t *testing.T) (harm bool) {
	const never = 1<<64 - 1
	f.sends(t, f.b, f.a, open(uint64(f.b.ID()), uint64(f.a.ID()), never, never))
	start := time.Now()
	f.Exchange(f.a, f.b)
	return time.Since(start) > 2*time.Second || f.handled.Load() != 1
}

func (f *field) resets(t *testing.T) (harm bool) {
	conn := f.link(t, f.a, f.b)
	var read sync.WaitGroup
	if conn != nil {
		read.Go(func() { f.impersonate(conn, nil) })
		time.Sleep(time.Second)
	}
	err := f.a.Send(f.Ctx(), f.b.ID(), []byte("x"))
	if err == nil {
		err = f.a.Flush(f.Ctx())
	}
	t.Log(err)
	if conn != nil {
		conn.Close()
	}
	read.Wait()
	return err != nil
}

// tell registers in an incarnation's name, and says more. It returns the refusal, if any.
func (f *field) tell(t *testing.T, r control.Register, more ...any) *control.Refused {
	t.Helper()
	conn := f.dial(t, f.Addr, wire.Hello{Role: wire.RoleMember})
	if conn == nil {
		return &control.Refused{Reason: "in the handshake"}
	}
	c := control.NewConn(conn, ringtest.DialConfig().Codec, 1<<20)
	defer c.Free()
	defer c.Close()
	c.Send(control.TypeRegister, r)
	for _, m := range more {
		c.Send(control.TypeDeregister, m)
	}
	time.Sleep(time.Second)
	for {
		ty, body, err := c.Recv()
		switch {
		case err != nil:
			return &control.Refused{Reason: err.Error()}
		case ty == control.TypeRefused:
			refused := new(control.Refused)
			c.Decode(body, refused)
			return refused
		case ty == control.TypeRegistered || ty == control.TypeManifest:
			return nil
		}
	}
}

func (f *field) deregisters(t *testing.T) (harm bool) {
	life := f.b.Incarnation()
	r := control.Register{
		Addr: f.b.Peer().Addr, Other: true, ID: uint64(f.b.ID()), Incarnation: life, Token: ringtest.NodeOf(f.b).Token(),
		Identity: f.Registry.Snapshot().Identity, Epoch: f.Registry.Epoch(),
	}
	told := f.tell(t, r, control.Deregister{ID: uint64(f.b.ID()), Addr: f.b.Peer().Addr})
	time.Sleep(ringtest.Lease)
	t.Logf("told %+v", told)
	return f.b.Incarnation() != life || told == nil
}

// restart has a new registry take the place of the old one, and keeps the members from it while the
// stranger speaks.
func (f *field) restart(t *testing.T, speak func()) (ended bool) {
	lives := incarnations(f.Ring)
	f.Registry.Close()
	for i := range f.Nodes {
		f.Net.Cut(fmt.Sprint("n", i), "registry")
	}
	f.RestartRegistry(ringdht.WithLease(ringtest.Lease))
	speak()
	for i := range f.Nodes {
		f.Net.Mend(fmt.Sprint("n", i), "registry")
	}
	time.Sleep(10 * ringtest.Lease)
	return !slices.Equal(lives, incarnations(f.Ring))
}

func (f *field) saysOver(t *testing.T) (harm bool) {
	identity, epoch := f.Registry.Snapshot().Identity, f.Registry.Epoch()
	r := control.Register{Addr: "stranger:9", ID: 5, Incarnation: f.b.Incarnation() + 1<<20, Identity: identity, Epoch: epoch, Size: 1, Ready: true}
	for _, n := range f.Nodes {
		r.Over = append(r.Over, control.Over{ID: uint64(n.ID()), Incarnation: n.Incarnation(), Epoch: epoch + 1})
	}
	return f.restart(t, func() { t.Logf("told %+v", f.tell(t, r)) })
}

func (f *field) takesIDs(t *testing.T) (harm bool) {
	identity, epoch := f.Registry.Snapshot().Identity, f.Registry.Epoch()
	return f.restart(t, func() {
		for i, n := range f.Nodes {
			t.Logf("told %+v", f.tell(t, control.Register{
				Addr: fmt.Sprint("stranger:", i+1), ID: uint64(n.ID()), Incarnation: n.Incarnation() + 1<<20, Identity: identity, Epoch: epoch, Size: 1, Ready: true,
			}))
		}
	})
}
