package ringtest_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

// hostile clears a terminal, sets its title, forges a log line, and turns the direction of writing.
const hostile = "\x1b[2J\x1b]0;owned\x07\nlevel=ERROR msg=forged\u202e\u2028\xff"

// rawLog is a log that shows texts as they are.
type rawLog struct {
	mu    sync.Mutex
	texts []string
}

func (l *rawLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *rawLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *rawLog) WithGroup(string) slog.Handler            { return l }
func (l *rawLog) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := r.Message
	r.Attrs(func(a slog.Attr) bool { text += " " + a.Key + "=" + a.Value.Resolve().String(); return true })
	l.texts = append(l.texts, text)
	return nil
}

// waitFor waits for a text that has all of these.
func (l *rawLog) waitFor(t *testing.T, parts ...string) {
	t.Helper()
	ringtest.WaitUntil(t, "a log of "+strings.Join(parts, ", "), func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, text := range l.texts {
			all := true
			for _, p := range parts {
				all = all && strings.Contains(text, p)
			}
			if all {
				return true
			}
		}
		return false
	})
}

func (l *rawLog) check(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, text := range l.texts {
		checkShown(t, "the log", text)
	}
}

// checkShown fails the test if a terminal would act on a text.
func checkShown(t *testing.T, what, text string) {
	t.Helper()
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("%s shows %q", what, text)
	}
}

// checkAll checks all texts in a value.
func checkAll(t *testing.T, what string, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		checkShown(t, what, v.String())
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			checkAll(t, what, v.Elem())
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			checkAll(t, what, v.Index(i))
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			checkAll(t, what, k)
			checkAll(t, what, v.MapIndex(k))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				checkAll(t, what+"."+v.Type().Field(i).Name, v.Field(i))
			}
		}
	}
}

// A member or a stranger sends texts to a registry. What the registry logs, shows, returns
// and answers is fit for a terminal.
func TestHostileTextsAtTheRegistry(t *testing.T) {
	log := new(rawLog)
	tr := ringtest.New(t, nil, ringdht.WithLogger(slog.New(log)))
	for _, id := range []ringdht.ID{10, 20} {
		tr.Join(nil, ringdht.WithID(id), ringdht.WithTraffic())
	}
	liar, lie := tr.JoinLiar(ringdht.WithID(30), ringdht.WithTraffic())
	tr.Setup(0)
	tell := ringtest.NodeOf(liar).Tell

	// The members' messages.
	tell(control.TypeTrouble, control.Trouble{ID: 10, Incarnation: tr.Nodes[0].Incarnation(), Error: hostile})
	tell(control.TypeLinked, control.Linked{Error: hostile})
	log.waitFor(t, "links missing", "owned")
	log.waitFor(t, "degraded", "owned")
	tell(control.TypeDeregister, control.Deregister{ID: 30, Addr: hostile})
	log.waitFor(t, "request refused", "owned")
	lie.Set(func(is wire.Type, body []byte) []byte {
		switch is {
		case control.TypeTraced:
			return ringtest.Rewrite(body, func(m *control.Traced) { m.Error, m.Hops = hostile, make([]control.Hop, 5000) })
		case control.TypeFinished:
			return ringtest.Rewrite(body, func(m *control.Finished) { m.Error = hostile })
		}
		return body
	})
	hops, err := tr.Registry.Trace(tr.Ctx(), 30, 10)
	if err == nil || len(hops) > 1024 {
		t.Errorf("%d hops, error %v", len(hops), err)
	} else {
		checkShown(t, "the error of Trace", err.Error())
	}
	s, err := tr.Registry.RunTraffic(tr.Ctx(), status.Traffic{Messages: 10})
	if err != nil {
		t.Fatal(err)
	}
	checkAll(t, "the account", reflect.ValueOf(s))
	if checkShown(t, "the verdict", s.Verdict()); !strings.Contains(s.Verdict(), `\x1b[2J`) {
		t.Error(s.Verdict())
	}
	lie.Set(nil)

	// Registrations, and processes where the registry dials.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wire.ReadHello(c)
			c.Write(wire.Answer{Status: wire.WrongRole, Reason: hostile}.Append(nil))
			c.Close()
		}
	}()
	for _, req := range []control.Register{
		{Addr: hostile}, {Addr: "[fe80::1%" + hostile + "]:80", Other: true}, {Addr: "[fe80::1%<img onerror=alert(1)>]:80", Other: true}, {Addr: "a:" + hostile, Other: true},
		{Addr: "127.0.0.1:5", Identity: hostile}, {Addr: l.Addr().String()},
	} {
		c := tr.DialRaw(t)
		if refused := c.Ask(control.TypeRegister, req); refused == nil {
			t.Errorf("%q was admitted", req.Addr)
		} else {
			checkShown(t, "a refusal", refused.Reason)
		}
	}

	// Handshakes.
	for _, h := range []wire.Hello{{Role: wire.RoleMember, RingName: hostile, Codec: "msgpack"}, {Role: wire.RoleMember, RingName: "ring", Codec: hostile}, {Role: 99, RingName: "ring", Codec: "msgpack"}} {
		b, err := h.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, addr := range []string{tr.Addr, tr.Nodes[0].Peer().Addr} {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			conn.Write(b)
			a, err := wire.ReadAnswer(conn)
			if err != nil {
				t.Error(err)
			}
			checkShown(t, "the answer to a hello", a.Reason)
			log.waitFor(t, "connection refused", conn.LocalAddr().String())
			conn.Close()
		}
	}
	checkAll(t, "the snapshot", reflect.ValueOf(tr.Registry.Snapshot()))
	checkAll(t, "Degraded", reflect.ValueOf(tr.Registry.Degraded()))
	checkAll(t, "Members", reflect.ValueOf(tr.Registry.Members()))
	log.check(t)
	tr.Setup(1)
	tr.Run(status.Traffic{Messages: 100})
}

