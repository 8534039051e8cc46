//go:build unix

package examples_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	webTime  = flag.Duration("web.time", 0, "how long TestWebProgram restarts instances, at least each once")
	webPause = flag.Duration("web.pause", 0, "how long it waits between two restarts")
	webRate  = flag.Int("web.rate", 300, "how many requests it makes a second")
	webLease = flag.String("web.lease", "20s", "the lease of its ring: a busy machine may stop a process for longer than 3 s")
)

// balancer sends requests to instances in turn, and asks the next one if that fails. It does not know
// which instances are restarted.
type balancer struct {
	client http.Client
	addrs  []string
	primes []int // up to each number

	mu      sync.Mutex
	took    []time.Duration
	again   int            // requests that a second instance has answered
	refused map[string]int // by why the first one did not
	wrong   []string       // requests that failed at all instances, or that an instance that was ready did not answer right
}

const webNumbers = 500

func newBalancer(addrs []string) *balancer {
	b := &balancer{addrs: addrs, primes: make([]int, webNumbers), refused: make(map[string]int)}
	b.client.Transport = &http.Transport{MaxIdleConnsPerHost: 100}
	b.client.Timeout = time.Minute
	for n := 1; n < webNumbers; n++ {
		b.primes[n] = b.primes[n-1]
		if big.NewInt(int64(n)).ProbablyPrime(0) {
			b.primes[n]++
		}
	}
	return b
}

// load makes requests until ctx ends, and waits for all answers.
func (b *balancer) load(ctx context.Context) (requests int) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	begun := time.Now()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return requests
		}
		for due := int(time.Since(begun).Seconds() * float64(*webRate)); requests < due; requests++ {
			first, number := requests, rand.IntN(webNumbers)
			wg.Go(func() { b.request(first, number) })
		}
	}
}

// request makes a request, first of one instance.
func (b *balancer) request(first, number int) {
	begun := time.Now()
	for i := range b.addrs {
		text, err := b.ask(fmt.Sprintf("http://%s/primes/%d", b.addrs[(first+i)%len(b.addrs)], number))
		b.mu.Lock()
		switch {
		case err == nil && text != fmt.Sprintln(b.primes[number]):
			b.wrong = append(b.wrong, fmt.Sprintf("%d: %q", number, text))
		case err != nil && strings.HasPrefix(err.Error(), "5") && !strings.Contains(err.Error(), "overlay is not ready"):
			b.wrong = append(b.wrong, fmt.Sprintf("%d: %v", number, err))
		case err != nil && i == len(b.addrs)-1:
			b.wrong = append(b.wrong, fmt.Sprintf("%d: %v", number, err))
		case err != nil && i == 0:
			b.refused[reason(err)]++
		case err == nil && i > 0:
			b.again++
		}
		if err == nil || i == len(b.addrs)-1 {
			b.took = append(b.took, time.Since(begun))
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
	}
}

// reason is the end of an error's first line.
func reason(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line[strings.LastIndex(line, ": ")+1:]
}

func (b *balancer) ask(url string) (string, error) {
	resp, err := b.client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s\n%s", resp.Status, text)
	}
	return string(text), err
}

// webRing is a ring of five instances.
type webRing struct {
	t            *testing.T
	binary, line string
	addrs        []string
	instances    []*process
	unknown, not int // failed calls between instances: of unknown outcome, and not handled
}

func newWebRing(t *testing.T) *webRing {
	if testing.Short() {
		t.Skip("builds and starts processes")
	}
	bin := build(t)
	r := &webRing{t: t, binary: filepath.Join(bin, "web"), line: secureRing(t, bin, *webLease)}
	for i := range 5 {
		r.addrs = append(r.addrs, freeAddr(t))
		r.instances = append(r.instances, r.start(i))
	}
	for _, p := range r.instances {
		r.ready(p)
	}
	return r
}

func (r *webRing) start(i int) *process {
	name := fmt.Sprint("web-", i)
	return startMerged(r.t, name, "", r.binary, "-drain", "0", "-http", r.addrs[i], "-name", name, r.line)
}

