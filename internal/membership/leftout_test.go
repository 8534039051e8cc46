package membership

import (
	"testing"
	"time"

	"github.com/x/ringdht/internal/ring"
)

const step = 250 * time.Millisecond

// driven drives a ring of small, whose lease is a second. Members confirm what they are told, but
// for those for which deaf returns true.
type driven struct {
	*Authority
	now  Time
	deaf func(ref ring.Ref) bool
	seen map[Kind][]ring.Ref
}

func drive(a *Authority, deaf func(ref ring.Ref) bool) *driven {
	return &driven{a, 100 * time.Second, deaf, make(map[Kind][]ring.Ref)}
}

// run lets a time pass. It stops early when so is true.
func (d *driven) run(limit time.Duration, so func() bool) (took time.Duration) {
	for start := d.now; ; d.now += step {
		for range 3 {
			d.Advance(d.now)
			for _, e := range d.Take() {
				d.seen[e.Kind] = append(d.seen[e.Kind], e.Ref)
				if !d.deaf(e.Ref) {
					confirm(d.Authority, e)
				}
			}
		}
		if so != nil && so() || d.now-start >= limit {
			return d.now - start
		}
	}
}

func (d *driven) settled() bool { return len(d.Unsettled()) == 0 }

// A member that confirms nothing holds up the ring for ten leases. Then the ring does without it,
// and says so once. Another set-up does not wait for it again. It counts as soon as it confirms all.
func TestStuckMemberIsLeftOut(t *testing.T) {
	a := small(t, 5)
	deaf := a.ref(30)
	d := drive(a, func(ref ring.Ref) bool { return ref == deaf })
	a.Setup(d.now, ring.Layout{K: 1})
	if took := d.run(time.Minute, d.settled); took < 10*time.Second || took > 11*time.Second {
		t.Fatalf("settled after %v", took)
	}
	if list := a.AllLeftOut(); len(list) != 1 || list[0].Member.ID != 30 || list[0].Why == "" || list[0].At == 0 {
		t.Errorf("left out: %+v", list)
	}
	if a.State(deaf) != Stuck || len(d.seen[LeftOut]) != 1 || len(d.seen[Dead]) > 0 {
		t.Errorf("state %d, events %v", a.State(deaf), d.seen)
	}
	a.Setup(d.now, ring.Layout{K: 2})
	if took := d.run(time.Minute, d.settled); took > step {
		t.Errorf("the next set-up was settled after %v", took)
	}
	d.run(20*time.Second, nil)
	if len(d.seen[LeftOut]) != 1 {
		t.Errorf("it was left out %d times", len(d.seen[LeftOut]))
	}
	a.Linked(deaf, a.find(deaf).sent-1)
	if a.WhyLeftOut(deaf) == "" {
		t.Error("it counts, and has not confirmed its latest table")
	}
	a.Linked(deaf, a.find(deaf).sent)
	d.run(step, nil)
	if a.State(deaf) != Active || len(a.AllLeftOut()) > 0 || len(d.seen[CountsAgain]) != 1 || !d.settled() {
		t.Errorf("state %d, left out %v, unsettled %v", a.State(deaf), a.AllLeftOut(), a.Unsettled())
	}
}

// A newcomer that never links is left out, and so are members of which it is unknown. Newcomers
// behind a stuck member become ready, and are not held up by it a second time.
func TestNewcomersDoNotWaitForStuckMembers(t *testing.T) {
	a := small(t, 5)
	deaf := map[uint64]bool{30: true, 33: true}
	d := drive(a, func(ref ring.Ref) bool { return deaf[ref.ID] })
	admit(t, a, 33) // links never
	behind := admit(t, a, 35)
	took := d.run(time.Minute, func() bool { return len(d.seen[Ready]) > 0 })
	if took < 10*time.Second || took > 13*time.Second || d.seen[Ready][0] != behind {
		t.Fatalf("ready after %v: %v", took, d.seen)
	}
	if took := d.run(time.Minute, d.settled); took > 2*time.Second || len(a.AllLeftOut()) != 2 {
		t.Errorf("settled after %v, left out %+v", took, a.AllLeftOut())
	}
	admit(t, a, 36)
	if took := d.run(time.Minute, func() bool { return len(d.seen[Ready]) > 1 }); took > time.Second {
		t.Errorf("the next one was ready after %v", took)
	}
	a.Leave(d.now, a.ref(50))
	if took := d.run(time.Minute, func() bool { return len(d.seen[Left]) > 0 }); took > step {
		t.Errorf("another one has left after %v", took)
	}
}

// A member that goes on is not left out, however many tables it is behind.
func TestSlowMemberIsNotLeftOut(t *testing.T) {
	a := small(t, 5)
	slow := a.ref(30)
	d := drive(a, func(ref ring.Ref) bool { return ref == slow })
	for i := range 30 {
		told := a.find(slow).sent
		for range 9 {
			a.Setup(d.now, ring.Layout{K: 1 + i%2})
			d.run(time.Second, nil)
		}
		a.Linked(slow, max(told, a.find(slow).owesEpoch))
		d.run(0, nil)
	}
	if len(d.seen[LeftOut]) > 0 {
		t.Errorf("left out after %v: %v", d.now, a.AllLeftOut())
	}
}

