package browser

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"

	"github.com/x/ringdht"
	"github.com/x/ringdht/dashboard"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// budget bounds the processor time that the page needs for an update at 1,000 nodes, in ms. It
// is not the time on the clock: that depends on what else the machine does.
const budget = 100

// A ring of 1,000 nodes in this process, with traffic: updates are painted in time, the page
// answers, and a page that does not read is dropped without any effect on the ring.
func TestThousandNodes(t *testing.T) {
	// A busy machine must not look like dead nodes. Reports come three times a lease.
	r := newRing(t, memnet.New(1), ringdht.WithLease(30*time.Second))
	r.grow(1000)
	r.setup(0)
	conns := &stalls{}
	s := r.serveWith("/", func(h http.Handler) http.Handler { return h })
	s.Config.ConnState = conns.follow(s.Config.ConnState)
	p := open(t, s.URL+"/")
	wait[bool](p, "the members", `document.getElementById("members").dataset.value === "1000"`)

	stop := r.murmur(5_000)
	defer stop()
	wait[bool](p, "traffic", `Number(document.getElementById("total-rate").dataset.value) > 100`)

	p.checkPaints()
	p.checkAnswers(r)
	p.checkStalled(s.URL, conns)

	stop()
	summary := r.run(5)
	t.Logf("after all that: %s, %.0f messages per second", summary.Verdict(), summary.Rate())
	// On a busy machine a node may lose its connection and come back, but none is given up.
	happened := r.registry.Snapshot().Happened
	if n := happened[status.EventDead]; n > 0 {
		t.Errorf("%d nodes are dead", n)
	}
	t.Logf("%d nodes were suspect for a while", happened[status.EventSuspect])
	wait[bool](p, "the run", `document.querySelector("#runs tr[data-exact=true]") !== null`)
}

// checkPaints measures how long updates take to paint, and demands that the processor time of the
// page's main thread for each is within the budget: script, layout and drawing.
func (p *page) checkPaints() {
	p.t.Helper()
	p.countFrames()
	eval[bool](p, `(() => { window.ringdht.paints.length = 0; window.frames_.length = 0; return true })()`)
	const updates = 20
	busy, painted := p.mainThread(), eval[int](p, `Number(document.body.dataset.paints)`)
	p.updates(updates)
	busy = p.mainThread() - busy
	each := 1000 * busy / float64(eval[int](p, `Number(document.body.dataset.paints)`)-painted)
	p.t.Logf("an update takes %.1f ms of processor time; it paints in %s; until its frame is done it takes %s",
		each, extent(eval[[]float64](p, `window.ringdht.paints`)), extent(eval[[]float64](p, `window.frames_`)))
	if each > budget {
		p.t.Errorf("an update takes %.1f ms of processor time, it must be %d ms", each, budget)
	}
}

// mainThread returns the processor time that the page's main thread has used, in seconds.
func (p *page) mainThread() float64 {
	p.t.Helper()
	metrics, err := chromedp.Run(p.ctx, func(ctx context.Context, _ *chromedp.Target) (performance.GetMetricsResult, error) {
		if _, err := chromedp.Call(ctx, performance.Enable, performance.EnableParams{}); err != nil {
			return performance.GetMetricsResult{}, err
		}
		return chromedp.Call(ctx, performance.GetMetrics, cdp.Empty{})
	})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, m := range metrics.Metrics {
		if m.Name == "ThreadTime" {
			return m.Value
		}
	}
	p.t.Fatal("the browser does not tell the time of the page's thread")
	return 0
}

// checkAnswers demands that the page can be used meanwhile.
func (p *page) checkAnswers(r *ring) {
	p.t.Helper()
	members := r.registry.Members()
	start := time.Now()
	p.click(fmt.Sprintf(`#nodes tr[data-id="%d"] a`, members[20].ID))
	wait[bool](p, "the node", fmt.Sprintf(`document.querySelectorAll("#node tbody tr").length === 10 && document.getElementById("node").dataset.id === "%d"`, members[20].ID))
	p.t.Logf("a node that is clicked shows its table after %v", time.Since(start).Round(time.Millisecond))
	p.traceRoute(r, members[20].ID, members[19].ID)
	if hops := strings.Count(eval[string](p, `document.getElementById("route").dataset.path`), ","); hops < 2 {
		p.t.Errorf("the route from a node to the one before it has %d hops", hops)
	}
	x, y := p.place(members[500].ID, 1000)
	p.do(chromedp.MouseClickXY(x, y))
	// Any node near the click will do: 1,000 stand close together.
	wait[bool](p, "a node in the picture", fmt.Sprintf(`!["", "%d"].includes(document.getElementById("node").dataset.id)`, members[20].ID))
}

// checkStalled opens a page's stream and does not read it.
func (p *page) checkStalled(address string, conns *stalls) {
	p.t.Helper()
	before := p.value("total-delivered")
	c, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
	if err != nil {
		p.t.Fatal(err)
	}
	defer c.Close()
	c.(*net.TCPConn).SetReadBuffer(4 << 10)
	dropped := conns.watch(c.LocalAddr().String())
	fmt.Fprintf(c, "GET /events HTTP/1.1\r\nHost: %s\r\n\r\n", c.RemoteAddr())
	start := time.Now()
	select {
	case <-dropped:
		p.t.Logf("a page that does not read is dropped after %v", time.Since(start).Round(100*time.Millisecond))
	case <-time.After(patience):
		p.t.Fatal("a page that does not read is kept")
	}
	io.Copy(io.Discard, bufio.NewReader(c)) // buffered data, and then the end
	// The count grows with heartbeats, and members of a large ring may send them all at one time.
	wait[bool](p, "more messages", fmt.Sprintf(`Number(document.getElementById("total-delivered").dataset.value) > %d`, before))
}

