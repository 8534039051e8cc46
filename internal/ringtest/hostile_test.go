package ringtest_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// Hostile input to a port ends its connection with a logged reason. The ring goes on.
func TestHostileInput(t *testing.T) {
	ringtest.OpenOnly(t, "its connections begin with TLS")
	log := ringtest.NewLog()
	tr := ringtest.New(t, nil, log.Option())
	for range 3 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	tr.Setup(1)
	victim := tr.Nodes[0]

	hello := func(h wire.Hello) []byte {
		h.Codec, h.RingName = "msgpack", "ring"
		b, err := h.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	link := hello(wire.Hello{Role: wire.RoleLink, From: uint64(tr.Nodes[1].ID()), To: uint64(victim.ID()), ToIncarnation: victim.Incarnation()})
	member := hello(wire.Hello{Role: wire.RoleMember})
	data := wire.Append(nil, wire.Header{Type: wire.Data, Dst: uint64(victim.ID()), Src: 77, Seq: 5}, []byte("x"))

	garbage := bytes.Repeat([]byte{0xde, 0xad, 0xbe, 0xef}, 100)
	for _, c := range []struct {
		name  string
		bytes []byte
		log   string
	}{
		{"garbage", garbage, "not a ringdht connection"},
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), "GET / HT"},
		{"oversize hello", []byte("RDHT\x02\x01\xff\xff"), "65535 bytes"},
		{"truncated hello", member[:20], "unexpected EOF"},
	} {
		for where, addr := range map[string]string{"registry": tr.Addr, "node": victim.Peer().Addr} {
			t.Run(c.name+" at the "+where, func(t *testing.T) {
				from := send(t, addr, c.bytes)
				log.WaitFor(t, "connection refused", from, c.log)
			})
		}
	}
	for _, c := range []struct {
		name  string
		bytes []byte
		log   string
	}{
		{"garbage in a link", append(bytes.Clone(link), garbage...), "rule R10"},
		{"oversize frame in a link", append(bytes.Clone(link), 4, 0xff, 0xff, 0xff), "rule R11"},
		{"frame shorter than its header", append(bytes.Clone(link), 4, 0, 0, 5, 1, 2, 3, 4, 5), "rule R12"},
		{"truncated frame in a link", append(bytes.Clone(link), data[:20]...), "unexpected EOF"},
		{"control frame in a link", append(bytes.Clone(link), byte(control.TypeBeat), 0, 0, 0), "rule R10"},
	} {
		t.Run(c.name, func(t *testing.T) {
			from := send(t, victim.Peer().Addr, c.bytes)
			log.WaitFor(t, "incoming link ended", from, c.log)
		})
	}
	for _, c := range []struct {
		name  string
		bytes []byte
		log   string
	}{
		{"garbage to the registry", append(bytes.Clone(member), garbage...), "rule R11"},
		{"data to the registry", append(bytes.Clone(member), data...), "rule R10"},
		{"oversize frame to the registry", append(bytes.Clone(member), byte(control.TypeRegister), 0xff, 0xff, 0xff), "rule R11"},
		{"truncated frame to the registry", append(bytes.Clone(member), byte(control.TypeRegister), 0, 0, 50, 1), "unexpected EOF"},
		{"registration of nonsense", append(bytes.Clone(member), byte(control.TypeRegister), 0, 0, 1, 0xc1), "msgpack"},
	} {
		t.Run(c.name, func(t *testing.T) {
			from := send(t, tr.Addr, c.bytes)
			log.WaitFor(t, "connection ended before registration", from, c.log)
		})
	}

	// Frames that parse but make no sense are counted, and the link stays up.
	var odd []byte
	odd = append(odd, link...)
	for typ := wire.Open; typ <= wire.NoRoute; typ++ {
		for _, body := range [][]byte{nil, {1}, garbage[:40]} {
			odd = wire.Append(odd, wire.Header{Type: typ, Dst: uint64(victim.ID()), Src: 9999, Seq: 3}, body)
		}
	}
	odd = wire.Append(odd, wire.Header{Type: wire.Data, Dst: uint64(tr.Nodes[1].ID()), Src: 9999}, nil) // overshot
	send(t, victim.Peer().Addr, odd)
	deadline := time.Now().Add(time.Minute)
	for victim.Status().Counters.Dropped.Malformed == 0 || victim.Status().Counters.Dropped.Overshoot == 0 {
		if time.Now().After(deadline) {
			t.Fatalf("counters: %+v", victim.Status().Counters.Dropped)
		}
		time.Sleep(time.Millisecond)
	}
	tr.Run(status.Traffic{Messages: 1000})
}

