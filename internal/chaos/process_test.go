//go:build linux

package chaos

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// process is a registry or a node, from outside.
type process struct {
	// static after start
	ring  *ring
	role  string
	name  string
	terms terms
	log   string // file
	cmd   *exec.Cmd
	in    io.WriteCloser

	// under ring.mu
	running  bool
	stopped  bool // by SIGSTOP
	killed   bool
	asked    bool // it was asked to end
	touched  bool // by a fault: its gaps do not count
	evicted  bool // it may have been evicted, for a good reason
	addr     string
	line     string // of the registry of a secure ring
	held     []identity
	ready    bool
	rejoined int
	members  []uint64    // of a registry; the instances that a client knows
	pairs    [][2]uint64 // of a registry: degraded
	state    state       // of a node
	calls    calls       // of a client
	answers  map[uint64]event
}

// launcher starts processes from a thread that lives as long as the test binary. They die
// with the thread that started them, so no stopped process is left when the tests are
// aborted.
var launcher = func() chan func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
}()

func launch(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	done := make(chan error)
	launcher <- func() { done <- cmd.Start() }
	return <-done
}

// start starts a process, in a network namespace if one is given, and does not wait for its
// events.
func (r *ring) start(role, name, namespace string, t terms) *process {
	r.t.Helper()
	self, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	argv := []string{self}
	if namespace != "" {
		argv = append([]string{"ip", "netns", "exec", namespace}, argv...)
	}
	given, err := json.Marshal(t)
	if err != nil {
		r.t.Fatal(err)
	}
	p := &process{
		ring: r, role: role, name: name, terms: t, log: t.Book + ".log", running: true,
		cmd: exec.Command(argv[0], argv[1:]...), answers: make(map[uint64]event),
	}
	p.cmd.Env = append(os.Environ(), envRole+"="+role, envTerms+"="+string(given))
	if raceEnabled && os.Getenv("GORACE") == "" {
		p.cmd.Env = append(p.cmd.Env, "GORACE=atexit_sleep_ms=50") // of a second
	}
	log, err := os.Create(p.log)
	if err != nil {
		r.t.Fatal(err)
	}
	defer log.Close()
	p.cmd.Stderr = log
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		r.t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := launch(p.cmd); err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	r.processes = append(r.processes, p)
	r.mu.Unlock()
	r.wg.Go(func() { p.readEvents(out) })
	return p
}

// readEvents is the goroutine that reads the events of the process, until it ends.
func (p *process) readEvents(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			e = event{What: "wrong", Error: fmt.Sprintf("it printed %q", lines.Text())}
		}
		p.ring.mu.Lock()
		p.apply(e)
		p.ring.changed.Broadcast()
		p.ring.mu.Unlock()
	}
	err := p.cmd.Wait()
	p.ring.mu.Lock()
	defer p.ring.mu.Unlock()
	p.running, p.stopped = false, false
	if !p.killed && (err != nil || !p.asked) {
		p.ring.complain("%s ended by itself: %v; its log ends with\n%s", p.name, err, tail(p.log))
	}
	p.ring.changed.Broadcast()
}

// apply applies one event; it needs ring.mu.
func (p *process) apply(e event) {
	switch e.What {
	case "listening":
		p.addr, p.line = e.Addr, e.Line
	case "joined":
		p.addr = e.Addr
		p.held = append(p.held, identity{e.ID, e.Incarnation})
	case "rejoined":
		p.held = append(p.held, identity{e.ID, e.Incarnation})
		p.rejoined++
		if !p.evicted {
			p.ring.complain("%s was evicted though it lived all the time, and is now %v", p.name, p.held)
		}
	case "ready":
		p.ready = true
		if e.Error != "" && !p.asked {
			p.ring.complain("%s did not become ready: %s", p.name, e.Error)
		}
	case "members":
		p.ring.removed(p.members, e.Members)
		p.members = e.Members
	case "degraded":
		p.pairs = e.Pairs
	case "progress":
		p.state = *e.State
	case "serving":
		p.members = e.Members
	case "calls":
		p.calls = *e.Calls
	case "answer":
		p.answers[e.Ask] = e
	default:
		p.ring.complain("%s: %s: %s", p.name, e.What, e.Error)
	}
}