// ready waits until an instance is part of the ring. From then on its lines are kept until it ends,
// however many they are.
func (r *webRing) ready(p *process) {
	r.t.Helper()
	p.expect(`is ready\.$`)
	lines, kept := p.lines, make(chan string)
	p.lines = kept
	go func() {
		defer close(kept)
		var all []string
		for line := range lines {
			all = append(all, line)
		}
		for _, line := range all {
			select {
			case kept <- line:
			case <-r.t.Context().Done():
				return
			}
		}
	}()
}

// note counts the calls that failed, by the last lines of an instance.
func (r *webRing) note(lines []string) {
	for _, line := range lines {
		switch {
		case !strings.Contains(line, "does not answer for"):
		case strings.Contains(line, "may have been handled"):
			r.unknown++
		default:
			r.not++
		}
	}
}

// probe returns the status of a path.
func (r *webRing) probe(i int, path string) int {
	r.t.Helper()
	resp, err := http.Get("http://" + r.addrs[i] + path)
	if err != nil {
		r.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// All five instances are restarted in turn while they get requests: each is answered, by the next
// instance if the first one is just away. docs/rpc.md has figures of
//
//	go test -v -run 'TestWebProgram$' ./examples -web.time 3m -web.rate 1000 -web.lease 3s
func TestWebProgram(t *testing.T) {
	r := newWebRing(t)
	for i := range r.addrs {
		if live, ready := r.probe(i, "/livez"), r.probe(i, "/readyz"); live != 200 || ready != 200 {
			t.Errorf("instance %d: /livez is %d, /readyz %d", i, live, ready)
		}
	}
	b := newBalancer(r.addrs)
	ctx, stop := context.WithCancel(t.Context())
	requests := make(chan int)
	begun := time.Now()
	go func() { requests <- b.load(ctx) }()
	restarts := 0
	for restarts < len(r.addrs) || time.Since(begun) < *webTime {
		i := restarts % len(r.addrs)
		r.instances[i].signal(syscall.SIGTERM)
		r.note(r.instances[i].ends(0, ``))
		r.instances[i] = r.start(i)
		r.ready(r.instances[i])
		restarts++
		time.Sleep(*webPause) // for figures; nothing depends on it
	}
	stop()
	n := <-requests
	took := time.Since(begun)
	for _, p := range r.instances {
		p.signal(syscall.SIGTERM)
	}
	for _, p := range r.instances {
		r.note(p.ends(0, ``))
	}
	b.report(t, n, restarts, took)
	t.Logf("calls between instances that the next owner answered: %d not handled, %d of unknown outcome", r.not, r.unknown)
	if r.unknown > 0 {
		t.Errorf("%d calls have no known outcome, though no instance died", r.unknown)
	}
}

// report demands that each request has its answer.
func (b *balancer) report(t *testing.T, n, restarts int, took time.Duration) {
	t.Helper()
	slices.Sort(b.took)
	at := func(p float64) time.Duration {
		return b.took[int(p*float64(len(b.took)-1))].Round(10 * time.Microsecond)
	}
	t.Logf("%d requests in %.0f s, %.0f a second; %d restarts; %d answered by a second instance %v; p50 %v, p99 %v, p99.9 %v, longest %v",
		n, took.Seconds(), float64(n)/took.Seconds(), restarts, b.again, b.refused, at(.5), at(.99), at(.999), at(1))
	if len(b.took) != n {
		t.Errorf("%d of %d requests have ended", len(b.took), n)
	}
	if len(b.wrong) > 0 {
		t.Errorf("%d requests have failed, such as %s", len(b.wrong), b.wrong[0])
	}
}

// Instances that are killed take their part of the cache along, and nothing else.
func TestWebProgramKilled(t *testing.T) {
	r := newWebRing(t)
	b := newBalancer(r.addrs)
	ctx, stop := context.WithCancel(t.Context())
	requests := make(chan int)
	begun := time.Now()
	go func() { requests <- b.load(ctx) }()
	for i := range r.instances {
		r.instances[i].signal(syscall.SIGKILL)
		r.note(r.instances[i].ends(-1, ``))
		r.instances[i] = r.start(i)
		r.ready(r.instances[i])
	}
	stop()
	b.report(t, <-requests, len(r.instances), time.Since(begun))
	for _, p := range r.instances {
		p.signal(syscall.SIGTERM)
		r.note(p.ends(0, ``))
	}
	t.Logf("calls between instances that the next owner answered: %d not handled, %d of unknown outcome", r.not, r.unknown)
}
