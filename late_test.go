package ringdht

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
)

// A registry that runs late gives up none of those that it has not heard for that, and
// gives up the dead in the end.
func TestRegistryThatRunsLate(t *testing.T) {
	timed(t, 0, six, func(t *testing.T, tr *testRing, net *MemoryNetwork) {
		time.Sleep(lease)
		net.Hold("n5", "registry") // as if its goroutines had not had their turn
		start := time.Now()
		for time.Since(start) < 4*lease { // seven eighths of the time it does not run
			time.Sleep(lease / 8)
			tr.registry.mu.Lock()
			tr.registry.members.Missed(lease*7/64, false)
			tr.registry.mu.Unlock()
		}
		if n := len(tr.registry.Members()); n != 6 {
			t.Fatalf("%d members of 6: %v", n, tr.registry.events)
		}
		tr.gone(60) // it runs in time again, and hears nothing all the same
		took(t, "finding who is silent", start, 5*lease+lease/8)
		net.Heal()
	})
}

// A registry whose machine slept gives all members another lease to come back.
func TestRegistryThatSlept(t *testing.T) {
	timed(t, 0, six, func(t *testing.T, tr *testRing, net *MemoryNetwork) {
		r := tr.registry
		time.Sleep(lease)
		net.Hold("n5", "registry")
		time.Sleep(lease * 5 / 8)
		start := time.Now()
		r.mu.Lock()
		r.members.Missed(0, true)
		r.mu.Unlock()
		tr.gone(60)
		if d := time.Since(start); d < lease || d > 2*lease {
			t.Errorf("it was given up %v after the registry had slept", d)
		}
		net.Heal()
	})
}

// A registry whose time of day is set forward again and again gives up a silent member all
// the same.
func TestRegistryWhoseClockIsSetAgainAndAgain(t *testing.T) {
	base := time.Now()
	var ran time.Duration // since base
	steps := 0            // of a minute each
	r, err := NewRegistry(WithLease(lease), commonOption(func(c *handshake.Config) {
		c.Wall = func() time.Time { return setForward(base.Add(ran), time.Duration(steps)*time.Minute) }
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	m, err := r.members.Admit(1, 1, membership.Request{Addr: "a:1"})
	if err != nil {
		t.Fatal(err)
	}
	last := r.members.Word(1)
	r.tick.ran, r.tick.period = r.cfg.Now(), lease/32 // as Listen would
	for i := 1; r.members.Spare(1+ran, m.Ref(), last) > 0; i++ {
		if ran > 10*lease {
			t.Fatal("a member that has been silent for ten leases is still waited for")
		}
		ran += r.tick.period
		if i%10 == 0 {
			steps++
		}
		r.catchUp()
		r.tick.ran = r.cfg.Now()
	}
	if ran < 2*lease { // one sleep is believed
		t.Errorf("it is given up after %v", ran)
	}
}

// A node says how late it was, and its registry has more patience with it.
func TestNodeThatIsLateSaysSo(t *testing.T) {
	timed(t, 0, six, func(t *testing.T, tr *testRing, net *MemoryNetwork) {
		time.Sleep(lease)
		inc := tr.nodes[0].inc.Load()
		patience := func() time.Duration {
			tr.registry.mu.Lock()
			defer tr.registry.mu.Unlock()
			return tr.registry.members.Patience(ring.Ref{ID: inc.self.ID, Life: inc.self.Life})
		}
		if p := patience(); p != lease {
			t.Fatal(p)
		}
		inc.late.mu.Lock()
		inc.late.ran = inc.late.ran.Add(-lease / 4)
		inc.late.mu.Unlock()
		time.Sleep(lease/2 + lease/10)
		if p := patience(); p < lease+lease/2 || p > 2*lease {
			t.Errorf("its registry has %v", p)
		}
		time.Sleep(10 * lease)
		if p := patience(); p != lease {
			t.Errorf("its registry has %v for ever", p)
		}
	})
}

// A lateness is worth a word if it is a quarter of a lease, and once a minute.
func TestLatenessInWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lateness
		const period = lease / 6
		said := 0
		tick := func(late time.Duration, n int) {
			for range n {
				time.Sleep(period + late)
				if l.tick(time.Now(), period, lease) > 0 {
					said++
				}
			}
		}
		tick(time.Hour, 1) // the first is no interval
		tick(0, 100)
		tick(lease/64, 500)
		if said != 0 {
			t.Error("it says of a little that it is much")
		}
		was := l.all(time.Now(), period, lease)
		tick(lease/4, 40) // half a minute and more
		if said != 1 && said != 2 {
			t.Errorf("it says so %d times", said)
		}
		if got := l.all(time.Now(), period, lease).Since(was); got.All != 10*lease || got.Stopped != 0 {
			t.Errorf("missed %+v", got)
		}
		time.Sleep(period + lease/8)
		if got := l.all(time.Now(), period, lease).Since(was); got.All != 10*lease+lease/8 {
			t.Errorf("missed %+v with what is missed now", got)
		}
	})
}

// The registry's log is told of a shortage, and not of the sum of what was a little late,
// now and then, in an hour.
func TestRegistryLatenessInWords(t *testing.T) {
	const period = lease / 32
	var k ticking
	now := time.Now()
	said := 0
	miss := func(late time.Duration, ticks int) {
		now = now.Add(late)
		k.late += late
		if k.worthAWord(now, lease) {
			said++
			k.late, k.said = 0, now
		}
		for range ticks {
			now = now.Add(period)
			k.fade(now, lease)
		}
	}
	for range 1000 {
		miss(lease/64, 32) // in each lease
	}
	if said != 0 {
		t.Errorf("it says %d times that a little is much", said)
	}
	for range 20 {
		miss(lease/32, 1)
	}
	if said != 1 {
		t.Errorf("it says %d times that much is missed", said)
	}
}

// An answer confirms the beat that it answers, and none that was sent later: a node that
// was stopped is a member if a beat of after that is answered.
func TestWhichBeatIsAnswered(t *testing.T) {
	var p pulse
	now := time.Now()
	beat := func() time.Time { now = now.Add(time.Second); p.asked(now); return now }
	p.begin(now)
	before := 0
	for range maxWaiting + 5 {
		beat()
		before++
	}
	now = now.Add(time.Hour)
	if !p.wakes(now) || p.wakes(now) {
		t.Error("it wakes once")
	}
	beat() // finds no room either
	before++
	for range before {
		if p.answered() {
			t.Error("an answer to an earlier beat, or to one that is not remembered, says that it is a member")
		}
	}
	at := beat()
	if !p.answered() || p.alive != at {
		t.Error("the answer to a later one does not")
	}
	beat()
	if p.answered() {
		t.Error("it is said twice")
	}
}
