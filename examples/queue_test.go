//go:build unix

package examples_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/rpc"
)

// site is what the workers fetch from. It counts the visits of each page, and holds the pages of hold
// until they are let go.
type site struct {
	*httptest.Server
	t       *testing.T
	arrived chan string // pages that are held

	mu     sync.Mutex
	visits map[string]int
	held   map[string]chan struct{}
}

func newSite(t *testing.T, hold ...string) *site {
	s := &site{t: t, arrived: make(chan string, 100), visits: make(map[string]int), held: make(map[string]chan struct{})}
	for _, page := range hold {
		s.held[page] = make(chan struct{})
	}
	s.Server = httptest.NewServer(s)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	page := strings.TrimPrefix(r.URL.Path, "/")
	s.mu.Lock()
	s.visits[page]++
	held := s.held[page]
	s.mu.Unlock()
	if held != nil {
		s.arrived <- page
		select {
		case <-held:
		case <-r.Context().Done():
		}
	}
	fmt.Fprintf(w, "page %s", page)
}

// arrives waits until a page that is held is fetched.
func (s *site) arrives(page string) {
	s.t.Helper()
	if got := s.next(); got != page {
		s.t.Fatalf("page %s was fetched, not %s", got, page)
	}
}

// next returns the next page that is held.
func (s *site) next() string {
	s.t.Helper()
	select {
	case page := <-s.arrived:
		return page
	case <-time.After(2 * time.Minute):
		s.t.Fatal("no page that is held was fetched")
		return ""
	}
}

// release lets a page go, also later visits.
func (s *site) release(page string) { close(s.held[page]) }

// visited demands how often the pages 1 to n were fetched: once, but for the other ones.
func (s *site) visited(n int, other map[string]int) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range n {
		page := fmt.Sprint(i + 1)
		want, ok := other[page]
		if !ok {
			want = 1
		}
		if s.visits[page] != want {
			s.t.Errorf("page %s was fetched %d times, not %d", page, s.visits[page], want)
		}
	}
}

// jobs writes the file with the pages 1 to n.
func (s *site) jobs(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s/%d\n", s.URL, i+1)
	}
	name := filepath.Join(s.t.TempDir(), "urls.txt")
	if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return name
}

// results demands that each of the pages 1 to n has one line in a file.
func (s *site) results(name string, n int) {
	s.t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		s.t.Fatal(err)
	}
	got := strings.Split(strings.TrimSpace(string(text)), "\n")
	want := make([]string, n)
	for i := range want {
		body := fmt.Sprintf("page %d", i+1)
		want[i] = fmt.Sprintf("%d\t%s/%d\t200 OK, %d bytes", i+1, s.URL, i+1, len(body))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		s.t.Errorf("the results are\n%s", text)
	}
}

// queueRing is a secure ring for the programs.
type queueRing struct {
	t      *testing.T
	binary string
	line   string
}

func newQueueRing(t *testing.T) *queueRing {
	if testing.Short() {
		t.Skip("builds and starts processes")
	}
	t.Parallel()
	bin := build(t)
	return &queueRing{t, filepath.Join(bin, "queue"), secureRing(t, bin, "1s")}
}

// start starts the program with an input. Its lines are those of both outputs.
func (r *queueRing) start(name, input string, args ...string) *process {
	r.t.Helper()
	return startMerged(r.t, name, input, r.binary, append(args, r.line)...)
}

// worker starts a worker, and waits until it is in the ring.
func (r *queueRing) worker(name string, args ...string) *process {
	r.t.Helper()
	p := r.start(name, "", append([]string{"-worker", "-name", name}, args...)...)
	p.expect(`is ready\.$`)
	return p
}

