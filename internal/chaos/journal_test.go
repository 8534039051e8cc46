//go:build linux

package chaos

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// journal is the journal of one process.
type journal struct {
	name    string
	process uint64
	ids     []uint64 // that it had
	cut     bool     // it was killed: its calls need not have ended
	broken  bool     // it was killed, or may have been evicted: outcomes may be unknown
	steps   []step
}

func readJournal(path string) (steps []step, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var s step
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", path, lines.Text(), err)
		}
		steps = append(steps, s)
	}
	return steps, nil
}

// callKey names a call.
type callKey struct{ process, number uint64 }

// story is what all journals say of a call.
type story struct {
	id      uint64   // of the callee
	ends    []string // what the caller was told
	handled []string // the processes that have handled it
}

// tell compares what callers were told with what callees have done. It also counts how calls ended.
//
//   - Each call has one end, if its process was not killed.
//   - One that was not handled, by its error, no process has handled.
//   - An answered one was handled once; no other more than once.
//   - An outcome is unknown only if one of the two processes was killed, or may have been evicted.
func tell(journals []journal) (complaints []string, ends map[string]int) {
	complain := func(format string, args ...any) {
		complaints = append(complaints, fmt.Sprintf(format, args...))
	}
	calls := make(map[callKey]*story)
	broken := make(map[uint64]bool) // IDs
	for _, j := range journals {
		for _, id := range j.ids {
			broken[id] = broken[id] || j.broken
		}
		for _, s := range j.steps {
			if s.What == begun {
				calls[callKey{s.Process, s.Number}] = &story{id: s.ID}
			}
		}
	}
	ends = make(map[string]int)
	for _, j := range journals {
		for _, s := range j.steps {
			c := calls[callKey{s.Process, s.Number}]
			switch {
			case c == nil:
				complain("%s %s call %d of process %d, which was not made", j.name, s.What, s.Number, s.Process)
			case s.What == handled:
				c.handled = append(c.handled, j.name)
			case s.What != begun:
				c.ends = append(c.ends, s.What)
				ends[s.What]++
				if s.What == failed || s.What == unknown && !j.broken && !broken[s.ID] {
					complain("call %d of %s to %d: %s: %s", s.Number, j.name, s.ID, s.What, s.Error)
				}
			}
		}
	}
	for _, j := range journals {
		for _, s := range j.steps {
			if s.What != begun {
				continue
			}
			c := calls[callKey{s.Process, s.Number}]
			right := len(c.ends) == 1 || j.cut && len(c.ends) == 0
			switch {
			case slices.Contains(c.ends, answered):
				right = right && len(c.handled) == 1
			case slices.Contains(c.ends, notHandled):
				right = right && len(c.handled) == 0
			default:
				right = right && len(c.handled) <= 1
			}
			if !right {
				complain("call %d of %s to %d was handled by %q and ended as %q", s.Number, j.name, s.ID, c.handled, c.ends)
			}
		}
	}
	return complaints, ends
}

// journals reads the journals of all processes that have made calls, which must have ended.
func (r *ring) journals() (all []journal) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.processes {
		if p.role != "caller" {
			continue
		}
		steps, err := readJournal(p.terms.Book)
		if err != nil {
			r.t.Fatal(err)
		}
		j := journal{name: p.name, process: p.terms.Process, cut: p.killed, broken: p.killed || p.evicted, steps: steps}
		for _, i := range p.held {
			j.ids = append(j.ids, i.id)
		}
		all = append(all, j)
	}
	return all
}

// told ends all calls and all processes, and compares the journals.
func (r *ring) told() []journal {
	r.t.Helper()
	r.all(r.nodes(), func(p *process) error { _, err := p.ask(command{Do: "stop"}); return err })
	for _, p := range r.nodes() {
		r.mu.Lock()
		p.asked = true
		r.mu.Unlock()
		p.tell(command{Do: "quit"})
		p.ends()
	}
	all := r.journals()
	wrong, ends := tell(all)
	r.t.Logf("calls: %v", ends)
	if len(wrong) > 0 {
		r.t.Errorf("%d complaints\n%s", len(wrong), strings.Join(wrong[:min(20, len(wrong))], "\n"))
	}
	if ends[answered] < 100 {
		r.t.Errorf("void: %d calls were answered", ends[answered])
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.wrong) > 0 {
		r.t.Error(strings.Join(r.wrong, "\n"))
	}
	return all
}
