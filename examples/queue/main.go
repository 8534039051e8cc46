// Queue deals jobs to workers: a coordinator reads URLs, one a line, workers fetch them, and the
// coordinator prints the result of each, once. In terminals of their own:
//
//	go run ./examples/registry -setup auto 12345
//	go run ./examples/queue -worker -name ann localhost:12345
//	go run ./examples/queue localhost:12345 <urls.txt >results.txt
//
// In a secure ring the registry's join line takes the place of localhost:12345; the variable
// RINGDHT_JOIN keeps it off the command line. For other work change the function fetch.
//
// Each job has one result. Its work is done once, unless a worker dies or is silent for longer than the
// ring's lease: what it had may have run, and runs again. What reached a worker about to leave has not
// run. A job that may have run on three workers, all of them gone, may be what ended them, and fails. So
// does one that workers refuse three times.
//
// One coordinator is at work, since a name belongs to one member of the ring at a time. The next one
// takes over when it has left or is declared dead, and with -results FILE goes on where it ended. If it
// wakes up after that it ends; a result that it was about to write may be in the file twice.
//
// Interrupted (Ctrl-C, SIGTERM), workers finish their jobs and leave, and a coordinator waits for the jobs
// that run. A second interrupt ends either at once. The exit status is 1 if a job failed or is left.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/rpc"
	"github.com/x/ringdht/status"
)

const (
	Fetch    = rpc.Method[string, string]("fetch") // a job: a URL, and what it answered
	jobs     = "jobs"                              // the service of workers, and their tag: how many they take at once
	maxTries = 3                                   // how often a job may have run without an answer, or be refused
)

var (
	worker  = flag.Bool("worker", false, "be a worker; without it, a coordinator")
	name    = flag.String("name", "", "the `name` of a worker, which no other node may have")
	each    = flag.Int("each", 4, "`jobs` that a worker takes at once")
	results = flag.String("results", "", "a `file` of a coordinator for the results, in place of the output; jobs that have one there are done")
	grace   = flag.Duration("grace", 10*time.Second, "how long the jobs that run may take after an interrupt")
	client  = http.Client{Timeout: time.Minute} // a job that never ends would keep its place for ever
	errDone = errors.New("not all jobs went well")
	errOver = errors.New("this coordinator was declared dead or expelled, and another may be at work: start it again to stand by")
	away    = []error{rpc.ErrLeaving, ringdht.ErrGone, ringdht.ErrNoSuchNode, ringdht.ErrRefused, ringdht.ErrEvicted, ringdht.ErrNotMember, ringdht.ErrClosed} // why a job has not run, not for the job's sake
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("queue: ")
	slog.SetLogLoggerLevel(slog.LevelWarn)
	flag.Usage = func() { log.Print("usage: queue [flags] host:port (or a join line)"); flag.PrintDefaults() }
	flag.Parse()
	addr := cmp.Or(flag.Arg(0), os.Getenv("RINGDHT_JOIN"))
	if addr == "" || flag.NArg() > 1 || *each < 1 || *each > 256 || *worker && *results != "" || !*worker && *name != "" {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() { stop(); log.Print("Interrupted: it ends after the jobs that run.") })
	life := coordinate
	if *worker {
		life = work
	}
	if err := life(ctx, addr); err != nil {
		log.Fatal(err)
	}
}

// newNode returns a node that waits for its registry and for its name. The library logs what it waits for.
func newNode(name string, opts ...ringdht.NodeOption) *ringdht.Node {
	return ringdht.NewNode(append(opts, ringdht.WithName(name), ringdht.WithRetry(), ringdht.WithLogger(slog.Default()))...)
}

// work is a worker's life.
func work(ctx context.Context, addr string) error {
	n := newNode(*name, ringdht.WithTags(map[string]string{jobs: strconv.Itoa(*each)}))
	// One source gets three quarters of WithConcurrency from 8 on, and the coordinator is the only one.
	Fetch.Handle(rpc.New(n, jobs, rpc.WithConcurrency(2**each)), func(ctx context.Context, url string) (string, error) {
		log.Printf("Fetching %s", url)
		return fetch(ctx, url)
	})
	go ready(ctx, n)
	return n.Serve(ctx, *grace, addr) // after an interrupt it finishes its jobs, and leaves
}

// fetch is the work. ctx ends when its answer is of no use: this node was declared dead, or its caller.
func fetch(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	size, err := io.Copy(io.Discard, resp.Body)
	return fmt.Sprintf("%s, %d bytes", resp.Status, size), err
}

// coordinator deals jobs to workers. A job is with read or with one feed, so it has one result.
type coordinator struct {
	endpoint     *rpc.Endpoint
	waiting      chan job
	pending      sync.WaitGroup          // jobs without a result
	calls        sync.WaitGroup          // of feed
	finish       context.CancelCauseFunc // ends the dealing
	mu           sync.Mutex              // guards what follows
	out          *os.File
	done, failed int
}

// job is a line of the input.
type job struct {
	url, line string // line is that of the result, and names the job in a later run: a number, a tab, the URL
	tries     int    // how often it may have run, or was refused
}

