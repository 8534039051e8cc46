package ringtest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
)

const keyGrace = 2 * ringtest.Lease

// restart replaces the registry, whose members have a grace.
func (a *keepers) restart(during func()) {
	a.tr.Registry.Close()
	synctest.Wait()
	during()
	a.tr.RestartRegistry(ringdht.WithLease(ringtest.Lease), ringdht.WithGrace(keyGrace))
}

// lost counts the arcs that keepers have got without their state, and the lives that ended for another.
func lost(all []*keeper) (n int) {
	for _, k := range all {
		k.all.mu.Lock()
		n += k.fresh + k.wrong
		k.all.mu.Unlock()
	}
	return n
}

// pastGrace waits until the grace of a registry is over.
func (a *keepers) pastGrace() {
	time.Sleep(keyGrace + ringtest.Lease)
	synctest.Wait()
}

// After a restart each life holds what it has held, with its state, under a registry that has waited for
// the report of each that is back, also beyond its grace.
func TestKeysOutliveTheRegistry(t *testing.T) {
	inKeyRing(t, 3, func(t *testing.T, a *keepers, all []*keeper) {
		before, lives := lost(all), [...]uint64{all[0].node.Incarnation(), all[1].node.Incarnation(), all[2].node.Incarnation()}
		a.restart(func() { all[1].mute = true })
		time.Sleep(keyGrace / 2)
		synctest.Wait()
		if s := a.shown(t); !s.Recovering || s.Owners != 2 || s.Arcs != 0 {
			t.Errorf("within the grace the registry shows %+v", s)
		}
		time.Sleep(keyGrace/2 + ringtest.Lease/2)
		synctest.Wait()
		if s := a.shown(t); !s.Recovering || s.Owners != 2 || s.Arcs != 0 {
			t.Errorf("while a report is missing the registry shows %+v", s)
		}
		all[1].speak()
		synctest.Wait()
		a.checkHolders(t, all...)
		for i, k := range all {
			if k.node.Incarnation() != lives[i] {
				t.Errorf("node %d has begun anew", k.node.ID())
			}
		}
		if after := lost(all); after != before {
			t.Errorf("%d arcs have lost their state", after-before)
		}
		// Terms grow over registries: else what is decided now would be void.
		next := a.join(t, ringdht.WithID(40))
		synctest.Wait()
		a.checkHolders(t, append(all, next)...)
		if after := lost(append(all, next)); after != before {
			t.Errorf("with a newcomer %d arcs have lost their state", after-before)
		}
	})
}

// No member reports before the grace is over. The first report finds no authority, and what it says counts.
func TestLateReportsCount(t *testing.T) {
	inKeyRing(t, 3, func(t *testing.T, a *keepers, all []*keeper) {
		before := lost(all)
		a.restart(func() {
			for _, k := range all {
				k.mute = true
			}
		})
		time.Sleep(keyGrace + ringtest.Lease/2)
		synctest.Wait()
		for i, k := range all {
			k.speak()
			synctest.Wait()
			if s := a.shown(t); s.Recovering != (i < 2) {
				t.Errorf("after %d reports the registry shows %+v", i+1, s)
			}
		}
		a.checkHolders(t, all...)
		if after := lost(all); after != before {
			t.Errorf("%d arcs have lost their state", after-before)
		}
	})
}

// A member that is back and does not report is waited for, until it ends: by itself, or since it is
// connected and silent about its keys for two leases.
func TestReportsAreNotAwaitedForEver(t *testing.T) {
	for _, closes := range []bool{true, false} {
		t.Run(fmt.Sprintf("closes=%v", closes), func(t *testing.T) {
			inKeyRing(t, 3, func(t *testing.T, a *keepers, all []*keeper) {
				life := all[1].node.Incarnation()
				a.restart(func() { all[1].mute = true })
				time.Sleep(keyGrace + ringtest.Lease/2)
				synctest.Wait()
				if s := a.shown(t); !s.Recovering {
					t.Errorf("the registry shows %+v", s)
				}
				rest := []*keeper{all[0], all[2]}
				if closes {
					all[1].node.Close()
					a.tr.WaitGone(20)
				} else {
					all[1].all.do(func() { all[1].mute = false }) // in its next life
					ringtest.WaitUntil(t, "another incarnation", func() bool { return all[1].node.Incarnation() != life })
					rest = all
				}
				time.Sleep(ringtest.Lease)
				synctest.Wait()
				a.checkHolders(t, rest...)
			})
		})
	}
}

// A member that misses the grace of a registry begins anew, also where the next registry takes its place
// before the member comes back: the others have its arcs.
func TestLateLivesBeginAnew(t *testing.T) {
	for _, twice := range []bool{false, true} {
		t.Run(fmt.Sprintf("twice=%v", twice), func(t *testing.T) {
			inKeyRing(t, 3, func(t *testing.T, a *keepers, all []*keeper) {
				late := all[1]
				life := late.node.Incarnation()
				a.restart(func() { a.tr.Net.Cut("registry", "n1") })
				a.pastGrace()
				a.checkHolders(t, all[0], all[2])
				if twice {
					a.restart(func() { a.tr.Net.Mend("registry", "n1") })
					time.Sleep(keyGrace / 2)
					synctest.Wait()
					if s := a.shown(t); s.Arcs != 0 {
						t.Errorf("within its grace the registry shows %+v", s)
					}
					time.Sleep(keyGrace / 2)
				} else {
					a.tr.Net.Mend("registry", "n1")
				}
				ringtest.WaitUntil(t, "another incarnation", func() bool { return late.node.Incarnation() != life })
				a.pastGrace()
				a.checkHolders(t, all...)
				late.all.mu.Lock()
				defer late.all.mu.Unlock()
				if !slices.ContainsFunc(late.log, func(l string) bool { return strings.HasPrefix(l, "ended ") }) || late.wrong > 0 {
					t.Errorf("the log is %q", late.log)
				}
			})
		})
	}
}
