package registry_test

import (
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

// A registry that runs late declares no member dead for its silence. In the end it finds the
// dead ones.
func TestRegistryThatRunsLate(t *testing.T) {
	ringtest.InBubble(t, 0, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		r := ringtest.RegistryOf(tr.Registry)
		time.Sleep(ringtest.Lease)
		net.Hold("n5", "registry") // as if its goroutines had not had their turn
		start := time.Now()
		for time.Since(start) < 4*ringtest.Lease { // for seven eighths of the time it does not run
			time.Sleep(ringtest.Lease / 8)
			r.Locked(func() { r.Authority().DidNotRun(ringtest.Lease*7/64, false) })
		}
		if n := len(tr.Registry.Members()); n != 6 {
			t.Fatalf("%d members of 6: %v", n, tr.Registry.Snapshot().Events)
		}
		tr.WaitGone(60) // it runs in time again and still gets no heartbeat
		ringtest.CheckElapsed(t, "finding the silent member", start, 5*ringtest.Lease+ringtest.Lease/8)
		net.Heal()
	})
}

// A registry whose machine slept gives all members another lease to come back.
func TestRegistryThatSlept(t *testing.T) {
	ringtest.InBubble(t, 0, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		r := ringtest.RegistryOf(tr.Registry)
		time.Sleep(ringtest.Lease)
		net.Hold("n5", "registry")
		time.Sleep(ringtest.Lease * 5 / 8)
		start := time.Now()
		r.Locked(func() { r.Authority().DidNotRun(0, true) })
		tr.WaitGone(60)
		if d := time.Since(start); d < ringtest.Lease || d > 2*ringtest.Lease {
			t.Errorf("declared dead %v after the registry had slept", d)
		}
		net.Heal()
	})
}

// A registry whose wall clock is set forward again and again still declares a silent member
// dead.
func TestRegistryWhoseClockIsSetAgainAndAgain(t *testing.T) {
	base := time.Now()
	var ran time.Duration // since base
	steps := 0            // of a minute each
	r, err := ringdht.NewRegistry(ringdht.WithLease(ringtest.Lease), ringtest.WithConfig(func(c *handshake.Config) {
		c.Wall = func() time.Time { return ringtest.ShiftWallClock(base.Add(ran), time.Duration(steps)*time.Minute) }
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	in := ringtest.RegistryOf(r)
	const period = ringtest.Lease / 32 // as Listen sets it
	in.Locked(func() {
		m, err := in.Authority().Admit(1, 1, membership.Request{Addr: "a:1"})
		if err != nil {
			t.Fatal(err)
		}
		last := in.Authority().HeardNow(1)
		in.StartClock(period)
		for i := 1; in.Authority().TimeLeft(1+ran, m.Ref(), last) > 0; i++ {
			if ran > 10*ringtest.Lease {
				t.Fatal("a member that was silent for ten leases is not declared dead")
			}
			ran += period
			if i%10 == 0 {
				steps++
			}
			in.Tick()
		}
	})
	if ran < 2*ringtest.Lease { // it counts one jump as a sleep of the machine
		t.Errorf("declared dead after %v", ran)
	}
}
