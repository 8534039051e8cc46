package registry_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/registry"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// Attacks whose effect is a matter of time, in virtual time.

// dialFrom connects to the registry from a host, as a member does.
func dialFrom(ctx context.Context, tr *ringtest.Ring, host string) (*control.Conn, error) {
	c := ringtest.DialConfig()
	c.Transport = tr.Net.Host(host)
	conn, _, _, err := c.Dial(ctx, tr.Addr, wire.Hello{Role: wire.RoleMember})
	if err != nil {
		return nil, err
	}
	return control.NewConn(conn, c.Codec, 1<<20), nil
}

// D6: a host makes the registry dial silent ports, as fast as it can. Joins from elsewhere and the news
// of a death come as quickly as ever.
func TestFloodOfSilentPorts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(3*time.Second))
		for range 12 {
			tr.Join(nil, ringdht.WithTraffic())
		}
		tr.Setup(0)
		l, err := tr.Net.Host("evil").Listen(t.Context(), "evil:1")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var conns sync.Map
		wg.Go(func() { // it accepts, and is silent
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				conns.Store(c, nil)
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		for range 200 { // more at once are the business of the handshake's places
			wg.Go(func() {
				if tr.Secure { // then it has the ring's join line
					in := tr.Insider("evil")
					for ctx.Err() == nil {
						in.Register(func(r *control.Register) {
							r.Addr = "evil:1"
							time.AfterFunc(time.Second, in.Conn.Close)
						})
						handshake.Sleep(ctx, time.Second)
					}
					in.Conn.Close()
					return
				}
				for ctx.Err() == nil {
					c, err := dialFrom(ctx, tr, "evil")
					if err == nil {
						c.Send(control.TypeRegister, control.Register{Addr: "evil:1", Token: 1})
						handshake.Sleep(ctx, time.Second)
						c.Close()
						c.Free()
					}
				}
			})
		}
		for range 10 {
			time.Sleep(1300 * time.Millisecond)
			start := time.Now()
			tr.Join(nil, ringdht.WithTraffic())
			ringtest.CheckElapsed(t, "a join from elsewhere", start, 50*time.Millisecond)
		}
		dead := tr.Nodes[3]
		start := time.Now()
		dead.Close()
		tr.Remove(dead)
		tr.WaitGone(dead.ID())
		ringtest.CheckElapsed(t, "finding the dead", start, 50*time.Millisecond)
		tr.WaitSettled()
		if s, err := tr.Registry.RunTraffic(tr.Ctx(), status.Traffic{Messages: 200}); err != nil || !s.Exact() {
			t.Errorf("%v %v", err, s)
		}
		cancel()
		l.Close()
		conns.Range(func(c, _ any) bool { c.(net.Conn).Close(); return true })
		wg.Wait()
		synctest.Wait()
		if n := ringtest.RegistryOf(tr.Registry).Conns(); n != len(tr.Nodes) {
			t.Errorf("%d connections are left, of %d members", n, len(tr.Nodes))
		}
		tr.Close()
	})
}

// claim resumes an incarnation that the registry does not know, and returns the refusal, or nil.
func claim(t *testing.T, tr *ringtest.Ring, r control.Register) *control.Refused {
	t.Helper()
	r.Addr = "raw:9"
	m := tr.DialRaw(t)
	refused := m.Ask(control.TypeRegister, r)
	m.Close()
	return refused
}

// C3, C5: a stranger's numbers end its own incarnation. They neither stop admissions for long, nor make
// members that come back later be refused. It comes first, or after the members.
func TestNumbersOfALiar(t *testing.T) {
	const lease = 3 * time.Second
	for _, c := range []struct {
		name    string
		lie     control.Register
		refused bool
	}{
		{"C3 the greatest epoch", control.Register{Epoch: 1 << 63, Incarnation: 1}, true},
		{"C3 a great epoch", control.Register{Epoch: 1 << 62, Incarnation: 1}, false},
		{"C3 a great incarnation", control.Register{Epoch: 1, Incarnation: 1 << 63}, true},
		{"C3 a great run", control.Register{Epoch: 1, Incarnation: 1, Run: 1 << 63}, true},
		{"C3 what is over by a great epoch", control.Register{Epoch: 1, Incarnation: 1, Over: []control.Over{{ID: 1, Incarnation: 1, Epoch: 1<<64 - 1}}}, false},
		{"C5 a slow pace", control.Register{Epoch: 5, Incarnation: 1, Every: 100}, false},
	} {
		for _, first := range []bool{true, false} {
			t.Run(fmt.Sprint(c.name, ", first ", first), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(lease))
					for range 4 {
						tr.Join(nil, ringdht.WithTraffic())
					}
					tr.Setup(0)
					lives := func() (all []uint64) {
						for _, n := range tr.Nodes {
							all = append(all, n.Incarnation())
						}
						return all
					}
					before := lives()
					var id uint64
					for taken := true; taken; {
						id++
						_, taken = ringtest.RegistryOf(tr.Registry).Authority().Holder(id)
					}
					c.lie.ID = id
					tr.Registry.Close()
					if !first { // the members come back, and then the stranger
						tr.RestartRegistry(ringdht.WithLease(lease))
						if err := tr.Registry.WaitMembers(tr.Ctx(), 4); err != nil {
							t.Fatal(err)
						}
					} else {
						tr.RestartRegistry(ringdht.WithLease(lease))
					}
					start := time.Now()
					r := claim(t, tr, c.lie)
					if (r != nil) != c.refused || r != nil && r.Code != control.CodeEvicted {
						t.Errorf("it was told %+v", r)
					}
					tr.Join(nil, ringdht.WithTraffic())
					if took := time.Since(start); took > 5*lease {
						t.Errorf("a newcomer waited for %v", took)
					}
					tr.WaitSettled()
					before = append(before, tr.Nodes[4].Incarnation())
					for range 2 { // and the members come back to later registries
						if got := lives(); fmt.Sprint(got) != fmt.Sprint(before) {
							t.Fatalf("the incarnations are %v, and were %v", got, before)
						}
						s, err := tr.Registry.RunTraffic(tr.Ctx(), status.Traffic{Messages: 50})
						if err != nil || !s.Exact() {
							t.Fatalf("%v %v", err, s)
						}
						tr.Registry.Close()
						tr.RestartRegistry(ringdht.WithLease(lease))
						if err := tr.Registry.WaitMembers(tr.Ctx(), 5); err != nil {
							t.Fatal(err)
						}
						time.Sleep(4 * lease)
						tr.WaitSettled()
					}
					tr.Close()
				})
			})
		}
	}
}

