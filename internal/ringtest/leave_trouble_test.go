package ringtest_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

// troubleHosts are those of the ring: of three nodes that flood each other, and a fourth.
var troubleHosts = []string{"n0", "n1", "n2", "n3"}

// leaveTrouble is something that is wrong, or goes wrong, while a node leaves.
type leaveTrouble struct {
	before  func(w *troubled) // called before the leave begins
	handler func(ctx context.Context, m ringdht.Message)
	longest time.Duration // that the leave may take, if over a second; a lease is 3 s
	evicted bool          // a node may be declared dead, so that messages have unknown outcomes

	losesWrites bool // of a connection that stays
}

var leaveTroubles = map[string]leaveTrouble{
	"nothing":      {},
	"slow handler": {handler: func(context.Context, ringdht.Message) { time.Sleep(2 * time.Millisecond) }, longest: time.Minute},
	"handler panics": {handler: func(_ context.Context, m ringdht.Message) {
		if m.Body[7]%64 == 7 {
			panic("test")
		}
	}},
	"a pair cannot reach each other": {before: func(w *troubled) {
		w.net.Cut("n0", "n2")
		untilDegraded(w.Ring)
		time.Sleep(ringtest.Lease)
	}},
	"a pair is cut": {before: func(w *troubled) { w.after(time.Millisecond, func() { w.net.Cut("n0", "n2") }) }},
	"a source stands still for a while": {before: func(w *troubled) {
		w.after(time.Millisecond, func() { w.net.Hold("n0", ""); w.net.Hold("", "n0") })
		w.after(ringtest.Lease/3, func() { w.net.Heal() })
	}, longest: ringtest.Lease},
	"the leaver stands still for a while": {before: func(w *troubled) {
		w.after(time.Millisecond, func() { w.net.Hold("n2", ""); w.net.Hold("", "n2") })
		w.after(ringtest.Lease/3, func() { w.net.Heal() })
	}, longest: ringtest.Lease},
	"a fifth of all writes is lost": {losesWrites: true, before: func(w *troubled) {
		for _, a := range troubleHosts {
			for _, b := range troubleHosts {
				if a != b {
					w.net.Drop(a, b, 0.2)
				}
			}
		}
	}, longest: 20 * ringtest.Lease},
	"it takes long": {before: func(w *troubled) {
		for _, a := range troubleHosts {
			w.net.Delay(a, "", 50*time.Millisecond, 50*time.Millisecond)
		}
		time.Sleep(ringtest.Lease)
	}, longest: ringtest.Lease},
	"it is declared dead": {before: func(w *troubled) {
		w.after(time.Millisecond, func() { w.net.Hold("n2", "") })
		w.after(ringtest.Lease+ringtest.Lease/2, func() { w.net.Heal() })
	}, longest: 3 * ringtest.Lease, evicted: true},
	"a source is declared dead": {before: func(w *troubled) {
		w.after(time.Millisecond, func() { w.net.Hold("n0", "") })
		w.after(ringtest.Lease+ringtest.Lease/2, func() { w.net.Heal() })
	}, longest: 3 * ringtest.Lease, evicted: true},
	"a source closes": {before: func(w *troubled) {
		w.after(time.Millisecond, func() { w.all[0].closed = w.all[0].n.Close() })
	}, longest: 3 * ringtest.Lease, evicted: true},
	"the registry restarts": {before: func(w *troubled) {
		w.Registry.Close()
		w.after(ringtest.Lease/4, func() { w.RestartRegistry(ringdht.WithLease(ringtest.Lease)) })
	}, longest: 5 * ringtest.Lease},
	"the registry restarts meanwhile": {before: func(w *troubled) {
		w.after(time.Millisecond, func() {
			w.Registry.Close()
			time.Sleep(ringtest.Lease / 4)
			w.RestartRegistry(ringdht.WithLease(ringtest.Lease))
		})
	}, longest: 5 * ringtest.Lease},
}

// troubled is a ring in which something goes wrong.
type troubled struct {
	*ringtest.Ring
	net   *memnet.Network
	all   []*flooder // on n0, n1 and n2; that on n2 leaves
	late  time.Duration
	going sync.WaitGroup
}

// after calls f when d and a random time have passed since the leave began.
func (w *troubled) after(d time.Duration, f func()) {
	w.going.Go(func() {
		time.Sleep(d + w.late)
		f()
	})
}

// A node leaves while it and two others send to each other, and something goes wrong. For
// each message, both ends agree on what became of it.
func TestLeaveWhileSomethingGoesWrong(t *testing.T) {
	for name, c := range leaveTroubles {
		t.Run(name, func(t *testing.T) {
			if c.losesWrites {
				ringtest.OpenOnly(t, "a write that is lost ends a TLS connection")
			}
			synctest.Test(t, c.leave)
		})
	}
}

func (c leaveTrouble) leave(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net, ringdht.WithLease(ringtest.Lease))
	for i, a := range troubleHosts {
		for j, b := range troubleHosts {
			if i != j {
				net.Delay(a, b, time.Duration(1+(i+2*j)%3)*time.Millisecond, time.Millisecond)
			}
		}
	}
	var all []*flooder
	for range 3 {
		f := newFlooder(tr, c.handler, ringtest.NewLog().Option())
		f.pace = time.Millisecond
		all = append(all, f)
	}
	tr.Join(nil)
	tr.Setup(0)
	wait := floodAll(t, tr.Ctx(), all...)
	leaver, others := all[2], all[:2]
	w := &troubled{Ring: tr, net: net, all: all, late: time.Duration(rand.IntN(50)) * time.Millisecond}
	if c.before != nil {
		c.before(w)
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	err := leaver.n.Leave(ctx)
	took := time.Since(start)
	t.Logf("the leave took %v, the trouble came %v late: %v", took, w.late, err)
	if err := only(err); err != nil && !(c.evicted && (errors.Is(err, ringdht.ErrEvicted) || errors.Is(err, ringdht.ErrRegistryLost))) {
		t.Error(err)
	}
	if took > max(c.longest, time.Second) {
		t.Errorf("the leave took %v", took)
	}
	w.going.Wait()
	time.Sleep(ringtest.Lease) // until the registry has announced deaths
	account := checkExact
	if c.evicted {
		account = checkNoneSilent
	}
	for _, f := range others {
		account(t, leaver, f, f.id, err)
		account(t, f, leaver, leaver.id, errors.Join(f.closed, f.n.Flush(ctx, leaver.id)))
	}
	tr.Close()
	wait()
}

// untilDegraded waits until the registry knows of a pair that cannot reach each other.
func untilDegraded(tr *ringtest.Ring) {
	tr.T.Helper()
	r := ringtest.RegistryOf(tr.Registry)
	if err := r.Await(tr.Ctx(), func() bool { return len(r.Authority().Unreachable()) > 0 }); err != nil {
		tr.T.Fatal(err)
	}
}
