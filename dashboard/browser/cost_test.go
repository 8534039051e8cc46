package browser

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/css"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/google/pprof/profile"

	"github.com/x/ringdht"
	"github.com/x/ringdht/memnet"
)

var cost = flag.Int("cost", 0, "measure what an open page costs a ring of 1,000 nodes in so many pairs of rounds")

// TestCost bounds what an open page costs a fully loaded ring of 1,000 nodes: the share of
// the process's CPU time that goes into the handler, by a profile. That is exact enough for
// every day. With -cost, rounds with a page open and rounds without take turns as well. They
// are the final measure, but a few rounds cannot tell 2 % from noise.
func TestCost(t *testing.T) {
	r := newRing(t, memnet.New(2), ringdht.WithLease(20*time.Second))
	r.grow(1000)
	r.setup(0)
	address := r.serve("/")
	p := newPage(t, nil)
	p.visit(address)
	p.quiet()
	before := eval[int](p, `Number(document.body.dataset.paints)`)
	var all, ours int // samples of 10 ms each
	stop := r.flood()
	for attempt := 0; attempt < 4 && all < 300; attempt++ { // a busy machine leaves this process few samples
		var out bytes.Buffer
		if err := pprof.StartCPUProfile(&out); err != nil {
			t.Fatal(err)
		}
		m := r.measure(p)
		pprof.StopCPUProfile()
		a, o := handlerSamples(t, &out)
		all, ours = all+a, ours+o
		t.Logf("%.0f messages per second; the process has %.2f CPUs, the browser %.2f", m.rate, m.own, m.browser)
	}
	stop()
	painted := eval[int](p, `Number(document.body.dataset.paints)`) - before
	t.Logf("the handler took %.2f %% of the process's time, %d samples of %d, with %d updates", 100*float64(ours)/float64(all), ours, all, painted)
	if n := float64(ours); n-2*math.Sqrt(n) > 0.02*float64(all) { // two standard deviations over the limit
		t.Errorf("the handler takes more than 2 %% of the ring's time")
	}
	if painted < 2 {
		t.Errorf("the page was told of %d updates only", painted)
	}
	if *cost == 0 {
		return
	}

	rounds := map[bool][]round{}
	for pair := range *cost {
		for _, open := range []bool{pair%2 == 0, pair%2 != 0} {
			if open {
				p.navigate(address)
				wait[bool](p, "an update", `Number(document.body?.dataset.paints) > 1`)
			} else {
				p.navigate("about:blank")
			}
			stop := r.flood()
			rounds[open] = append(rounds[open], r.measure(p))
			stop()
		}
	}
	for name, of := range map[string]func(round) float64{
		"messages per second":                      func(r round) float64 { return r.rate },
		"messages per second of the process's CPU": func(r round) float64 { return r.perCPU },
		"seconds of the browser's CPU in each":     func(r round) float64 { return r.browser },
		"seconds of the process's own CPU in each": func(r round) float64 { return r.own },
	} {
		without, with := pick(rounds[false], of), pick(rounds[true], of)
		t.Logf("%s: without a page %s, with one %s, %+.2f %%", name, figures(without), figures(with), 100*(median(with)/median(without)-1))
	}
}

// flood lets all nodes send as much as they can, each to three others, until it is stopped.
// It leaves no idle CPU for pages to use.
func (r *ring) flood() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	const workers = 32 // enough to load two cores; 1,000 would delay timers
	for w := range workers {
		wg.Go(func() {
			for at := 0; ctx.Err() == nil; at++ {
				for i := w; i < len(r.nodes); i += workers {
					sink := r.nodes[(i+1+(i*7+at%3*331)%(len(r.nodes)-1))%len(r.nodes)].ID()
					for range 64 {
						r.nodes[i].Send(ctx, sink, []byte("hello"))
					}
				}
			}
		})
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// round holds the figures of three seconds, per second.
type round struct{ rate, perCPU, own, browser float64 }

func (r *ring) measure(p *page) round {
	time.Sleep(time.Second) // streams open first
	start, was, own, browsers := time.Now(), r.handled.Load(), ownCPU(), browserCPU(p)
	time.Sleep(3 * time.Second)
	messages, took, cpu := float64(r.handled.Load()-was), time.Since(start).Seconds(), (ownCPU() - own).Seconds()
	return round{messages / took, messages / cpu, cpu / took, (browserCPU(p) - browsers).Seconds() / took}
}

func pick(rounds []round, of func(round) float64) (list []float64) {
	for _, r := range rounds {
		list = append(list, of(r))
	}
	return list
}

func median(of []float64) float64 {
	s := slices.Sorted(slices.Values(of))
	return (s[len(s)/2] + s[(len(s)-1)/2]) / 2
}

func figures(of []float64) string {
	return fmt.Sprintf("%.4g (%.4g to %.4g)", median(of), slices.Min(of), slices.Max(of))
}

// quiet turns off the events that the browser sends this process: they would cost more than
// the page under test.
func (p *page) quiet() {
	p.t.Helper()
	p.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		for _, command := range []cdp.Command[cdp.Empty, cdp.Empty]{css.Disable, dom.Disable, network.Disable} {
			if _, err := chromedp.Call(ctx, command, cdp.Empty{}); err != nil {
				return err
			}
		}
		return nil
	}))
}

// handlerSamples counts a profile's samples, and those with the handler, its server or a
// snapshot in their stacks. Garbage collection on their behalf is not included.
func handlerSamples(t *testing.T, out *bytes.Buffer) (all, ours int) {
	t.Helper()
	prof, err := profile.Parse(out)
	if err != nil {
		t.Fatal(err)
	}
	of := func(line profile.Line) bool {
		name := line.Function.Name
		return strings.HasPrefix(name, "github.com/x/ringdht/dashboard.") || strings.HasPrefix(name, "net/http.") ||
			name == "github.com/x/ringdht.(*Registry).Snapshot"
	}
	for _, s := range prof.Sample {
		all += int(s.Value[0])
		if slices.ContainsFunc(s.Location, func(l *profile.Location) bool { return slices.ContainsFunc(l.Line, of) }) {
			ours += int(s.Value[0])
		}
	}
	return all, ours
}

// ownCPU returns the CPU time of this process.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// browserCPU returns the CPU time of each of the browser's processes.
func browserCPU(p *page) (sum time.Duration) {
	root := chromedp.FromContext(p.ctx).Browser.Process().Pid
	parents, times := make(map[int]int), make(map[int]time.Duration)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		body, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		pid, _, _ := strings.Cut(string(body), " ")
		_, rest, _ := strings.Cut(string(body[bytes.LastIndexByte(body, ')'):]), " ")
		f := strings.Fields(rest) // the fields from the third on, see proc(5)
		id, _ := strconv.Atoi(pid)
		parents[id], _ = strconv.Atoi(f[1])
		user, _ := strconv.Atoi(f[11])
		system, _ := strconv.Atoi(f[12])
		times[id] = time.Duration(user+system) * (time.Second / 100) // USER_HZ is 100
	}
	for id, took := range times {
		for at := id; at > 1; at = parents[at] {
			if at == root {
				sum += took
				break
			}
		}
	}
	return sum
}