// coordinate is a coordinator's life.
func coordinate(ctx context.Context, addr string) error {
	n := newNode("coordinator")
	defer n.Close()
	dealing, finish := context.WithCancelCause(ctx)
	c := &coordinator{endpoint: rpc.New(n, jobs), waiting: make(chan job), finish: finish, out: os.Stdout}
	if err := n.Join(ctx, addr); err != nil { // it stands by while another coordinator has the name
		return err
	}
	log.Printf("Node %v is at work.", n.Self())
	had, err := c.open(*results)
	if err != nil {
		return errors.Join(err, n.Leave(ctx)) // else the name is taken for a lease
	}
	go ready(dealing, n)
	go func() { finish(c.read(dealing, had)) }()
	go func() {
		for ev := range n.Watch(dealing) {
			if ev.Self && ev.Change.Over() {
				break
			}
		}
		finish(errOver) // unless it has finished
	}()
	c.deal(dealing)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), *grace)
	defer cancel()
	left := n.Leave(end) // it waits for the calls under way
	c.calls.Wait()
	log.Printf("%d jobs have a result. %d had one before. %d of all failed.", c.done, len(had), c.failed)
	if err = context.Cause(dealing); err == errDone && c.failed == 0 {
		err = nil
	}
	return errors.Join(err, left)
}

// deal gives jobs to the workers that come, until ctx ends.
func (c *coordinator) deal(ctx context.Context) {
	gone := make(map[uint64]context.CancelFunc) // by incarnation: a worker that comes back is another one
	for ev := range c.endpoint.Service().Watch(ctx) {
		log.Printf("Worker: %v.", ev)
		if ev.Change.Over() {
			gone[ev.Incarnation]()
			delete(gone, ev.Incarnation)
			continue
		}
		here, cancel := context.WithCancel(ctx)
		gone[ev.Incarnation] = cancel
		n, _ := strconv.Atoi(ev.Tags[jobs])
		for range min(max(n, 1), 256) {
			c.calls.Go(func() { c.feed(ctx, here, ev.MemberInfo) })
		}
	}
}

// feed gives a worker one job after the other, while it is here.
func (c *coordinator) feed(ctx, here context.Context, worker status.MemberInfo) {
	for here.Err() == nil {
		select {
		case <-here.Done():
		case j := <-c.waiting:
			for ctx.Err() == nil && !c.try(ctx, worker, &j) && !c.pass(ctx, here, j) {
			}
		}
	}
}

// pass gives a job to another feed, after a pause. It returns false if none takes it: all may have one.
func (c *coordinator) pass(ctx, here context.Context, j job) bool {
	var again <-chan time.Time
	select {
	case <-time.After(time.Second):
		again = time.After(time.Second)
	case <-here.Done():
	}
	select {
	case c.waiting <- j:
	case <-ctx.Done():
	case <-again:
		return false
	}
	return true
}

// try gives a worker a job, and reports whether it has its result. If ctx ends, Leave still waits for it.
func (c *coordinator) try(ctx context.Context, worker status.MemberInfo, j *job) bool {
	answer, err := Fetch.Call(context.WithoutCancel(ctx), c.endpoint, worker.ID, j.url)
	unknown := errors.Is(err, rpc.ErrUnknown)
	if unknown || errors.Is(err, rpc.ErrNotHandled) && !errors.Is(err, ringdht.ErrTooLarge) { // else it is the answer
		if unknown || !slices.ContainsFunc(away, func(why error) bool { return errors.Is(err, why) }) {
			j.tries++
		}
		if j.tries < maxTries {
			log.Printf("%s %s on node %v: %v", j.url, map[bool]string{true: "may have run", false: "has not run"}[unknown], worker, err)
			return false
		}
		err = fmt.Errorf("given up after %d tries: %w", j.tries, err)
	}
	c.result(*j, answer, err)
	return true
}

// read reads jobs, each when a worker has taken the one before, but for those that had a result.
func (c *coordinator) read(ctx context.Context, had map[string]bool) error {
	in := bufio.NewScanner(os.Stdin)
	for number := 1; in.Scan(); number++ {
		url := strings.TrimSpace(in.Text())
		j := job{url: url, line: fmt.Sprintf("%d\t%s", number, url)}
		if url == "" || had[j.line] {
			continue
		}
		c.pending.Add(1)
		select {
		case c.waiting <- j:
		case <-ctx.Done():
			return nil
		}
	}
	c.pending.Wait()
	return cmp.Or(in.Err(), errDone)
}

// open opens the file of results, if there is one, and returns the jobs that have theirs.
func (c *coordinator) open(name string) (had map[string]bool, err error) {
	if had = make(map[string]bool); name == "" {
		return had, nil
	}
	if c.out, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(c.out)
	whole := bytes.LastIndexByte(text, '\n') + 1
	c.failed = bytes.Count(text[:whole], []byte("\tfailed: "))
	for line := range bytes.Lines(text[:whole]) {
		had[string(line[:max(0, bytes.LastIndexByte(line, '\t'))])] = true
	}
	return had, errors.Join(err, c.out.Truncate(int64(whole))) // without a line that a kill cut short
}

// result writes the result of a job, in one line.
func (c *coordinator) result(j job, answer string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.pending.Done()
	if c.done++; err != nil {
		c.failed++
		answer = "failed: " + err.Error()
	}
	if _, err := fmt.Fprintf(c.out, "%s\t%s\n", j.line, strings.Join(strings.Fields(answer), " ")); err != nil {
		c.finish(err)
	}
}

// ready says when the node can be reached, or what is missing if that takes a while.
func ready(ctx context.Context, n *ringdht.Node) {
	defer time.AfterFunc(5*time.Second, func() { log.Print(cmp.Or(n.ReadyNow(), errors.New("ready"))) }).Stop()
	if n.Ready(ctx) == nil {
		log.Printf("Node %v is ready.", n.Self())
	}
}
