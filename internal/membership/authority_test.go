package membership

import (
	"errors"
	"testing"
	"time"

	"github.com/x/ringdht/internal/control"
)

// An incarnation that an earlier registry declared dead does not come back to a new one,
// whether it resumes before or after the members that remember. It does if it was taken
// back since, which its epoch shows.
func TestTheDeadDoNotComeBack(t *testing.T) {
	const lease = 3 * time.Second
	fresh := func() *Authority {
		return New(Config{Bits: 8, Lease: lease, Grace: 2 * lease, Draw: func(uint64) uint64 { return 0 }})
	}
	zombie := Request{Addr: "z:1", ID: 7, Incarnation: 70, Epoch: 3, Ready: true}
	witness := Request{Addr: "w:1", ID: 8, Incarnation: 80, Epoch: 9, Ready: true, Over: []control.Over{{ID: 7, Incarnation: 70, Epoch: 4}}}

	a := fresh()
	if _, err := a.Resume(1, witness); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Resume(2, zombie); !errors.Is(err, ErrEvicted) {
		t.Errorf("resumed after the members that remember: %v", err)
	}

	a = fresh()
	if _, err := a.Resume(1, zombie); err != nil {
		t.Fatal(err) // no member has reported it yet
	}
	if _, err := a.Resume(2, witness); err != nil {
		t.Fatal(err)
	}
	if _, here := a.Holder(7); here {
		t.Error("resumed before the members that remember, and stays")
	}

	a = fresh()
	zombie.Epoch = 5
	for i, r := range []Request{zombie, witness} {
		if _, err := a.Resume(Time(i+1), r); err != nil {
			t.Fatal(err)
		}
	}
	if _, here := a.Holder(7); !here {
		t.Error("a member that was taken back since was declared dead")
	}
}

// An incarnation that is declared dead while the registry recovers does not come back to it.
func TestDeathInARecovery(t *testing.T) {
	a := recovering(t, 7, 7)
	a.markDead(2, a.byID[1], "it does not answer")
	again := Request{Addr: "1", ID: 1, Incarnation: 2, Epoch: 7, Size: 2, Ready: true}
	if _, err := a.Resume(3, again); !errors.Is(err, ErrEvicted) || !a.Recovering() {
		t.Errorf("%v, recovering %v", err, a.Recovering())
	}
}
