package membership

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// recovering returns an authority to which members with these epochs have come back.
func recovering(t *testing.T, epochs ...uint64) *Authority {
	t.Helper()
	a := New(Config{Bits: 16, Lease: time.Second, Grace: 2 * time.Second, Draw: func(n uint64) uint64 { return 0 }})
	a.Recover(1)
	for i, e := range epochs {
		_, err := a.Resume(1, Request{Addr: fmt.Sprint(i), ID: uint64(i), Incarnation: uint64(i) + 1, Epoch: e, Size: i + 1, Ready: true})
		if err != nil {
			t.Fatal(e, err)
		}
	}
	return a
}

// A member that claims a far later epoch than most is taken out at the end of the recovery. The ring
// counts on from the epochs of the others, and has the layout of the latest of them.
func TestEpochOfALiar(t *testing.T) {
	const far = maxCounted + 100
	for _, c := range []struct {
		epochs []uint64
		out    []uint64
		epoch  uint64
		layout int
	}{
		{[]uint64{5, 7, maxEpoch, 6}, []uint64{2}, 7, 2},
		{[]uint64{maxEpoch, 7}, []uint64{0}, 7, 2},
		{[]uint64{7, 7 + maxCounted}, nil, 7 + maxCounted, 2},
		{[]uint64{maxEpoch}, nil, maxEpoch, 1},
		{[]uint64{far, far + 5, 1}, nil, far + 5, 2}, // a liar before them has led them here
		{[]uint64{1, far, far + 5, maxEpoch}, []uint64{3}, far + 5, 3},
	} {
		a := recovering(t, c.epochs...)
		a.Advance(time.Minute)
		if a.Recovering() {
			t.Fatal("it still recovers")
		}
		var out []uint64
		for _, e := range a.Take() {
			if e.Kind == Dead {
				out = append(out, e.Ref.ID)
			}
		}
		if fmt.Sprint(out) != fmt.Sprint(c.out) {
			t.Errorf("%v: %v are out, want %v", c.epochs, out, c.out)
		}
		if a.Epoch() <= c.epoch || a.Epoch() > c.epoch+2 || a.Layout().K != c.layout {
			t.Errorf("%v: epoch %d, layout %+v; want %d, %d", c.epochs, a.Epoch(), a.Layout(), c.epoch, c.layout)
		}
	}

	// One that has gone meanwhile leaves no trace either.
	for _, others := range [][]uint64{{}, {7}} {
		a := recovering(t, append(others, maxEpoch)...)
		ref := ring.Ref{ID: uint64(len(others)), Incarnation: uint64(len(others)) + 1}
		a.Disconnected(2, ref, "lost")
		a.Probed(2, ref, fmt.Sprint(len(others)), Absent)
		a.Advance(time.Minute)
		if a.Epoch() > 10 {
			t.Errorf("epoch %d", a.Epoch())
		}
	}
}

// No number that is adopted leaves less room than a registry can use up.
func TestClaimsLeaveRoom(t *testing.T) {
	for _, r := range []Request{
		{Epoch: maxEpoch + 1, Incarnation: 1},
		{Epoch: 1, Incarnation: maxIncarnation + 1},
		{Epoch: 1<<64 - 1, Incarnation: 1<<64 - 1},
	} {
		a := recovering(t, 7)
		r.Addr, r.ID = "x", 9
		if _, err := a.Resume(1, r); !errors.Is(err, ErrEvicted) || err == ErrEvicted {
			t.Errorf("%+v: %v", r, err)
		}
		if a.epoch != 7 || a.lastInc != 1 {
			t.Errorf("%+v: epoch %d, incarnation %d", r, a.epoch, a.lastInc)
		}
	}
	a := recovering(t, 7)
	a.noteSeen(Request{Seen: 1<<64 - 1})
	if _, err := a.Resume(1, Request{Addr: "x", ID: 9, Epoch: 8, Incarnation: maxIncarnation}); err != nil {
		t.Fatal(err)
	}
	if next := a.nextIncarnation(1); next <= maxIncarnation || next > maxIncarnation+maxIncStep {
		t.Errorf("the next incarnation is %d", next)
	}
}

// What is over is remembered within a bound.
func TestOverIsBounded(t *testing.T) {
	a := recovering(t, 7)
	for i := range maxKnownDead / control.MaxOver * 2 {
		r := Request{Addr: "x", ID: 9, Incarnation: uint64(i) + 1, Epoch: 8} // each replaces the one before
		for j := range control.MaxOver {
			r.Over = append(r.Over, control.Over{ID: uint64(i) + 10, Incarnation: uint64(j) + 1e6, Epoch: 9})
		}
		if _, err := a.Resume(1, r); err != nil {
			t.Fatal(err)
		}
	}
	told := 0
	for _, e := range a.Take() {
		if e.Kind == OverFull {
			told++
		}
	}
	if len(a.knownDead) != maxKnownDead || told != 1 {
		t.Errorf("%d are remembered, it was told %d times", len(a.knownDead), told)
	}
	if _, err := a.Resume(1, Request{Addr: "y", ID: 10, Incarnation: 1e6 + 1, Epoch: 8}); !errors.Is(err, ErrEvicted) {
		t.Errorf("one that is over came back: %v", err)
	}
	a.Advance(time.Minute)
	if len(a.knownDead) > 0 || len(a.lastDead) > 0 || a.overFull {
		t.Errorf("%d are remembered after the recovery", len(a.knownDead))
	}
}

// A new registry has told the members that an incarnation is over. Then it takes back no earlier one of
// that ID, which they would refuse for ever. One that was told of as late an epoch comes back.
func TestEarlierThanTheDead(t *testing.T) {
	for epoch, want := range map[uint64]error{8: ErrEvicted, 9: nil} {
		a := recovering(t, 7)
		over := []control.Over{{ID: 5, Incarnation: 100, Epoch: 9}, {ID: 5, Incarnation: 40, Epoch: 9}}
		if _, err := a.Resume(1, Request{Addr: "x", ID: 9, Incarnation: 200, Epoch: 8, Over: over}); err != nil {
			t.Fatal(err)
		}
		for i, inc := range []uint64{99, 50, 40, 101} {
			_, err := a.Resume(1, Request{Addr: "y", ID: 5, Incarnation: inc, Epoch: epoch})
			if i == 3 && err != nil || i < 3 && epoch == 8 && !errors.Is(err, want) || i == 0 && epoch == 9 && err != nil {
				t.Errorf("incarnation %d of epoch %d: %v", inc, epoch, err)
			}
		}
	}
}