// Likewise at a node, from a registry or a process that is none.
func TestHostileTextsAtANode(t *testing.T) {
	sane := control.Registered{ID: 1, Incarnation: 1, Bits: 16, MaxPayload: 1000, HopLimit: 10, Lease: 3000}
	table := func(p ring.Peer) control.Manifest {
		return control.Manifest{Epoch: 1, Members: 2, Entries: []ring.Peer{p}, Successors: []ring.Peer{p}, Others: []uint64{2}, Incs: []uint64{2}}
	}
	for name, serve := range map[string]func(c *control.Conn){
		"handshake": nil,
		"Refused": func(c *control.Conn) {
			c.Send(control.TypeRefused, control.Refused{Code: control.CodeHost, Reason: hostile})
		},
		"Refused for an unknown reason": func(c *control.Conn) {
			c.Send(control.TypeRefused, control.Refused{Code: 99, Reason: hostile})
		},
		"Bye": func(c *control.Conn) { c.Send(control.TypeBye, control.Bye{Reason: hostile}) },
		"Registered": func(c *control.Conn) {
			r := sane
			r.Bits, r.Identity = 99, hostile
			c.Send(control.TypeRegistered, r)
		},
		"Bye later": func(c *control.Conn) {
			c.Send(control.TypeRegistered, sane)
			c.Send(control.TypeBye, control.Bye{Reason: hostile})
		},
		"address": func(c *control.Conn) {
			c.Send(control.TypeRegistered, sane)
			c.Send(control.TypeManifest, table(ring.Peer{ID: 2, Incarnation: 2, Addr: hostile}))
		},
		"identity": func(c *control.Conn) {
			c.Send(control.TypeRegistered, sane)
			m := table(ring.Peer{ID: 2, Incarnation: 2, Addr: "127.0.0.1:1"})
			m.Identity = hostile
			c.Send(control.TypeManifest, m)
		},
		"waypoint": func(c *control.Conn) {
			c.Send(control.TypeRegistered, sane)
			m := table(ring.Peer{ID: 2, Incarnation: 2, Addr: "127.0.0.1:1"})
			m.Detours = []control.Detour{{To: 2, ID: 3, Incarnation: 3, Addr: hostile}}
			c.Send(control.TypeManifest, m)
		},
	} {
		t.Run(name, func(t *testing.T) {
			log := new(rawLog)
			addr := fakeRegistry(t, func(conn net.Conn) {
				wire.ReadHello(conn)
				if serve == nil {
					conn.Write(wire.Answer{Status: wire.WrongRole, Reason: hostile}.Append(nil))
					return
				}
				conn.Write(wire.Answer{}.Append(nil))
				c := control.NewConn(conn, ringdht.Msgpack(), 1<<20)
				c.Recv()
				serve(c)
				for {
					if _, _, err := c.Recv(); err != nil {
						return
					}
				}
			})
			n, err := ringtest.Join(t.Context(), addr, nil, ringdht.WithLogger(slog.New(log)))
			if err != nil {
				checkShown(t, "the error of Join", err.Error())
				if name == "Bye later" || name == "address" || name == "identity" || name == "waypoint" {
					t.Error(err)
				}
				return
			}
			defer n.Close()
			log.waitFor(t, "lost the connection to the registry")
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := n.WaitConnected(ctx); err != nil {
				checkShown(t, "the error of WaitConnected", err.Error())
			}
			st := n.Status()
			checkAll(t, "Status", reflect.ValueOf(st))
			for p := range n.Table().Entries() {
				checkShown(t, "Table", fmt.Sprint(p))
			}
			log.check(t)
		})
	}
}