// Workers are killed, stopped and interrupted, and so is the coordinator: each job has one result, and
// only what was under way at a death was done again.
func TestQueueProgram(t *testing.T) {
	r := newQueueRing(t)
	site := newSite(t, "2", "20", "40")
	urls, results := site.jobs(60), filepath.Join(t.TempDir(), "results")
	first := r.start("first", urls, "-results", results)
	first.expect(`at work\.$`)
	second := r.start("second", urls, "-results", results)
	second.expect(`WARN cannot join yet.*has the name \\"coordinator\\"`)

	ann := r.worker("ann", "-each", "1")
	first.expect(`^queue: Worker: node \d+, ann, joined\.$`)
	site.arrives("2")
	ann.signal(syscall.SIGKILL)
	first.expect(`/2 may have run on node \d+ \(ann\): `)

	bob := r.worker("bob", "-each", "1")
	site.arrives("2")
	site.release("2")
	site.arrives("20")
	bob.signal(syscall.SIGSTOP) // for longer than the lease
	first.expect(`/20 may have run on node \d+ \(bob\): `)

	cid := r.worker("cid", "-each", "1")
	site.arrives("20")
	cid.signal(syscall.SIGTERM)
	cid.expect(`^queue: Interrupted: `)
	site.release("20") // it finishes this job
	cid.ends(0, ``)

	bob.signal(syscall.SIGCONT)
	first.expect(`^queue: Worker: node \d+, bob, joined\.$`)
	site.arrives("40")
	first.signal(syscall.SIGKILL)
	second.expect(`^queue: Node \d+ \(coordinator\) is at work\.$`)
	site.arrives("40")
	site.release("40")
	second.ends(0, `^queue: 21 jobs have a result\. 39 had one before\. 0 of all failed\.$`)
	site.results(results, 60)
	site.visited(60, map[string]int{"2": 2, "20": 2, "40": 2})
	bob.signal(syscall.SIGTERM)
	bob.ends(0, ``)
}

// A coordinator that was declared dead ends when it wakes up. Its successor has the other jobs done.
// The file that they share has a result already, and half of one.
func TestQueueProgramCoordinatorStops(t *testing.T) {
	r := newQueueRing(t)
	site := newSite(t, "5")
	urls, results := site.jobs(10), filepath.Join(t.TempDir(), "results")
	had := fmt.Sprintf("1\t%s/1\t200 OK, 6 bytes\n2\t%s/2\t20", site.URL, site.URL)
	if err := os.WriteFile(results, []byte(had), 0o644); err != nil {
		t.Fatal(err)
	}
	first := r.start("first", urls, "-results", results)
	r.worker("ann", "-each", "1")
	site.arrives("5")
	first.signal(syscall.SIGSTOP)
	second := r.start("second", urls, "-results", results)
	site.arrives("5") // for the second one, since the first was declared dead
	site.release("5")
	second.ends(0, `^queue: 6 jobs have a result\. 4 had one before\. 0 of all failed\.$`)
	first.signal(syscall.SIGCONT)
	first.ends(1, `^queue: this coordinator was declared dead or expelled`)
	site.results(results, 10)
	site.visited(10, map[string]int{"1": 0, "5": 2})
}

// A coordinator that is interrupted prints the results of the jobs under way, and takes no other.
func TestQueueProgramInterrupted(t *testing.T) {
	r := newQueueRing(t)
	site := newSite(t, "3", "4")
	c := r.start("coordinator", site.jobs(10))
	ann := r.worker("ann", "-each", "2")
	pages := []string{site.next(), site.next()}
	c.signal(syscall.SIGTERM)
	c.expect(`^queue: Interrupted: `)
	for _, page := range pages {
		site.release(page)
	}
	c.ends(1, `(?s)^3\t\S+/3\t200 OK, 6 bytes$.*^queue: 4 jobs have a result\. 0 had one before\. 0 of all failed\.$`)
	ann.signal(syscall.SIGINT)
	ann.ends(0, ``)
	site.visited(4, nil)
	site.mu.Lock()
	defer site.mu.Unlock()
	if len(site.visits) != 4 {
		t.Errorf("visits: %v", site.visits)
	}
}

