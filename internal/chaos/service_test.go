//go:build linux

package chaos

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// service is a ring that sets itself up, with instances of a service, and clients that make
// requests at a fixed rate.
type service struct {
	*ring
	door      *door // by which processes reach the registry
	instances []*process
	clients   []*process
	began     time.Time
}

const (
	serviceSize    = 5
	serviceClients = 2
)

var serviceRate = scaled(1000) // requests a second of all clients

// newService starts a service, and waits until the clients know all instances.
func newService(t *testing.T, state, secure bool) *service {
	t.Helper()
	s := &service{ring: newRing(t, plan{itself: true, state: state, secure: secure, lease: *flagLease / 3}), door: newDoor(t)}
	s.door.open(s.addr)
	for range serviceSize {
		s.instances = append(s.instances, s.launch("instance", terms{Registry: s.joinAt(s.door.addr())}))
	}
	for range serviceClients {
		s.clients = append(s.clients, s.launch("client", terms{Registry: s.joinAt(s.door.addr())}))
	}
	for _, p := range append(slices.Clone(s.instances), s.clients...) {
		s.ready(p)
	}
	s.informed()
	s.began = time.Now()
	for _, c := range s.clients {
		c.must(command{Do: "send", Rate: serviceRate / serviceClients})
	}
	return s
}

// launch starts a process and does not wait for it.
func (s *service) launch(role string, t terms) *process {
	s.t.Helper()
	number := len(s.processes)
	name := fmt.Sprintf("%s %d", role, number)
	t.Process = uint64(number)
	t.Book = filepath.Join(s.dir, name)
	if t.Listen == "" {
		t.Listen = "127.0.0.1:0"
	}
	return s.start(role, name, "", t)
}

func (s *service) ready(p *process) {
	s.t.Helper()
	s.until(p.name+" to be ready", func() bool { return p.ready || !p.running })
}

// informed waits until all clients know exactly the instances that run.
func (s *service) informed() {
	s.t.Helper()
	s.need(func() string {
		want := []uint64{}
		for _, p := range s.instances {
			want = append(want, p.id())
		}
		slices.Sort(want)
		for _, c := range s.clients {
			if !slices.Equal(c.members, want) {
				return fmt.Sprintf("%s to know the instances %v, it knows %v", c.name, want, c.members)
			}
		}
		return ""
	})
}

// down asks an instance to leave, and does not wait.
func (s *service) down(i int) { s.t.Helper(); s.instances[i].terminate() }

// up waits for the end of an instance, and starts it again, with its port and ID or with new
// ones. It does not wait for it. The instance reaches the registry by the door that is given.
func (s *service) up(i int, same bool, d *door) {
	s.t.Helper()
	old := s.instances[i]
	old.ends()
	t := terms{Registry: s.joinAt(d.addr())}
	if same {
		t.Listen, t.AskID, t.ID = old.addr, true, old.id()
	}
	s.instances[i] = s.launch("instance", t)
}

// registryEnds ends the registry.
func (s *service) registryEnds(how syscall.Signal) {
	s.t.Helper()
	if how == syscall.SIGKILL {
		s.registry.kill()
		return
	}
	s.registry.terminate()
	s.registry.ends()
}

// restarted waits until an instance is ready and known, as an operator does before the next
// one, and until the ring is whole.
func (s *service) restarted(i int, same bool, id uint64) {
	s.t.Helper()
	s.ready(s.instances[i])
	s.settle()
	s.informed()
	if got := s.instances[i].id(); same != (got == id) {
		s.t.Errorf("%s had the ID %d and has %d", s.instances[i].name, id, got)
	}
}

// roll restarts one instance. meanwhile runs while the instance restarts.
func (s *service) roll(i int, same bool, meanwhile func()) {
	s.t.Helper()
	id := s.instances[i].id()
	s.down(i)
	if meanwhile != nil {
		meanwhile()
	}
	s.up(i, same, s.door)
	s.restarted(i, same, id)
}

// measure measures the requests while do runs.
func (s *service) measure(what string, do func()) {
	s.t.Helper()
	began := time.Now()
	s.each("mark")
	do()
	took := time.Since(began)
	s.each("calls")
	var longest, usual time.Duration
	s.mu.Lock()
	for _, c := range s.clients {
		longest, usual = max(longest, c.calls.Longest), max(usual, c.calls.Usual)
	}
	s.mu.Unlock()
	s.t.Log(results.restart(s.t.Name(), what, s.plan.state, took, usual, longest))
	s.checkLongest(longest)
}

// checkLongest complains about a request that waited for the registry. That takes two leases, which
// members have to come back, and more. The rest is for a busy machine.
func (s *service) checkLongest(took time.Duration) {
	s.t.Helper()
	if took > 10*s.plan.lease {
		s.t.Errorf("a request took %v", took)
	}
}

func (s *service) each(do string) {
	s.t.Helper()
	s.all(s.clients, func(c *process) error { _, err := c.ask(command{Do: do}); return err })
}

// balance ends all processes in good order, and compares the ledgers and the logs.
func (s *service) balance() {
	s.t.Helper()
	took := time.Since(s.began)
	s.each("stop")
	for _, c := range s.clients {
		s.mu.Lock()
		c.asked = true
		s.mu.Unlock()
		c.tell(command{Do: "quit"})
		c.ends()
	}
	for _, p := range append(slices.Clone(s.instances), s.registry) {
		p.terminate()
		p.ends()
	}
	var clients, instances []statement
	sum := calls{Refused: make(map[string]uint64)}
	for _, p := range s.processes {
		if p.role == "registry" {
			continue
		}
		entries, err := readLedger(p.terms.Book)
		if err != nil {
			s.t.Fatal(err)
		}
		x := statement{p.name, p.terms.Process, p.calls.Made, entries}
		if p.role == "instance" {
			instances = append(instances, x)
			continue
		}
		clients = append(clients, x)
		sum.add(p.calls)
		s.checkLongest(p.calls.Longest)
	}
	s.t.Logf("%d requests in %.1f s, %d answered, %d failed, %d given back, %d found no instance, Send refused %v",
		sum.Made, took.Seconds(), sum.Answered, sum.Failed, sum.GivenBack, sum.Waited, sum.Refused)
	if wrong := reconcile(clients, instances); len(wrong) > 0 {
		s.t.Errorf("the ledgers do not agree: %d complaints\n%s", len(wrong), strings.Join(wrong[:min(20, len(wrong))], "\n"))
	}
	if sum.Answered != sum.Made || sum.Waited > 0 {
		s.t.Errorf("%d of %d requests have no answer, %d found no instance", sum.Made-sum.Answered, sum.Made, sum.Waited)
	}
	if rate := float64(sum.Made) / took.Seconds(); rate < 0.9*float64(serviceRate) {
		s.t.Errorf("void: %.0f requests a second", rate)
	}
	s.t.Logf("warnings:%s", tally(s.warnings()))
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.wrong) > 0 {
		s.t.Error(strings.Join(s.wrong, "\n"))
	}
}

func (sum *calls) add(c calls) {
	sum.Made += c.Made
	sum.Answered += c.Answered
	sum.Failed += c.Failed
	sum.GivenBack += c.GivenBack
	sum.Waited += c.Waited
	for what, n := range c.Refused {
		sum.Refused[what] += n
	}
}
