package ringtest_test

import (
	"context"
	"errors"
	"io"
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
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// A run in which a node dies goes on without it and ends. The account balances and names the
// dead node. Its messages that are still under way do not spoil the next run.
func TestRunWhenANodeDies(t *testing.T) {
	for range 3 {
		tr := ringtest.New(t, memnet.New(1))
		for range 5 {
			tr.Join(nil, ringdht.WithTraffic())
		}
		tr.Setup(2)
		done := make(chan *status.Summary)
		go func() {
			s, err := tr.Registry.RunTraffic(tr.Ctx(), status.Traffic{Messages: 200000})
			if err != nil {
				t.Error(err)
			}
			done <- s
		}()
		dead := tr.Nodes[4]
		for dead.Status().Counters.Delivered < 100 {
			time.Sleep(time.Millisecond)
		}
		dead.Close()
		s := <-done
		if s == nil || s.Exact() || !s.Balanced() || len(s.Lost) != 1 || !strings.Contains(s.Verdict(), dead.ID().String()) || len(s.Nodes) != 5 {
			t.Fatalf("%s\n%+v", s.Verdict(), s)
		}
		for _, n := range s.Nodes {
			if n.ID == dead.ID() != n.Lost || !n.Lost && n.Sent != 200000 {
				t.Errorf("%+v", n)
			}
		}
		if s.Sum.Sent != s.Sum.Received+s.Sum.Unknown {
			t.Errorf("%+v", s.Sum)
		}
		tr.Nodes = tr.Nodes[:4]
		tr.Run(status.Traffic{Messages: 5000})
	}
}

// A broken link is restored. Messages sent meanwhile arrive.
func TestBrokenLinkComesBack(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net)
	got := make(chan string, 3)
	for range 3 {
		tr.Join(func(_ context.Context, m ringdht.Message) { got <- string(m.Body) })
	}
	tr.Setup(0)
	from, to := tr.Nodes[0], tr.Nodes[1]
	for _, text := range []string{"before", "while", "after"} {
		switch text {
		case "while":
			net.Cut("n0", "n1")
		case "after":
			net.Mend("n0", "n1")
		}
		if err := from.Send(tr.Ctx(), to.ID(), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := from.Flush(tr.Ctx()); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"before", "while", "after"} {
		if text := <-got; text != want {
			t.Errorf("got %q, want %q", text, want)
		}
	}
}

// A run does not take away what the program's own Flush has to report.
func TestRunLeavesTheProgramsReportAlone(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	release := make(chan struct{})
	for range 3 {
		tr.Join(func(ctx context.Context, _ ringdht.Message) { ringtest.Block(ctx, release) }, ringdht.WithTraffic())
	}
	defer close(release)
	tr.Setup(0)
	from, sink := tr.Nodes[0], tr.Nodes[1]
	for range 5 {
		if err := from.Send(tr.Ctx(), sink.ID(), []byte("mine")); err != nil {
			t.Fatal(err)
		}
	}
	ran := make(chan error)
	go func() { _, err := tr.Registry.RunTraffic(tr.Ctx(), status.Traffic{Messages: 50}); ran <- err }()
	for from.Status().Counters.Sent < 55 {
		time.Sleep(time.Millisecond)
	}
	sink.Close()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	tr.Nodes = []*ringtest.Node{from, tr.Nodes[2]}
	tr.Setup(0)
	var lost *status.UndeliveredError
	if err := from.Flush(tr.Ctx()); !errors.As(err, &lost) {
		t.Errorf("5 messages of the program are lost, but its Flush returned %v", err)
	}
}

// fakeRegistry accepts connections and passes them to serve.
func fakeRegistry(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			go serve(c)
		}
	}()
	return l.Addr().String()
}

func TestJoinObeysItsContext(t *testing.T) {
	for name, greet := range map[string]bool{"silent": false, "silent after the handshake": true} {
		t.Run(name, func(t *testing.T) {
			reached := make(chan struct{})
			addr := fakeRegistry(t, func(c net.Conn) {
				if greet {
					wire.ReadHello(c)
					c.Write(wire.Answer{}.Append(nil))
				}
				close(reached)
				io.Copy(io.Discard, c)
			})
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-reached; cancel() }()
			start := time.Now()
			if _, err := ringtest.Join(ctx, addr, nil, ringdht.WithHandshakeTimeout(5*time.Minute)); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			if took := time.Since(start); took > time.Minute {
				t.Errorf("Join took %v", took)
			}
		})
	}
}

