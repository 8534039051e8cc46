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

// troubled is a ring in which something is about to go wrong.
type troubled struct {
	*ringtest.Ring
	net   *memnet.Network
	all   []*flooder // on n0, n1 and n2, of which the last one leaves
	late  time.Duration
	going sync.WaitGroup
}

// after does something a while after the leave has begun, not always the same.
func (w *troubled) after(d time.Duration, f func()) {
	w.going.Go(func() {
		time.Sleep(d + w.late)
		f()
	})
}

// A node leaves while it and two others send to each other, and while something is wrong
// or goes wrong: of each message both ends know what became of it.
func TestLeaveWhileSomethingGoesWrong(t *testing.T) {
	for name, c := range map[string]struct {
		before  func(w *troubled) // the leave begins
		handler func(ctx context.Context, m ringdht.Message)
		longest time.Duration // a leave; a lease is 3 s
		evicted bool
	}{
		"nothing":      {},
		"slow handler": {handler: func(context.Context, ringdht.Message) { time.Sleep(2 * time.Millisecond) }, longest: time.Minute},
		"handler panics": {handler: func(_ context.Context, m ringdht.Message) {
			if m.Body[7]%64 == 7 {
				panic("test")
			}
		}},
		"a pair cannot reach each other": {before: func(w *troubled) {
			w.net.Cut("n0", "n2")
			untilRegistry(w.Ring, func() bool { return len(w.Registry.Degraded()) > 0 })
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
		"a fifth of all writes is lost": {before: func(w *troubled) {
			for _, a := range []string{"n0", "n1", "n2", "n3"} {
				for _, b := range []string{"n0", "n1", "n2", "n3"} {
					if a != b {
						w.net.Drop(a, b, 0.2)
					}
				}
			}
		}, longest: 20 * ringtest.Lease},
		"it takes long": {before: func(w *troubled) {
			for _, a := range []string{"n0", "n1", "n2", "n3"} {
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
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := memnet.New(1)
				tr := ringtest.New(t, net, ringdht.WithLease(ringtest.Lease))
				hosts := []string{"n0", "n1", "n2", "n3"}
				for i, a := range hosts {
					for j, b := range hosts {
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
				t.Logf("left after %v, what goes wrong does so %v later than it might: %v", took, w.late, err)
				if err := only(err); err != nil && !(c.evicted && (errors.Is(err, ringdht.ErrEvicted) || errors.Is(err, ringdht.ErrRegistryLost))) {
					t.Error(err)
				}
				if took > max(c.longest, time.Second) {
					t.Errorf("left after %v", took)
				}
				w.going.Wait()
				time.Sleep(ringtest.Lease) // until the registry has told of the dead
				for _, f := range others {
					if c.evicted {
						nothingSilent(t, leaver, f, f.id, err)
						nothingSilent(t, f, leaver, leaver.id, errors.Join(f.closed, f.n.Flush(ctx, leaver.id)))
						continue
					}
					settleUp(t, leaver, f, f.id, err)
					settleUp(t, f, leaver, leaver.id, errors.Join(f.closed, f.n.Flush(ctx, leaver.id)))
				}
				tr.Close()
				wait()
			})
		})
	}
}

// Until waits until something is so.
func untilRegistry(tr *ringtest.Ring, done func() bool) {
	tr.T.Helper()
	for range 60_000 {
		if done() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	tr.T.Fatal("it does not happen")
}
