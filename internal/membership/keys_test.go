package membership

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// keyMember is a member with keys in a model of registries that come and go.
type keyMember struct {
	knows  Recoveries
	missed [7]bool // which recoveries have ended without it
	told   int     // the latest of which it was told
	over   bool    // for good
}

// After each recovery there is no member that has missed the latest one of which another was told. No member is
// ended that has missed none.
func TestMembersThatMissedARecovery(t *testing.T) {
	ended, kept := 0, 0
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 0))
		members := make([]*keyMember, 2+rng.IntN(4))
		for i := range members {
			members[i] = new(keyMember)
		}
		for number := 1; number <= 6; number++ {
			a := New(Config{Bits: 16, Lease: time.Second, Grace: 2 * time.Second, Draw: func(n uint64) uint64 {
				if n == 0 {
					return rng.Uint64()
				}
				return rng.Uint64N(n)
			}, Wall: func() uint64 { return uint64(number) << 40 }})
			first := number == 1
			if !first {
				a.Recover(1)
			}
			var back []int
			for i, m := range members {
				if m.over || !first && rng.IntN(3) == 0 {
					continue
				}
				if !first {
					_, err := a.Resume(1, Request{
						Addr: fmt.Sprint(i), Token: uint64(i) + 1, ID: uint64(i), Incarnation: uint64(i) + 1, Epoch: 5, Size: 1, Ready: true,
						Keys: []string{"k"}, Recoveries: m.knows,
					})
					if err != nil {
						t.Fatal(seed, err)
					}
				}
				m.knows = m.knows.Registered(a.Number())
				back = append(back, i)
			}
			if !first {
				if rng.IntN(4) == 0 { // it crashes in its grace
					continue
				}
				a.Advance(time.Minute)
			}
			recovery := a.recovery
			for i, m := range members {
				switch {
				case m.over:
				case !slices.Contains(back, i):
					m.missed[number] = true
				}
			}
			latest, of := 0, uint64(0) // of two recoveries without a member in common the later one counts
			for _, i := range back {
				if k := members[i].knows.Recovery; k > of {
					latest, of = members[i].told, k
				}
			}
			var goOn []*keyMember
			for _, i := range back {
				m := members[i]
				m.over = !first && a.find(ring.Ref{ID: uint64(i), Incarnation: uint64(i) + 1}) == nil
				late := m.missed[latest]
				switch {
				case m.over && !late:
					t.Fatalf("seed %d, registry %d: member %d was ended, and has missed none: %+v", seed, number, i, *m)
				case !m.over && late:
					t.Fatalf("seed %d, registry %d: member %d goes on, and has missed recovery %d: %+v", seed, number, i, latest, *m)
				case m.over:
					ended++
				default:
					kept++
				}
				if !m.over {
					goOn = append(goOn, m)
				}
			}
			for _, m := range goOn {
				for _, other := range goOn {
					if m.missed[other.told] {
						t.Fatalf("seed %d, registry %d: %+v goes on with %+v", seed, number, *m, *other)
					}
				}
			}
			for _, m := range goOn {
				if rng.IntN(3) > 0 {
					m.knows, m.told = m.knows.Told(a.Number(), recovery), number
				}
			}
		}
	}
	if ended < 1000 || kept < 1000 {
		t.Errorf("%d were ended, and %d kept", ended, kept)
	}
}

// A number that no registry counts to ends the incarnation that claims it.
func TestRecoveryOfALiar(t *testing.T) {
	a := New(Config{Bits: 16, Lease: time.Second, Grace: 2 * time.Second, Draw: func(uint64) uint64 { return 0 }})
	a.Recover(1)
	r := Request{Addr: "a", Token: 1, ID: 1, Incarnation: 1, Epoch: 5, Keys: []string{"k"}, Recoveries: Recoveries{Recovery: maxEpoch + 1}}
	if _, err := a.Resume(1, r); !errors.Is(err, ErrEvicted) {
		t.Errorf("it is %v", err)
	}
	r.Recovery = maxEpoch
	mustResume(t, a, 1, r)
	a.Advance(time.Minute)
	if a.recovery <= maxEpoch {
		t.Errorf("the number of the recovery is %d", a.recovery)
	}
}

// A ring has so many services with keys, each as often as members open it. A place is free when the last
// of them has gone.
func TestServicesWithKeysHaveABound(t *testing.T) {
	a := New(Config{Bits: 16, Lease: time.Second, Draw: func(n uint64) uint64 { return 0 }})
	keys := func(from, to int) (all []string) {
		for i := from; i < to; i++ {
			all = append(all, fmt.Sprintf("s%03d", i))
		}
		return all
	}
	join := func(id uint64, keys []string) error {
		_, err := a.Admit(1, id, Request{Addr: fmt.Sprint(id), Token: id, Want: true, ID: id, Keys: keys})
		return err
	}
	for i := range 8 {
		if err := join(uint64(i)+1, keys(16*i, 16*i+16)); err != nil {
			t.Fatal(err)
		}
	}
	if err := join(9, keys(0, 16)); err != nil {
		t.Errorf("one with the same services: %v", err)
	}
	if err := join(10, keys(127, 129)); !errors.Is(err, ErrKeysFull) {
		t.Errorf("one with another service: %v", err)
	}
	m, _ := a.Holder(1)
	a.Expel(2, m.Ref(), "over")
	if err := join(10, keys(127, 129)); !errors.Is(err, ErrKeysFull) {
		t.Errorf("one member of two has gone: %v", err)
	}
	m, _ = a.Holder(9)
	a.Expel(2, m.Ref(), "over")
	if err := join(10, keys(127, 129)); err != nil {
		t.Errorf("the last member with a service has gone: %v", err)
	}
	if got := a.Keys(ring.Ref{ID: 10, Incarnation: a.lastInc}); !slices.Equal(got, keys(127, 129)) {
		t.Errorf("it opens %q", got)
	}
}

// Terms and incarnations have one generator, which grows however the clock is set.
func TestTermsGrow(t *testing.T) {
	a := New(Config{Bits: 16, Lease: time.Second, Draw: func(uint64) uint64 { return 0 }})
	last := uint64(0)
	for i, wall := range []uint64{100, 50, 50, 1 << 50, 1<<50 - 1, control.MaxIncarnation + 1} {
		inc, err := a.Admit(1, wall, Request{Addr: fmt.Sprint(i), Token: uint64(i) + 1, Want: true, ID: uint64(i)})
		if err != nil || inc.Incarnation <= last {
			t.Fatalf("incarnation %d after %d, %v", inc.Incarnation, last, err)
		}
		term := a.Term(wall)
		if term <= inc.Incarnation || term > inc.Incarnation+1<<51 {
			t.Fatalf("term %d after incarnation %d", term, inc.Incarnation)
		}
		last = term
	}
	mustAdmit(t, a, 1, Request{Addr: "x", Token: 77, Want: true, ID: 77, Seen: 1 << 60})
	if term := a.Term(5); term <= 1<<60 {
		t.Errorf("term %d, a member has seen %d", term, uint64(1)<<60)
	}
}
