package ringtest_test

import (
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
)

// The rows of TestAttacks at a registry that starts, or in its place.

// claims has a new registry hear of an incarnation, from a stranger. In a secure ring that must be
// refused, and a member says the same with its own admission. It reports whether lives ended then, or
// when the next registry started, or whether a newcomer waited for five leases.
func (f *field) claims(t *testing.T, r control.Register) (harm bool) {
	t.Helper()
	r.Identity, r.ID, r.Addr = f.Registry.Snapshot().Identity, 5, "stranger:9"
	if r.Incarnation == 0 {
		r.Incarnation = f.b.Incarnation() + 1
	}
	if r.Epoch == 0 {
		r.Epoch = f.Registry.Epoch()
	}
	var in *ringtest.Insider
	if f.Secure {
		in = f.Insider("insider")
		if refused, err := in.Register(func(r *control.Register) { r.Want, r.ID = true, 5 }); err != nil || refused != nil {
			t.Fatalf("%+v, %v", refused, err)
		}
	}
	ended := f.restart(t, func() {
		told := f.tell(t, r)
		t.Logf("the stranger is told %+v", told)
		if f.Secure {
			if told == nil {
				t.Error("a stranger is believed")
			}
			refused, err := in.Register(func(mine *control.Register) {
				addr := mine.Addr
				*mine = r
				mine.Addr = addr
				if r.Incarnation < 1<<60 {
					mine.Incarnation = in.Registered.Incarnation
				}
			})
			t.Logf("a member is told %+v, %v", refused, err)
			in.Close()
		}
	})
	n := f.Join(nil, ringdht.WithTraffic(), ringdht.WithID(25))
	f.WaitSettled()
	if f.restart(t, func() {}) {
		ended = true
	}
	f.leaves(n)
	return ended
}

func (f *field) saysGreatNumbers(t *testing.T) (harm bool) {
	for _, r := range []control.Register{
		{Epoch: 1 << 63}, {Epoch: 1 << 62}, {Incarnation: 1 << 63}, {Run: 1 << 63},
		{Over: []control.Over{{ID: uint64(f.a.ID()), Incarnation: 1, Epoch: 1<<64 - 1}}},
	} {
		if f.claims(t, r) {
			t.Errorf("%+v ends lives", r)
			harm = true
		}
	}
	return harm
}

// A newcomer that comes at once waits for less than five leases.
func (f *field) saysSlowPace(t *testing.T) (harm bool) {
	f.Registry.Close()
	for i := range f.Nodes {
		f.Net.Cut(fmt.Sprint("n", i), "registry")
	}
	f.RestartRegistry(ringdht.WithLease(ringtest.Lease))
	identity := f.Registry.Snapshot().Identity
	r := control.Register{Addr: "stranger:9", ID: 5, Incarnation: f.b.Incarnation() + 1, Identity: identity, Epoch: 5, Every: 100}
	told := f.tell(t, r)
	t.Logf("told %+v", told)
	if f.Secure && told == nil {
		t.Error("a stranger is believed")
	}
	start := time.Now()
	n := f.Join(nil, ringdht.WithTraffic(), ringdht.WithID(25))
	took := time.Since(start)
	t.Logf("a newcomer waited for %v", took)
	for i := range f.Nodes {
		f.Net.Mend(fmt.Sprint("n", i), "registry")
	}
	if err := f.Registry.WaitMembers(f.Ctx(), 5); err != nil {
		t.Fatal(err)
	}
	f.leaves(n)
	return took > 5*ringtest.Lease
}

// The process says that each life is over. In a secure ring it has another ring's key.
func (f *field) refusesAll(t *testing.T) (harm bool) {
	lives := fmt.Sprint(incarnations(f.Ring))
	f.Registry.Close()
	c := ringtest.DialConfig()
	c.Transport = f.Net.Host("registry")
	if f.Secure {
		c.Security = ringtest.NewRingKey().Registry()
	}
	l, err := c.Transport.Listen(t.Context(), f.Addr)
	if err != nil {
		t.Fatal(err)
	}
	var heard, refused atomic.Int64
	go func() {
		for {
			accepted, err := l.Accept()
			if err != nil {
				return
			}
			heard.Add(1)
			go func() {
				defer accepted.Close()
				conn, _, _, err := c.Welcome(accepted, func(wire.Hello, secure.Proof) wire.Answer { return wire.Answer{} })
				if err != nil {
					return
				}
				m := control.NewConn(conn, c.Codec, 1<<20)
				defer m.Free()
				defer m.Close()
				if _, _, err := m.Recv(); err == nil {
					refused.Add(1)
					m.Send(control.TypeRefused, control.Refused{Code: control.CodeEvicted, Reason: "over"})
					m.Shutdown(time.Second)
				}
			}()
		}
	}()
	time.Sleep(5 * ringtest.Lease)
	l.Close()
	if heard.Load() == 0 || f.Secure && refused.Load() > 0 {
		t.Errorf("%d connections, %d members have registered there", heard.Load(), refused.Load())
	}
	f.RestartRegistry(ringdht.WithLease(ringtest.Lease))
	time.Sleep(10 * ringtest.Lease)
	ended := fmt.Sprint(incarnations(f.Ring)) != lives
	if ended { // nor does a table go on
		f.Setup(1)
	}
	return ended
}

// In a secure ring nothing is dialled without a proof of the secret.
func (f *field) namesSilentPort(t *testing.T) (harm bool) {
	l, err := f.Net.Host("stranger").Listen(t.Context(), "stranger:1")
	if err != nil {
		t.Fatal(err)
	}
	dialled := make(chan net.Conn, 1000)
	go func() { // it accepts, and is silent
		for {
			c, err := l.Accept()
			if err != nil {
				close(dialled)
				return
			}
			dialled <- c
		}
	}()
	var ends []func()
	for range 100 {
		if conn := f.dial(t, f.Addr, wire.Hello{Role: wire.RoleMember}); conn != nil {
			c := control.NewConn(conn, ringtest.DialConfig().Codec, 1<<20)
			c.Send(control.TypeRegister, control.Register{Addr: "stranger:1", Token: 1})
			ends = append(ends, func() { c.Close(); c.Free() })
		}
	}
	start := time.Now()
	n := f.Join(nil, ringdht.WithTraffic(), ringdht.WithID(25))
	f.Remove(n)
	n.Close()
	f.WaitGone(25)
	took := time.Since(start)
	for _, end := range ends {
		end()
	}
	l.Close()
	count := 0
	for c := range dialled {
		c.Close()
		count++
	}
	t.Logf("of %d Registers %d were dialled; a join and a death took %v", len(ends), count, took)
	if len(ends) < 50 || f.Secure && count > 0 || !f.Secure && count == 0 {
		t.Errorf("of %d Registers %d were dialled", len(ends), count)
	}
	return took > 100*time.Millisecond
}
