package membership

import (
	"testing"
	"time"

	"github.com/x/ringdht/internal/ring"
)

// Of a silence only the time in which this process ran counts, up to a bound.
func TestSpare(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name                   string
		patience, most, silent time.Duration
		missed                 Missed
		want                   time.Duration
	}{
		{"just heard", 3 * s, 24 * s, 0, Missed{}, 3 * s},
		{"silent", 3 * s, 24 * s, 2 * s, Missed{}, s},
		{"dead", 3 * s, 24 * s, 3 * s, Missed{}, 0},
		{"dead for long", 3 * s, 24 * s, 30 * s, Missed{}, 0},
		{"half of it was missed", 3 * s, 24 * s, 4 * s, Missed{All: 2 * s}, s},
		{"most of it was missed", 3 * s, 24 * s, 20 * s, Missed{All: 19 * s}, 2 * s},
		{"most of it was missed, near the bound", 3 * s, 24 * s, 23 * s, Missed{All: 23 * s}, s},
		{"most of it was missed, beyond the bound", 3 * s, 24 * s, 24 * s, Missed{All: 24 * s}, 0},
		{"it was stopped for an hour", 3 * s, 24 * s, 3602 * s, Missed{3600 * s, 3600 * s}, s},
		{"it was stopped for an hour, and silent since", 3 * s, 24 * s, 3624 * s, Missed{3623 * s, 3600 * s}, 0},
	} {
		if got := TimeLeft(c.patience, c.most, c.silent, c.missed); got != c.want {
			t.Errorf("%s: %v left, want %v", c.name, got, c.want)
		}
	}
}

func TestMissedAdd(t *testing.T) {
	const lease = 3 * time.Second
	for _, c := range []struct {
		gap   time.Duration
		slept bool
		want  Missed
	}{
		{time.Second, false, Missed{All: time.Second}},
		{lease, false, Missed{All: lease}},
		{lease + 1, false, Missed{2*lease + 1, 2*lease + 1}}, // stopped: one more lease to come back
		{0, true, Missed{lease, lease}},
	} {
		m := Missed{All: time.Minute, Stopped: time.Second}
		was := m
		if m.Add(lease, c.gap, c.slept); m.Since(was) != c.want {
			t.Errorf("%v, %v: %+v, want %+v", c.gap, c.slept, m.Since(was), c.want)
		}
	}
}

// A registry that runs late all the time puts off every deadline up to the bound, and then
// declares the dead member dead.
func TestDeadlinesInAShortage(t *testing.T) {
	const lease, step = 4 * time.Second, 100 * time.Millisecond
	for _, c := range []struct {
		name   string
		missed time.Duration // of each step
		want   time.Duration // when the member is declared dead
	}{
		{"none", 0, lease},
		{"half", step / 2, 2 * lease},
		{"nearly all", step - step/16, Stretch * lease},
		{"all", step, Stretch * lease},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := New(Config{Bits: 16, Lease: lease, Draw: func(uint64) uint64 { return 0 }})
			var refs []ring.Ref
			for _, addr := range []string{"lost", "silent"} {
				m, err := a.Admit(1, 1, Request{Addr: addr, Want: true, ID: uint64(len(refs))})
				if err != nil {
					t.Fatal(err)
				}
				refs = append(refs, m.Ref())
			}
			a.Disconnected(1, refs[0], "lost")
			word := a.HeardNow(1)
			lost, silent := Time(0), Time(0)
			for now := Time(1); now < 2*Stretch*lease; now += step {
				a.Advance(now)
				if lost == 0 && a.State(refs[0]) == Unknown {
					lost = now
				}
				if silent == 0 && a.TimeLeft(now, refs[1], word) == 0 {
					silent = now
				}
				a.DidNotRun(c.missed, false)
			}
			for what, at := range map[string]Time{"lost": lost, "silent": silent} {
				if at < c.want-step || at > c.want+2*step {
					t.Errorf("the %s member is declared dead after %v, want %v", what, at, c.want)
				}
			}
		})
	}
}

// A member that reports that it runs late gets a longer timeout, up to a bound and for a
// while.
func TestRanLate(t *testing.T) {
	const lease = 3 * time.Second
	a := New(Config{Bits: 16, Lease: lease, Draw: func(uint64) uint64 { return 0 }})
	m, err := a.Admit(1, 1, Request{Addr: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ late, want time.Duration }{
		{0, 0}, {-time.Hour, 0}, {time.Millisecond, 0}, {lease / 4, lease}, {0, lease / 2}, {lease / 4, lease},
		{1 << 62, 3 * lease}, {lease, 3 * lease}, {0, 3 * lease / 2}, {0, 3 * lease / 4},
	} {
		if a.RanLate(m.Ref(), c.late); a.Timeout(m.Ref()) != lease+c.want {
			t.Errorf("late by %v: timeout %v, want %v", c.late, a.Timeout(m.Ref()), lease+c.want)
		}
	}
	for range 10 {
		a.RanLate(m.Ref(), 0)
	}
	if a.Timeout(m.Ref()) != lease {
		t.Error("its timeout stays longer for ever")
	}
	a.RanLate(ring.Ref{ID: 77}, lease) // not a member
}

// A registry that recovers, and is stopped just before the end, waits another lease for the
// members whose attempts to come back failed meanwhile.
func TestRebuildingAfterAStop(t *testing.T) {
	const lease = 3 * time.Second
	a := New(Config{Bits: 16, Lease: lease, Grace: 2 * lease, Draw: func(uint64) uint64 { return 0 }})
	a.Recover(1)
	woken := Time(2*lease + 10*time.Second)
	a.DidNotRun(10*time.Second, false)
	a.Advance(woken + lease)
	if !a.Recovering() {
		t.Error("it does not wait for members that had no registry to come back to")
	}
	a.Advance(woken + lease + 1)
	if a.Recovering() {
		t.Error("it waits for more than that")
	}
}