// A job that may have ended three workers fails, and does not end a fourth. A job that fails has a
// result as well.
func TestQueueProgramFailures(t *testing.T) {
	r := newQueueRing(t)
	site := newSite(t, "1")
	urls := filepath.Join(t.TempDir(), "urls")
	if err := os.WriteFile(urls, []byte(site.URL+"/1\n\nhttp://127.0.0.1:1/nobody\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	results := filepath.Join(t.TempDir(), "results")
	c := r.start("coordinator", urls, "-results", results)
	for i := range 3 {
		w := r.worker(fmt.Sprint("mortal-", i), "-each", "1")
		site.arrives("1")
		w.signal(syscall.SIGKILL)
		if i < 2 {
			c.expect(`/1 may have run on node \d+ \(mortal-\d\): `)
		}
	}
	last := r.worker("last")
	c.ends(1, `^queue: 2 jobs have a result\. 0 had one before\. 2 of all failed\.$`)
	last.signal(syscall.SIGTERM)
	last.ends(0, ``)
	text, err := os.ReadFile(results)
	want := regexp.MustCompile(`(?m)^1\t\S+/1\tfailed: given up after 3 tries: .*may have been handled(?s:.*)^3\thttp://127.0.0.1:1/nobody\tfailed: node \d+: Get .*refused$`)
	lines := strings.SplitAfter(string(text), "\n")
	slices.Sort(lines)
	if !want.MatchString(strings.Join(lines, "")) {
		t.Errorf("the results are\n%s%v", text, err)
	}
	if n := site.visits["1"]; n != 3 {
		t.Errorf("page 1 was fetched %d times", n)
	}
}

// A worker that does not know the method stays in the ring and runs nothing. The only one tries a job
// again itself, and the job fails after three tries.
func TestQueueProgramRefused(t *testing.T) {
	r := newQueueRing(t)
	n := ringdht.NewNode(ringdht.WithTags(map[string]string{"jobs": "2"}))
	defer n.Close()
	rpc.Method[string, string]("other").Handle(rpc.New(n, "jobs"), func(context.Context, string) (string, error) { return "", nil })
	if err := n.Join(t.Context(), r.line); err != nil {
		t.Fatal(err)
	}
	results := filepath.Join(t.TempDir(), "results")
	c := r.start("coordinator", newSite(t).jobs(2), "-results", results)
	c.ends(1, `^queue: 2 jobs have a result\. 0 had one before\. 2 of all failed\.$`)
	text, err := os.ReadFile(results)
	if n := strings.Count(string(text), "\tfailed: given up after 3 tries: "); n != 2 {
		t.Errorf("%d jobs were given up; the results are\n%s%v", n, text, err)
	}
}

// A coordinator that cannot open its results leaves in good order, so its name is free at once.
func TestQueueProgramNoResults(t *testing.T) {
	r := newQueueRing(t)
	registry := start(t, "registry", filepath.Join(filepath.Dir(r.binary), "registry"), "-log", "error", "127.0.0.1:0")
	_, groups := registry.expect(`listening on (127\.0\.0\.1:\d+)`)
	r.line = groups[1]
	c := r.start("coordinator", newSite(t).jobs(1), "-results", filepath.Join(t.TempDir(), "no", "results"))
	c.ends(1, `no such file or directory$`)
	registry.enter("list-events")
	if _, groups := registry.expect(`^ *\d+ +\S+ +\d+ +(left|dead)\b`); groups[1] != "left" {
		t.Error("the registry has declared the coordinator dead")
	}
}

// A worker takes as many jobs at once as it says.
func TestQueueProgramEach(t *testing.T) {
	r := newQueueRing(t)
	var pages []string
	for i := range 16 {
		pages = append(pages, fmt.Sprint(i+1))
	}
	site := newSite(t, pages...)
	c := r.start("coordinator", site.jobs(16))
	r.worker("ann", "-each", "16")
	for range pages {
		site.next()
	}
	for _, page := range pages {
		site.release(page)
	}
	c.ends(0, `^queue: 16 jobs have a result\. 0 had one before\. 0 of all failed\.$`)
}
