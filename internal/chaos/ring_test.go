//go:build linux

package chaos

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// plan describes the ring of a scenario.
type plan struct {
	nodes   int
	entries int // of each table; 0 for as many as are useful
	rate    int // messages per second of the whole ring, 0 for no limit
	payload int
	floor   int    // a run with fewer messages is void: how many a second depends on the machine; rate/4 if 0
	role    string // of a node's process: "node" if it is empty
	drawn   bool   // each node has one sender, which draws sinks at random
	lease   time.Duration
	itself  bool                                      // the ring sets itself up
	state   bool                                      // the registry keeps its state in a directory
	secure  bool                                      // the ring is a secure one; then the registry has to keep its key
	place   func(node int) (namespace, listen string) // where a node runs; -1 is the registry
}

// ring is a registry and nodes, each a process.
type ring struct {
	t    *testing.T
	plan plan
	dir  string
	wg   sync.WaitGroup

	mu        sync.Mutex
	changed   *sync.Cond // on mu: an event came
	processes []*process // all that were ever started
	registry  *process
	addr      string // of the registry
	asks      uint64
	marks     uint64
	began     time.Time
	samples   []sample
	cutOff    []*process // cut off from the registry and all others
	wrong     []string
	ended     bool
}

// newRing starts a ring, and waits until all nodes can send to all others. A ring that sets
// itself up has a registry only.
func newRing(t *testing.T, p plan) *ring {
	t.Helper()
	if p.lease == 0 {
		p.lease = *flagLease
	}
	if p.payload == 0 {
		p.payload = 64
	}
	if p.floor == 0 {
		p.floor = p.rate / 4
	}
	p.secure = p.secure || *flagSecure
	p.state = p.state || p.secure
	if p.place == nil {
		p.place = func(int) (string, string) { return "", "127.0.0.1:0" }
	}
	r := &ring{t: t, plan: p, dir: t.ArtifactDir()}
	r.changed = sync.NewCond(&r.mu)
	t.Cleanup(r.close)
	r.startRegistry()
	if p.itself {
		return r
	}
	for range p.nodes {
		r.launchNode(terms{})
	}
	for _, n := range r.nodes() {
		r.joins(n)
	}
	r.registry.must(command{Do: "setup", Entries: p.entries})
	r.until("all nodes to be ready", func() bool {
		return !slices.ContainsFunc(r.living(), func(p *process) bool { return !p.ready })
	})
	return r
}

func (r *ring) close() {
	r.mu.Lock()
	r.ended = true
	for _, p := range r.processes {
		if p.running {
			p.killed = true
			p.cmd.Process.Kill()
		}
	}
	r.mu.Unlock()
	r.wg.Wait()
	for _, p := range r.processes {
		log, err := os.ReadFile(p.log)
		if err != nil || strings.Contains(string(log), "DATA RACE") || strings.Contains(string(log), "panic: ") {
			r.t.Errorf("the log of %s (%v) ends with\n%s", p.name, err, tail(p.log))
		}
		for line := range strings.Lines(string(log)) {
			if strings.Contains(line, `msg="led around"`) { // no member lies
				r.t.Errorf("%s: %s", p.name, line)
			}
		}
	}
}

// startRegistry starts a registry, at the port of the one before if there was one.
func (r *ring) startRegistry() {
	r.t.Helper()
	namespace, listen := r.plan.place(-1)
	if r.addr != "" {
		listen = r.addr
	}
	number := len(r.processes)
	name := fmt.Sprintf("registry %d", number)
	t := terms{Book: filepath.Join(r.dir, name), Listen: listen, Lease: r.plan.lease, Itself: r.plan.itself, Secure: r.plan.secure}
	if r.plan.state {
		t.State = filepath.Join(r.dir, "state")
	}
	p := r.start("registry", name, namespace, t)
	r.until(name+" to listen", func() bool { return p.addr != "" })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.registry, r.addr = p, p.addr
}

// launchNode starts a node's process and does not wait for it.
func (r *ring) launchNode(t terms) *process {
	r.t.Helper()
	number := len(r.processes)
	namespace, listen := r.plan.place(number - 1)
	t.Process = uint64(number)<<32 | uint64(time.Now().UnixNano())&0xffffffff
	t.Book = filepath.Join(r.dir, fmt.Sprintf("node %d", number))
	t.Listen, t.Registry = listen, r.joinAt(r.addr)
	return r.start(cmp.Or(r.plan.role, "node"), fmt.Sprintf("node %d", number), namespace, t)
}

// joinAt is what a node joins by at an address of the registry: that, or a join line.
func (r *ring) joinAt(addr string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, credentials, ok := strings.Cut(r.registry.line, "/"); ok {
		return "rdht1:" + addr + "/" + credentials
	}
	return addr
}

func (r *ring) joins(p *process) {
	r.t.Helper()
	r.until(p.name+" to join", func() bool { return len(p.held) > 0 || !p.running })
}