// A registry that sends nonsense costs the node its membership and nothing else.
func TestLyingRegistry(t *testing.T) {
	sane := control.Registered{ID: 1, Incarnation: 1, Bits: 16, MaxPayload: 1000, HopLimit: 10, Lease: 3000}
	for name, lie := range map[string]func(*control.Registered){
		"lease":                             func(r *control.Registered) { r.Lease = 1 << 62 },
		"no lease":                          func(r *control.Registered) { r.Lease = 0 },
		"bits":                              func(r *control.Registered) { r.Bits = 65 },
		"ID":                                func(r *control.Registered) { r.ID = 1 << 16 },
		"payload":                           func(r *control.Registered) { r.MaxPayload = 1 << 30 },
		"hop limit":                         func(r *control.Registered) { r.HopLimit = 0 },
		"then a task":                       nil,
		"no incarnation":                    func(r *control.Registered) { r.Incarnation = 0 },
		"unknown type":                      nil,
		"later type":                        nil,
		"wrong way":                         nil,
		"bad table":                         nil,
		"then an epoch that leaves no room": nil,
		"then a newcomer beyond the IDs":    nil,
	} {
		t.Run(name, func(t *testing.T) {
			answer, violation := make(chan control.Finished, 1), make(chan control.Violation, 1)
			over := make(chan struct{})
			end := sync.OnceFunc(func() { close(over) })
			addr := fakeRegistry(t, func(conn net.Conn) {
				defer end()
				wire.ReadHello(conn)
				conn.Write(wire.Answer{}.Append(nil))
				c := control.NewConn(conn, ringdht.Msgpack(), 1<<20)
				c.Recv()
				r := sane
				if lie != nil {
					lie(&r)
				}
				c.Send(control.TypeRegistered, r)
				switch name {
				case "then a task":
					c.Send(control.TypeManifest, control.Manifest{Epoch: 1, Others: []uint64{2}})
					c.Send(control.TypeTask, control.Task{Run: 1, Messages: 1, Payload: 1 << 30})
				case "then an epoch that leaves no room":
					c.Send(control.TypeManifest, control.Manifest{Epoch: 1<<64 - 1})
				case "then a newcomer beyond the IDs":
					c.Send(control.TypeAnnounce, control.Announce{Epoch: 1, Added: []uint64{1 << 40}})
				case "unknown type":
					c.Send(0x7f, control.Bye{})
				case "later type": // it is ignored: the Ping behind it is answered
					c.Send(0xbf, control.Bye{})
					c.Send(control.TypePing, control.Ping{})
				case "wrong way":
					c.Send(control.TypeBeat, control.Beat{})
				case "bad table":
					c.Send(control.TypeManifest, control.Manifest{Epoch: 1, Entries: []ring.Peer{{ID: 1, Addr: "here:1"}}})
				}
				for beats := 0; ; {
					typ, body, err := c.Recv()
					if err != nil {
						return
					}
					switch typ {
					case control.TypeBeat:
						if beats++; name == "later type" && beats == 2 { // the regular one, and the answer to Ping
							return
						}
					case control.TypeViolation:
						var v control.Violation
						c.Decode(body, &v)
						violation <- v
					case control.TypeFinished:
						var f control.Finished
						c.Decode(body, &f)
						answer <- f
					}
				}
			})
			n, err := ringtest.Join(t.Context(), addr, nil, ringdht.WithTraffic())
			if lie != nil {
				if err == nil {
					n.Close()
					t.Error("joined on terms that make no sense")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			if name == "then a task" {
				if f := <-answer; !strings.Contains(f.Error, "makes no sense") {
					t.Errorf("got %+v", f)
				}
				return
			}
			<-n.Disconnected()
			<-over
			if name == "later type" && len(violation) > 0 {
				t.Errorf("the registry was told %+v", <-violation)
			}
			if rule, ok := map[string]wire.Rule{"unknown type": wire.ErrType, "wrong way": wire.ErrWrongWay, "bad table": wire.ErrTable}[name]; ok {
				if v := <-violation; v.Code != uint64(rule) || v.Rule != rule.String() || !strings.Contains(v.Text, rule.Error()) {
					t.Errorf("the registry was told %+v", v)
				}
			}
		})
	}
}

func TestReadyWhenTheRegistryIsGone(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	n := tr.Join(nil)
	tr.Registry.Close()
	<-n.Disconnected()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.Ready(ctx); !errors.Is(err, ringdht.ErrRegistryLost) || !errors.Is(err, ringdht.ErrNotReady) {
		t.Errorf("got %v", err)
	}
}

func TestSecondSetupObeysItsContext(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net)
	tr.Join(nil)
	tr.Join(nil)
	net.Hold("registry", "n1")
	first := make(chan error)
	go func() { _, err := tr.Registry.Setup(tr.Ctx(), 0); first <- err }()
	if err := ringtest.RegistryOf(tr.Registry).Await(tr.Ctx(), func() bool { return ringtest.RegistryOf(tr.Registry).Authority().Live() }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := tr.Registry.Setup(ringtest.CancelAtDone{ctx, cancel}, 0); !errors.Is(err, context.Canceled) || !errors.Is(err, ringdht.ErrNotReady) {
		t.Errorf("got %v", err)
	}
	net.Heal()
	if err := <-first; err != nil {
		t.Error(err)
	}
}

func TestAPeerCannotClaimToBeTheNode(t *testing.T) {
	tr := ringtest.New(t, nil)
	n := tr.Join(nil)
	for _, from := range []uint64{uint64(n.ID()), 1 << 16} {
		_, _, _, err := ringtest.NodeOf(n).Config().Dial(t.Context(), n.Peer().Addr, wire.Hello{Role: wire.RoleLink, From: from, To: uint64(n.ID()), ToIncarnation: n.Incarnation()})
		if !errors.Is(err, ringdht.ErrHandshake) {
			t.Errorf("from %d: %v", from, err)
		}
	}
}

// A set-up, runs and a close happen at once. Calls that come too late return an error, and none
// hangs.
func TestCloseInTheMiddle(t *testing.T) {
	for range 20 {
		tr := ringtest.New(t, memnet.New(1))
		tr.Join(nil, ringdht.WithTraffic())
		tr.Join(nil, ringdht.WithTraffic())
		tr.Setup(0)
		done := make(chan struct{})
		for range 2 {
			go func() { tr.Registry.RunTraffic(tr.Ctx(), status.Traffic{Messages: 1}); done <- struct{}{} }()
			go func() { tr.Registry.Setup(tr.Ctx(), 1); done <- struct{}{} }()
		}
		tr.Registry.Close()
		for range 4 {
			<-done
		}
	}
}

// A peer that does not answer delays neither the link to another peer nor a set-up.
func TestRedialDoesNotHoldUpOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := memnet.New(1)
		tr := ringtest.New(t, net)
		for range 3 {
			tr.Join(nil)
		}
		tr.Setup(0)
		// As when a cable is cut: no answer, not even a refusal.
		net.Cut("n0", "n2")
		net.Hold("n0", "n2")
		net.Mend("n0", "n2")
		time.Sleep(200 * time.Millisecond) // n0 dials n2 by now
		net.Cut("n0", "n1")
		net.Mend("n0", "n1")
		from, to := tr.Nodes[0], tr.Nodes[1]
		start := time.Now()
		if err := from.Send(tr.Ctx(), to.ID(), nil); err != nil {
			t.Fatal(err)
		}
		if err := from.Flush(tr.Ctx(), to.ID()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("the link to a peer that answers was back after %v", took)
		}
		tr.Nodes[2].Close()
		tr.Nodes = tr.Nodes[:2]
		if err := ringtest.RegistryOf(tr.Registry).Await(tr.Ctx(), func() bool { return ringtest.RegistryOf(tr.Registry).Authority().Len() == 2 }); err != nil {
			t.Fatal(err)
		}
		start = time.Now()
		if _, err := tr.Registry.Setup(tr.Ctx(), 0); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("a set-up without the one that does not answer took %v", took)
		}
		tr.Close()
	})
}
