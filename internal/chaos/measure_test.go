//go:build linux

package chaos

import (
	"slices"
	"strings"
	"time"
)

// observation is the least time for which throughput is measured after a fault.
const observation = 500 * time.Millisecond

// during measures the effect of a fault. do causes the fault, and returns the time at which
// it was complete. The recovery counts from then, since a message sent before may have got
// through. settled says that the registry can see the fault: then the measurement lasts
// until the tables are those of the members that are left.
func (r *ring) during(f fault, settled bool, do func() time.Time) (recovery time.Duration) {
	r.t.Helper()
	begin := time.Now()
	r.mark(begin, false)
	at := do()
	r.mark(at, true)
	if settled {
		r.settle()
	}
	recovery = r.recovered()
	time.Sleep(time.Until(at.Add(observation)))
	gap, now := r.gap(), time.Now()
	rate, _ := r.throughput(begin, now)
	if f.ring == "" {
		f.ring = r.name()
	}
	r.t.Log(results.add(r.t.Name(), f, recovery, gap, rate))
	return recovery
}

// calm measures a time without a fault.
func (r *ring) calm(d time.Duration) {
	r.t.Helper()
	begin := time.Now()
	r.mark(begin, false)
	time.Sleep(d)
	r.recovered()
	rate, _ := r.throughput(begin, time.Now())
	r.t.Log(results.add(r.t.Name(), fault{r.name(), "none", "messages flow"}, 0, r.gap(), rate))
}

// finish ends the traffic and the processes in good order, and compares the books. The run
// counts only if there was enough traffic.
func (r *ring) finish() *verdict {
	r.t.Helper()
	mean, lowest := r.throughput(r.began, time.Now())
	nodes := r.nodes()
	r.all(nodes, func(p *process) error { _, err := p.ask(command{Do: "stop"}); return err })
	r.all(nodes, func(p *process) error { _, err := p.ask(command{Do: "flush"}); return err })
	r.mu.Lock()
	all := nodes
	if r.registry.running {
		all = append(all, r.registry)
	}
	for _, p := range all {
		p.asked = true
	}
	r.mu.Unlock()
	for _, p := range all {
		p.tell(command{Do: "quit"})
	}
	r.until("all processes to end", func() bool {
		return !slices.ContainsFunc(r.processes, func(p *process) bool { return p.running })
	})

	v := r.audit()
	results.ledger(r.t.Name(), mean, lowest, v)
	r.t.Logf("%s\n%.0f messages/s, %.0f in the lowest second", v, mean, lowest)
	if !v.exact() {
		r.t.Errorf("the books do not agree:\n%s", v.few())
	}
	if v.accepted < uint64(r.plan.floor) {
		r.t.Errorf("void: %d messages are less than %d, so the run tested nothing", v.accepted, r.plan.floor)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.wrong) > 0 {
		r.t.Error(strings.Join(r.wrong, "\n"))
	}
	return v
}

// audit compares the books of all nodes that were ever started.
func (r *ring) audit() *verdict {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var accounts []account
	for _, p := range r.processes {
		if p.role != "node" {
			continue
		}
		records, err := readBook(p.terms.Book)
		if err != nil {
			r.t.Fatal(err)
		}
		accounts = append(accounts, account{p.name, p.terms.Process, p.killed, p.held, records})
	}
	return audit(accounts)
}