// D8: a process that listens at many ports gets no more members than a host may have, and others still
// join.
func TestOneHostLeavesRoom(t *testing.T) {
	ringtest.OpenOnly(t, "its newcomers prove no secret")
	synctest.Test(t, func(t *testing.T) {
		tr := ringtest.New(t, memnet.New(1), ringdht.WithBits(6))
		full := 0
		var conns []*control.Conn
		var ends []func()
		for i := range 64 {
			addr := fmt.Sprint("evil:", i+1)
			l, err := tr.Net.Host("evil").Listen(t.Context(), addr)
			if err != nil {
				t.Fatal(err)
			}
			ends = append(ends, func() { l.Close() })
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					if h, err := wire.ReadHello(c); err == nil {
						c.Write(wire.Answer{Token: handshake.ProbeAnswer(uint64(i+1), h.Token)}.Append(nil))
					}
					c.Close()
				}
			}()
			c, err := dialFrom(t.Context(), tr, "evil")
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
			c.Send(control.TypeRegister, control.Register{Addr: addr, Token: uint64(i + 1)})
			ty, body, err := c.Recv()
			var r control.Refused
			switch {
			case err == nil && ty == control.TypeRefused && c.Decode(body, &r) == nil && r.Code == control.CodeFull:
				full++
			case err != nil || ty != control.TypeRegistered:
				t.Fatalf("type %d, %v, %+v", ty, err, r)
			}
		}
		if n := len(tr.Registry.Members()); n != 49 || full != 15 { // 63 - 63/4 + 1
			t.Errorf("%d members, %d were refused", n, full)
		}
		for range 15 {
			tr.Join(nil)
		}
		if _, err := tr.TryJoin(nil); err == nil || !strings.Contains(err.Error(), "all 64 IDs") {
			t.Errorf("a ring without a free ID: %v", err)
		}
		for i := range conns {
			conns[i].Close()
			conns[i].Free()
			ends[i]()
		}
		ringtest.WaitUntil(t, "the host's members to be gone", func() bool { return len(tr.Registry.Members()) == 15 })
		synctest.Wait()
		ringtest.RegistryOf(tr.Registry).Locked(func() {
			if n := ringtest.RegistryOf(tr.Registry).HostsKnown(); n != 15 {
				t.Errorf("the registry counts members of %d hosts", n)
			}
		})
		tr.Close()
	})
}

// Newcomers that must wait for members of an earlier ring keep no place that others need. There are so
// many of them, and more are told to come again.
func TestWaitingNewcomersLeaveRoom(t *testing.T) {
	ringtest.OpenOnly(t, "its newcomers prove no secret")
	synctest.Test(t, func(t *testing.T) {
		const lease = 3 * time.Second
		tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(lease))
		for range 4 {
			tr.Join(nil)
		}
		tr.Setup(0)
		tr.Registry.Close()
		tr.RestartRegistry(ringdht.WithLease(lease), ringdht.WithGrace(lease))
		r := ringtest.RegistryOf(tr.Registry)
		p := newImpostor(t, tr.Net.Host("crowd"), "crowd:1")
		p.token.Store(7)
		told := make(chan control.Code, registry.MaxHeld+50)
		for range registry.MaxHeld + 50 {
			go func() {
				c, err := dialFrom(t.Context(), tr, "crowd")
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Free()
				defer c.Close()
				c.Send(control.TypeRegister, control.Register{Addr: "crowd:1", Token: 7})
				ty, body, err := c.Recv()
				var refused control.Refused
				if err == nil && ty == control.TypeRefused {
					err = c.Decode(body, &refused)
				}
				if err != nil {
					t.Error(err)
				}
				told <- refused.Code
			}()
		}
		time.Sleep(lease / 2)
		synctest.Wait()
		r.Locked(func() {
			if n := r.Held(); n != registry.MaxHeld {
				t.Errorf("%d wait", n)
			}
			if n := r.Authority().Len(); n != 4 {
				t.Errorf("%d members are back, behind a crowd of newcomers", n)
			}
		})
		for range 50 {
			if code := <-told; code != control.CodeWait {
				t.Errorf("one of too many was told %d", code)
			}
		}
		time.Sleep(4 * lease)
		synctest.Wait()
		r.Locked(func() {
			if n := r.Held(); n != 0 {
				t.Errorf("%d still wait", n)
			}
		})
		tr.Close()
	})
}