// send writes bytes to a port and closes. It returns its local address, by which the log names
// the connection.
func send(t *testing.T, addr string, b []byte) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	conn.Write(b)
	conn.(*net.TCPConn).CloseWrite()
	io.Copy(io.Discard, conn) // until the other side closes
	conn.Close()
	return conn.LocalAddr().String()
}

// Silence has a deadline at every port, before the handshake and after it.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := memnet.New(1)
		tr := ringtest.New(t, net, ringdht.WithHandshakeTimeout(2*time.Second), ringdht.WithLease(3*time.Second))
		n := tr.Join(nil)
		for where, addr := range map[string]string{"registry": tr.Addr, "node": n.Peer().Addr} {
			start := time.Now()
			conn, err := net.Host("silent").Dial(t.Context(), addr)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Read(make([]byte, 1)); err == nil {
				t.Errorf("the %s answered silence", where)
			}
			if took := time.Since(start); took != 2*time.Second {
				t.Errorf("the %s waited for %v, the handshake's deadline is 2s", where, took)
			}
			conn.Close()
		}
		// A member that says hello and does not register.
		start := time.Now()
		var m *control.Conn
		if tr.Secure {
			in := tr.Insider("insider")
			if _, err := in.Dial(); err != nil {
				t.Fatal(err)
			}
			m = in.Conn
		} else {
			m = tr.DialRaw(t).Conn
		}
		if _, _, err := m.Recv(); err == nil {
			t.Error("the registry sent a message without being asked")
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("the registry waited for %v", took)
		}
		if len(tr.Registry.Members()) != 1 {
			t.Error("the node is no member any more")
		}
		tr.Close()
	})
}

// Within a lease the registry notices that a node is silent, and a node that its registry is.
// While both send, no node is declared dead.
func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := memnet.New(1)
		tr := ringtest.New(t, net, ringdht.WithLease(3*time.Second))
		var nodes []*ringtest.Node
		for range 3 {
			nodes = append(nodes, tr.Join(nil))
		}
		time.Sleep(time.Minute)
		if got := len(tr.Registry.Members()); got != 3 {
			t.Fatalf("%d members after a quiet minute", got)
		}
		start := time.Now()
		net.Hold("n1", "registry") // its cable is cut
		net.Hold("registry", "n1")
		if err := ringtest.RegistryOf(tr.Registry).Await(t.Context(), func() bool { return ringtest.RegistryOf(tr.Registry).Authority().Len() == 2 }); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("the registry took %v to notice, the lease is 3s", took)
		}
		<-nodes[1].Disconnected()
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("the node took %v to notice, the lease is 3s", took)
		}
		tr.Close()
	})
}

// A registry tells a member which rule it has broken, and logs one line that names it. Messages of
// later types are ignored.
func TestRegistryNamesTheRule(t *testing.T) {
	for name, c := range map[string]struct {
		typ  wire.Type
		v    any
		rule wire.Rule
	}{
		"a message of the registry": {control.TypeManifest, control.Manifest{}, wire.ErrWrongWay},
		"an unknown message":        {0xc0, control.Ping{}, wire.ErrType},
		"a body that does not fit":  {control.TypeLinked, control.Trouble{Error: "x"}, 0}, // its fields are unknown or right
		"a body of another type":    {control.TypeLinked, map[string]any{"epoch": "one"}, wire.ErrBody},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := ringtest.NewLog()
				tr := ringtest.New(t, memnet.New(1), log.Option())
				m := tr.DialRaw(t)
				m.Send(control.TypeRegister, control.Register{Addr: "nowhere:1", Other: true, ID: 1, Incarnation: 7, Epoch: 1})
				if typ, _, err := m.Recv(); err != nil || typ != control.TypeRegistered {
					t.Fatalf("%v, %v", typ, err)
				}
				m.Send(0x80, control.Ping{})
				m.Send(c.typ, c.v)
				m.Send(control.TypeBeat, control.Beat{})
				for {
					typ, body, err := m.Recv()
					if err != nil {
						t.Fatal(err)
					}
					if typ == control.TypeBeatAnswer && c.rule == 0 {
						break
					}
					if typ != control.TypeViolation {
						continue
					}
					var v control.Violation
					if err := m.Decode(body, &v); err != nil || v.Code != uint64(c.rule) || v.Rule != c.rule.String() {
						t.Errorf("%+v, %v", v, err)
					}
					synctest.Wait()
					if !strings.Contains(log.Text(), "ended for a violation") || !strings.Contains(log.Text(), c.rule.Error()) {
						t.Error(log.Text())
					}
					break
				}
				m.Close()
				tr.Close()
			})
		})
	}
}
