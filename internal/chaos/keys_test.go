//go:build linux

package chaos

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// All kinds of faults while all processes own keys, and send to them.
func TestKeys(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprint("secure=", secure), func(t *testing.T) {
			skipShort(t)
			t.Parallel()
			seed := *flagSeed
			if seed == 0 {
				seed = rand.Uint64()
			}
			t.Logf("again with: go test -v ./internal/chaos -run %s$ -chaos.seed %d -chaos.time %v", t.Name(), seed, *flagTime)
			rng := rand.New(rand.NewPCG(seed, 0))
			x := &mix{rng: rng, began: time.Now()}
			x.ring = newRing(t, plan{nodes: 5 + rng.IntN(4), rate: rateCalls, role: "keeper", secure: secure})
			x.calling()
			for time.Since(x.began) < *flagTime {
				x.step()
			}
			x.end()
			x.whole()
			x.kept(true)
		})
	}
}

// Owners come and go in good order. Each message is handled once, in order, and no state is lost.
func TestKeysWithoutFaults(t *testing.T) {
	skipShort(t)
	t.Parallel()
	r := newRing(t, plan{nodes: 4, rate: rateCalls, role: "keeper"})
	r.calling()
	x := &mix{ring: r, rng: rand.New(rand.NewPCG(1, 1)), began: time.Now()}
	for range 3 {
		time.Sleep(observation / 2)
		x.comes()
		leaver := r.node(0)
		x.leaves(leaver)
		leaver.ends()
	}
	x.whole()
	r.kept(false)
}

// A process stops for three leases, and wakes up as another life. What it held is lost, and what it does
// meanwhile is told.
func TestKeysOfAPastLife(t *testing.T) {
	skipShort(t)
	t.Parallel()
	r := newRing(t, plan{nodes: 4, rate: rateCalls, role: "keeper"})
	r.calling()
	owner := r.node(1)
	owner.mayBeEvicted()
	for lives := 1; lives <= 2; lives++ {
		time.Sleep(observation)
		stopped := owner.stop()
		time.Sleep(time.Until(stopped.Add(3 * r.plan.lease)))
		owner.cont()
		r.until(owner.name+" to rejoin", func() bool { return owner.rejoined == lives })
		r.whole()
	}
	time.Sleep(observation)
	r.kept(true)
}

// A process's cable is pulled out and put back.
func TestKeysAcrossAPartition(t *testing.T) {
	skipShort(t)
	t.Parallel()
	const nodes = 5
	net := newNetwork(t, nodes+1, 0)
	r := newRing(t, plan{nodes: nodes, rate: rateCalls, role: "keeper", place: net.place})
	r.calling()
	time.Sleep(observation)
	lone := r.node(2)
	at := slices.Index(r.processes, lone)
	r.markCutOff(lone)
	net.unplug(at)
	r.membership()
	time.Sleep(observation)
	net.plug(at)
	r.markCutOff()
	r.until("the node that was cut off to rejoin", func() bool { return lone.rejoined > 0 })
	r.whole()
	time.Sleep(observation)
	r.kept(true)
}

// keyJournal is the journal of a process.
type keyJournal struct {
	name    string
	process uint64
	cut     bool // it was killed: what it has sent need not have an outcome
	broken  bool // it was killed, or may have been evicted
	steps   []keyStep
}

// keyMessage names a message to a key.
type keyMessage struct {
	process uint64
	key     string
	n       uint64
}

// keyStory is what all journals say of a message.
type keyStory struct {
	handled []string // by which processes
	ends    []string
	again   bool
	cut     bool // its source was killed
}