// addNode starts a node in a ring that is set up, and waits until it is ready. The node asks
// for an ID if one is given.
func (r *ring) addNode(id ...uint64) *process {
	r.t.Helper()
	t := terms{}
	if len(id) > 0 {
		t.AskID, t.ID = true, id[0]
	}
	p := r.launchNode(t)
	r.joins(p)
	r.settle()
	r.until(p.name+" to be ready", func() bool { return p.ready || !p.running })
	if r.sending() {
		p.must(r.traffic())
	}
	return p
}

// nodes lists the nodes that run and are not stopped.
func (r *ring) nodes() []*process {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.living()
}

// node is one of nodes, by its index.
func (r *ring) node(i int) *process {
	r.t.Helper()
	all := r.nodes()
	if i >= len(all) {
		r.t.Fatalf("there are only %d nodes", len(all))
	}
	return all[i]
}

// wait waits until done returns "". It calls done with mu held after every event. A result
// other than "" says what is missing.
func (r *ring) wait(limit time.Duration, done func() (missing string)) error {
	over := false
	timer := time.AfterFunc(limit, func() {
		r.mu.Lock()
		over = true
		r.changed.Broadcast()
		r.mu.Unlock()
	})
	defer timer.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		switch missing := done(); {
		case missing == "":
			return nil
		case over:
			return fmt.Errorf("waited %v in vain for %s", limit, missing)
		}
		r.changed.Wait()
	}
}

// until waits, within patience.
func (r *ring) until(what string, done func() bool) {
	r.t.Helper()
	r.need(func() string {
		if done() {
			return ""
		}
		return what
	})
}

func (r *ring) need(done func() string) {
	r.t.Helper()
	if err := r.wait(patience, done); err != nil {
		r.fatal(err)
	}
}

// fatal ends the test, and prints the state of all processes. Their stacks go to their logs,
// which go test -artifacts keeps.
func (r *ring) fatal(err error) {
	r.t.Helper()
	r.mu.Lock()
	text := err.Error() + r.describe()
	if len(r.wrong) > 0 {
		text += "\nbefore that: " + strings.Join(r.wrong, "\n")
	}
	for _, p := range r.processes {
		if p.running {
			p.killed = true
			p.cmd.Process.Signal(syscall.SIGQUIT)
			p.cmd.Process.Signal(syscall.SIGCONT)
		}
	}
	r.mu.Unlock()
	r.wait(10*time.Second, func() string {
		if slices.ContainsFunc(r.processes, func(p *process) bool { return p.running }) {
			return "the end of the processes"
		}
		return ""
	})
	r.t.Fatal(text)
}

// describe lists the processes; it needs mu.
func (r *ring) describe() string {
	var b strings.Builder
	for _, p := range r.processes {
		fmt.Fprintf(&b, "\n%-12s running %t, stopped %t, killed %t", p.name, p.running, p.stopped, p.killed)
		if p.role == "registry" {
			fmt.Fprintf(&b, ", members %v", p.members)
			continue
		}
		fmt.Fprintf(&b, ", held %v, ready %t, epoch %d, accepted %d, received %d, waits for %v, failures of Send %v",
			p.held, p.ready, p.state.Epoch, p.state.Accepted, p.state.Received, p.state.Waiting, p.state.Failures)
	}
	return b.String()
}

// complain notes a failure without ending the test; it needs mu.
func (r *ring) complain(format string, args ...any) {
	if !r.ended {
		r.wrong = append(r.wrong, fmt.Sprintf(format, args...))
	}
}

// removed complains about nodes that a registry removed from its list without a reason; it
// needs mu.
func (r *ring) removed(before, now []uint64) {
	for _, p := range r.living() {
		if slices.Contains(before, p.id()) && !slices.Contains(now, p.id()) && !p.evicted && !p.killed {
			r.complain("the registry removed %s (%d), which lives", p.name, p.id())
		}
	}
}

// settle waits until the members of the registry are exactly the nodes that live and can
// reach it, and all of them use the tables of that membership.
func (r *ring) settle() {
	r.t.Helper()
	r.membership()
	r.registry.must(command{Do: "settle"})
}

// membership waits until the members of the registry are exactly the nodes that live and
// can reach it.
func (r *ring) membership() {
	r.t.Helper()
	r.need(func() string {
		want := []uint64{}
		for _, p := range r.living() {
			if !slices.Contains(r.cutOff, p) {
				want = append(want, p.id())
			}
		}
		slices.Sort(want)
		if slices.Equal(r.registry.members, want) {
			return ""
		}
		return fmt.Sprintf("the registry to have the members %v, it has %v", want, r.registry.members)
	})
}

// all calls do for each process, concurrently.
func (r *ring) all(list []*process, do func(p *process) error) {
	r.t.Helper()
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	for i, p := range list {
		wg.Go(func() { errs[i] = do(p) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		r.fatal(err)
	}
}