// murmur lets nodes send each other about so many messages a second, until it is stopped.
func (r *ring) murmur(rate int) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	const workers = 4
	for w := range workers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(w)))
			ticker := time.NewTicker(10 * time.Millisecond)
			defer ticker.Stop()
			for ctx.Err() == nil {
				for range rate / 100 / workers {
					from := random.IntN(len(r.nodes))
					to := (from*7 + random.IntN(3) + 1) % len(r.nodes) // few streams, as in real programs
					if from != to {
						r.nodes[from].Send(ctx, r.nodes[to].ID(), []byte("hello"))
					}
				}
				select {
				case <-ticker.C:
				case <-ctx.Done():
				}
			}
		})
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// countFrames records in frames_ the time from the arrival of each update until the browser
// has drawn the frame that shows it. That includes the wait for the next frame.
func (p *page) countFrames() {
	p.t.Helper()
	eval[bool](p, `(() => {
		window.frames_ = [];
		new MutationObserver(() => {
			const start = performance.now() - window.ringdht.paints.at(-1);
			requestAnimationFrame(() => {
				const after = new MessageChannel();
				after.port1.onmessage = () => frames_.push(performance.now() - start);
				after.port2.postMessage(0);
			});
		}).observe(document.body, {attributes: true, attributeFilter: ["data-paints"]});
		return true;
	})()`)
}

// extent returns the median and the extremes of times in ms.
func extent(ms []float64) string {
	if len(ms) == 0 {
		return "nothing"
	}
	s := slices.Sorted(slices.Values(ms))
	return fmt.Sprintf("%.1f ms (median of %d, %.1f to %.1f)", s[len(s)/2], len(s), s[0], s[len(s)-1])
}

// stalls follows a server's connections and gives them small buffers, so that a connection
// that is not read is soon full.
type stalls struct {
	mu      sync.Mutex
	watched map[string]chan struct{}
}

func (s *stalls) watch(addr string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watched == nil {
		s.watched = make(map[string]chan struct{})
	}
	s.watched[addr] = make(chan struct{})
	return s.watched[addr]
}

func (s *stalls) follow(next func(net.Conn, http.ConnState)) func(net.Conn, http.ConnState) {
	return func(c net.Conn, state http.ConnState) {
		next(c, state)
		switch state {
		case http.StateNew:
			c.(*net.TCPConn).SetWriteBuffer(16 << 10)
		case http.StateClosed:
			s.mu.Lock()
			defer s.mu.Unlock()
			if ended, ok := s.watched[c.RemoteAddr().String()]; ok {
				close(ended)
				delete(s.watched, c.RemoteAddr().String())
			}
		}
	}
}

// Ten people view a ring, each in a browser of their own. All are shown the same samples, one
// an interval. On a busy machine a page may stand still for so long that its connection is dropped:
// it reconnects, and has missed some.
func TestTenPages(t *testing.T) {
	t.Parallel()
	r := newRing(t, nil)
	r.grow(10)
	r.setup(0)
	const interval = 200 * time.Millisecond
	address := r.serve("/", dashboard.WithInterval(interval))
	stop := r.murmur(1000)
	defer stop()
	pages := make([]*page, 10)
	for i := range pages {
		pages[i] = open(t, address)
		pages[i].expect("net::ERR_INCOMPLETE_CHUNKED_ENCODING")
		eval[bool](pages[i], `(() => {
			window.seen = [];
			window.dropped = false;
			new MutationObserver(() => seen.push(window.ringdht.store.t)).observe(document.body, {attributes: true, attributeFilter: ["data-paints"]});
			new MutationObserver(() => { dropped ||= document.body.dataset.connected !== "true" }).observe(document.body, {attributes: true, attributeFilter: ["data-connected"]});
			return true;
		})()`)
	}
	const ticks = 8
	var from, to int64
	seen := make([][]int64, len(pages))
	for i, p := range pages {
		if i == 0 {
			p.updates(ticks)
		}
		seen[i] = wait[[]int64](p, "updates", fmt.Sprintf(`seen.length >= %d && seen`, ticks-2))
		if i == 0 {
			from, to = seen[0][len(seen[0])-ticks+1], seen[0][len(seen[0])-1]
		}
	}
	within := func(times []int64) []int64 {
		return slices.DeleteFunc(slices.Clone(times), func(at int64) bool { return at < from || at > to })
	}
	var all []int64
	for _, times := range seen {
		all = append(all, within(times)...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	whole := 0
	for i, times := range seen {
		if eval[bool](pages[i], `dropped`) {
			continue
		}
		whole++
		if got := within(times); !slices.Equal(got, all) {
			t.Errorf("page %d was shown the snapshots of %v, all pages %v", i, got, all)
		}
	}
	t.Logf("ten pages were shown %d snapshots in %d ms, %d of them the same", len(all), to-from, whole)
	if most := (to-from)/interval.Milliseconds() + 2; int64(len(all)) > most {
		t.Errorf("%d snapshots in %d ms", len(all), to-from)
	}
}

// Browsers open at most six connections to a server. Pages in the background must leave them
// to the page in front.
func TestManyTabs(t *testing.T) {
	t.Parallel()
	r := newRing(t, nil)
	r.grow(3)
	r.setup(0)
	address := r.serve("/", dashboard.WithInterval(100*time.Millisecond))
	first := open(t, address)
	last := first
	for range 8 {
		last = newPage(t, first)
		last.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.Call(ctx, cdppage.BringToFront, cdp.Empty{})
			return err
		}))
		last.visit(address)
	}
	members := r.registry.Members()
	last.traceRoute(r, members[0].ID, members[1].ID)
	if !eval[bool](first, `document.hidden`) {
		t.Fatal("the first page is not in the background: this shows nothing")
	}
}