// tellKeys compares what sources were told with what owners have done.
//
//   - A message that was not handled, by its error, no owner has handled.
//   - An outcome is unknown, and a message is handled twice, only if a process was killed, or may have
//     been evicted; and twice only with Again.
//   - All others are handled once.
//   - By the terms of a key: messages of a source come in order, those sent with Again after a fault
//     apart; no two lives have a term; and without faults the counter grows by one each time.
func tellKeys(journals []keyJournal) (complaints []string, ends map[string]int) {
	complain := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	broken := slices.ContainsFunc(journals, func(j keyJournal) bool { return j.broken })
	messages := make(map[keyMessage]*keyStory)
	for _, j := range journals {
		for _, s := range j.steps {
			if s.What == begun {
				messages[keyMessage{s.Process, s.Key, s.N}] = &keyStory{again: s.Again, cut: j.cut}
			}
		}
	}
	ends = make(map[string]int)
	byKey := make(map[string][]keyStep)
	for _, j := range journals {
		for _, s := range j.steps {
			m := messages[keyMessage{s.Process, s.Key, s.N}]
			switch {
			case m == nil:
				complain("%s %s message %d of process %d to %s, which was not sent", j.name, s.What, s.N, s.Process, s.Key)
			case s.What == handled:
				m.handled = append(m.handled, j.name)
				byKey[s.Key] = append(byKey[s.Key], s)
				ends[handled]++
			case s.What != begun:
				m.ends = append(m.ends, s.What)
				ends[s.What]++
				if s.What == failed || s.What == unknown && !broken {
					complain("message %d of %s to %s: %s: %s", s.N, j.name, s.Key, s.What, s.Error)
				}
			}
		}
	}
	for k, m := range messages {
		right := len(m.handled) == 1 || len(m.handled) > 1 && m.again && broken
		switch {
		case slices.Contains(m.ends, notHandled):
			right = len(m.handled) == 0 && len(m.ends) == 1
		case slices.Contains(m.ends, unknown), m.cut && !slices.Contains(m.ends, answered):
			right = right || len(m.handled) == 0
		}
		if len(m.handled) > 1 {
			ends["handled twice"]++
		}
		if !right || len(m.ends) > 1 {
			complain("message %d of process %d to %s, again %v, was handled by %q and ended as %q", k.n, k.process, k.key, m.again, m.handled, m.ends)
		}
	}
	for key, steps := range byKey {
		slices.SortStableFunc(steps, func(a, b keyStep) int { return cmp.Compare(a.Term, b.Term) })
		last := make(map[uint64]uint64)
		for i, s := range steps {
			if s.N <= last[s.Process] && !(s.Again && broken) {
				complain("message %d of process %d to %s was handled after %d", s.N, s.Process, key, last[s.Process])
			}
			last[s.Process] = s.N
			if i == 0 {
				continue
			}
			if before := steps[i-1]; before.Term == s.Term && before.Life != s.Life {
				complain("the lives %d and %d have handled messages to %s under term %d", before.Life, s.Life, key, s.Term)
			} else if s.Count != before.Count+1 && !(broken && before.Life != s.Life) {
				complain("the counter of %s is %d after %d", key, s.Count, before.Count)
			}
		}
	}
	return complaints, ends
}

// kept ends all messages and all processes, and compares the journals.
func (r *ring) kept(faults bool) {
	r.t.Helper()
	r.all(r.nodes(), func(p *process) error { _, err := p.ask(command{Do: "stop"}); return err })
	for _, p := range r.nodes() {
		r.mu.Lock()
		p.asked = true
		r.mu.Unlock()
		p.tell(command{Do: "quit"})
		p.ends()
	}
	wrong, ends := tellKeys(r.keyJournals())
	r.t.Logf("messages: %v", ends)
	if len(wrong) > 0 {
		r.t.Errorf("%d complaints\n%s", len(wrong), strings.Join(wrong[:min(20, len(wrong))], "\n"))
	}
	if ends[answered] < 100 {
		r.t.Errorf("void: %d messages were answered", ends[answered])
	}
	if !faults && ends[unknown]+ends["handled twice"] > 0 {
		r.t.Errorf("without a fault: %v", ends)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.wrong) > 0 {
		r.t.Error(strings.Join(r.wrong, "\n"))
	}
}

// keyJournals reads the journals of all keepers, which must have ended.
func (r *ring) keyJournals() (all []keyJournal) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.processes {
		if p.role != "keeper" {
			continue
		}
		f, err := os.Open(p.terms.Book)
		if err != nil {
			r.t.Fatal(err)
		}
		defer f.Close()
		j := keyJournal{name: p.name, process: p.terms.Process, cut: p.killed, broken: p.killed || p.evicted}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var s keyStep
			if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
				r.t.Fatalf("%s: %q: %v", p.terms.Book, lines.Text(), err)
			}
			j.steps = append(j.steps, s)
		}
		all = append(all, j)
	}
	return all
}