// A member that confirms old tables one by one gains no time by that.
func TestOldTablesAreNoProgress(t *testing.T) {
	a := small(t, 5)
	liar := a.ref(30)
	d := drive(a, func(ref ring.Ref) bool { return ref == liar })
	for i := range 100 {
		a.Setup(d.now, ring.Layout{K: 1 + i%2})
		d.run(0, nil)
	}
	took := d.run(time.Hour, func() bool {
		if m := a.find(liar); m.acked < m.sent {
			a.Linked(liar, m.acked+1)
		}
		return len(d.seen[LeftOut]) > 0 || d.settled()
	})
	if took > 21*time.Second {
		t.Errorf("it held up the ring for %v", took)
	}
}

// A member says over and over that it cannot reach its successor, until no detour is left. After ten
// leases the pair is no reason to wait, and one of the two is named.
func TestTroubleOverAndOver(t *testing.T) {
	for name, c := range map[string]struct {
		members   int
		from      []uint64
		to        uint64
		leftOut   uint64
		takenBack bool // and says at times, for a moment, that it can
	}{
		"of two":                     {members: 2, from: []uint64{10}, to: 20, leftOut: 10},
		"of two, with pauses":        {members: 2, from: []uint64{10}, to: 20, leftOut: 10, takenBack: true},
		"of five about all":          {members: 5, from: []uint64{10}, to: 0, leftOut: 10},
		"of five about one of them":  {members: 5, from: []uint64{10, 20, 40, 50}, to: 30, leftOut: 30},
		"of five, with pauses, more": {members: 5, from: []uint64{10}, to: 0, leftOut: 10, takenBack: true},
	} {
		t.Run(name, func(t *testing.T) {
			a := small(t, c.members)
			d := drive(a, func(ring.Ref) bool { return false })
			round := 0
			complain := func() {
				round++
				for _, from := range c.from {
					for _, m := range a.All() {
						if m.ID == from || c.to != 0 && m.ID != c.to {
							continue
						}
						if c.takenBack && round%8 == 0 {
							a.Trouble(d.now, a.ref(from), m.Ref(), "")
							if round%16 == 0 {
								continue
							}
						}
						a.Trouble(d.now, a.ref(from), m.Ref(), "refused")
					}
				}
			}
			blocks := func() bool { complain(); d.Advance(d.now); return len(a.WithoutDetour()) > 0 }
			d.run(2*time.Second, blocks)
			if len(a.WithoutDetour()) == 0 {
				t.Fatal("there is a detour")
			}
			took := d.run(time.Minute, func() bool { complain(); return len(d.seen[LeftOut]) > 0 })
			if took > 16*time.Second || len(a.WithoutDetour()) > 0 {
				t.Fatalf("left out after %v: %v", took, a.WithoutDetour())
			}
			if ref := d.seen[LeftOut][0]; ref.ID != c.leftOut {
				t.Errorf("left out is %d", ref.ID)
			}
			if !d.settled() {
				t.Error(a.Unsettled())
			}
			// It takes all back, and counts at once.
			for _, from := range c.from {
				for _, m := range a.All() {
					a.Trouble(d.now, a.ref(from), m.Ref(), "")
				}
			}
			d.run(step, nil)
			if len(a.AllLeftOut()) > 0 {
				t.Errorf("left out: %+v", a.AllLeftOut())
			}
			d.run(11*time.Second, nil)
			if len(a.cut) > 0 || len(a.owing) > 0 {
				t.Errorf("%d and %d members are kept", len(a.cut), len(a.owing))
			}
		})
	}
}

// Time in which the registry did not run does not count, and a member that claims a slow pace has no
// longer than the others.
func TestPatienceIsTheRegistrys(t *testing.T) {
	a := small(t, 5)
	deaf := a.ref(30)
	d := drive(a, func(ref ring.Ref) bool { return ref == deaf })
	a.Heartbeat(deaf, 100)
	a.Setup(d.now, ring.Layout{K: 1})
	d.run(9*time.Second, nil)
	a.DidNotRun(30*time.Second, false)
	d.now += 30 * time.Second
	if took := d.run(time.Minute, d.settled); took < step || took > 3*time.Second {
		t.Errorf("left out %v after a stop", took)
	}
	if p := a.Patience(deaf); p != 10*time.Second {
		t.Errorf("patience is %v", p)
	}
}

// Members that come and go while they owe a confirmation leave nothing behind.
func TestOwingIsBounded(t *testing.T) {
	a := small(t, 3)
	d := drive(a, func(ref ring.Ref) bool { return ref.ID == 35 })
	for range 100 {
		ref := admit(t, a, 35)
		d.run(step, nil)
		a.Silent(d.now, ref)
		d.run(step, nil)
	}
	if len(a.owing) > 0 || a.Len() != 3 {
		t.Errorf("%d of %d members owe something", len(a.owing), a.Len())
	}
}