// id is the latest ID of the process; it needs ring.mu.
func (p *process) id() uint64 {
	if len(p.held) == 0 {
		return 0
	}
	return p.held[len(p.held)-1].id
}

// tell sends a command. It is no error if the process ends meanwhile.
func (p *process) tell(c command) {
	line, err := json.Marshal(c)
	if err != nil {
		panic(err) // a command is plain data
	}
	p.in.Write(append(line, '\n'))
}

// ask sends a command and waits for its answer.
func (p *process) ask(c command) (event, error) {
	r := p.ring
	r.mu.Lock()
	r.asks++
	c.Ask = r.asks
	r.mu.Unlock()
	if c.Timeout == 0 {
		c.Timeout = patience
	}
	p.tell(c)
	var answer event
	var got bool
	err := r.wait(c.Timeout+10*time.Second, func() string {
		if answer, got = p.answers[c.Ask]; !got && p.running {
			return fmt.Sprintf("%s to answer %q", p.name, c.Do)
		}
		return ""
	})
	switch {
	case err != nil:
		return answer, err
	case !got:
		return answer, fmt.Errorf("%s ended instead of answering %q", p.name, c.Do)
	case answer.Error != "":
		return answer, fmt.Errorf("%s: %s: %s", p.name, c.Do, answer.Error)
	}
	return answer, nil
}

// must is ask for commands that must not fail.
func (p *process) must(c command) event {
	p.ring.t.Helper()
	e, err := p.ask(c)
	if err != nil {
		p.ring.fatal(err)
	}
	return e
}

// signal sends a signal, and returns the time after it.
func (p *process) signal(s syscall.Signal) time.Time {
	p.ring.t.Helper()
	p.ring.mu.Lock()
	p.touched = true
	switch s {
	case syscall.SIGKILL:
		p.killed = true
	case syscall.SIGSTOP:
		p.stopped = true
	case syscall.SIGCONT:
		p.stopped = false
	}
	p.ring.mu.Unlock()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.ring.t.Fatalf("%s: %v: %v", p.name, s, err)
	}
	return time.Now()
}

// kill ends a process as a crash does, and returns when it has ended.
func (p *process) kill() time.Time {
	p.ring.t.Helper()
	p.signal(syscall.SIGKILL)
	p.ring.until("the end of "+p.name, func() bool { return !p.running })
	return time.Now()
}

// stop suspends a process.
func (p *process) stop() time.Time { p.ring.t.Helper(); return p.signal(syscall.SIGSTOP) }

// cont resumes a process.
func (p *process) cont() time.Time { p.ring.t.Helper(); return p.signal(syscall.SIGCONT) }

// terminate asks a process to end, as an operator does, and does not wait.
func (p *process) terminate() {
	p.ring.t.Helper()
	p.ring.mu.Lock()
	p.asked = true
	p.ring.mu.Unlock()
	p.signal(syscall.SIGTERM)
}

// ends waits for the end of a process. Another status than 0 is a complaint, see readEvents.
func (p *process) ends() {
	p.ring.t.Helper()
	p.ring.until("the end of "+p.name, func() bool { return !p.running })
}

// mayBeEvicted says that the registry may declare this node dead from now on.
func (p *process) mayBeEvicted() {
	p.ring.mu.Lock()
	defer p.ring.mu.Unlock()
	p.evicted, p.touched = true, true
}

func tail(file string) string {
	const most = 3000
	b, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-most):])
}

// living lists the nodes that run and are not stopped; it needs mu.
func (r *ring) living() []*process {
	return slices.DeleteFunc(slices.Clone(r.processes), func(p *process) bool {
		return p.role == "registry" || !p.running || p.stopped || p.asked
	})
}
