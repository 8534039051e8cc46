package dashboard

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/status"
)

// pageWriter records the stream of a page. While stalled it takes nothing, like a connection
// whose other end does not read.
type pageWriter struct {
	mu       sync.Mutex
	header   http.Header
	body     bytes.Buffer
	stalled  bool
	deadline time.Time
	moved    chan struct{} // closed when the deadline moves
}

func newPageWriter(stalled bool) *pageWriter {
	return &pageWriter{header: http.Header{}, stalled: stalled, moved: make(chan struct{})}
}

func (w *pageWriter) Header() http.Header { return w.header }
func (w *pageWriter) WriteHeader(int)     {}
func (w *pageWriter) Flush()              {}

func (w *pageWriter) SetWriteDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = t
	close(w.moved)
	w.moved = make(chan struct{})
	return nil
}

func (w *pageWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.stalled {
		wait, moved := time.Until(w.deadline), w.moved
		if wait <= 0 {
			return 0, os.ErrDeadlineExceeded
		}
		w.mu.Unlock()
		select {
		case <-time.After(wait):
		case <-moved:
		}
		w.mu.Lock()
	}
	return w.body.Write(p)
}

// updates returns the updates written so far.
func (w *pageWriter) updates() (list []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range strings.Lines(w.body.String()) {
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			list = append(list, data)
		}
	}
	return list
}

// openPage opens a page. The function end closes it and waits until the handler has returned.
func openPage(h http.Handler, w http.ResponseWriter) (done <-chan struct{}, end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		h.ServeHTTP(w, get("/events").WithContext(ctx))
		close(ended)
	}()
	return ended, func() { cancel(); <-ended }
}

// counted returns a handler that counts its snapshots.
func counted(r *ringdht.Registry, opts ...Option) (h *handler, front http.Handler, snapshots *int) {
	var got *handler
	front = Handler(r, append(opts, func(h *handler) { got = h })...)
	snapshots = new(int)
	take := got.sampler.take
	got.sampler.take = func() *status.Snapshot { *snapshots++; return take() } // under the sampler's mutex
	return got, front, snapshots
}

// Ten pages cost one snapshot an interval, like one page, and none after they are closed. All
// get the same bytes.
func TestTenPagesOneSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTestRing(t, 3)
		defer tr.close()
		tr.setup(0)
		h, front, snapshots := counted(tr.registry)
		cost := func(pages int) int {
			time.Sleep(time.Second) // the latest sample is too old to be served again
			before := *snapshots
			writers := make([]*pageWriter, pages)
			var closers []func()
			for i := range writers {
				writers[i] = newPageWriter(false)
				_, end := openPage(front, writers[i])
				closers = append(closers, end)
			}
			time.Sleep(10*time.Second + 100*time.Millisecond) // in virtual time
			synctest.Wait()
			for _, w := range writers {
				if got := w.updates(); len(got) != 21 || strings.Join(got, "") != strings.Join(writers[0].updates(), "") {
					t.Errorf("%d pages: one was told %d times", pages, len(got))
				}
			}
			for _, end := range closers {
				end()
			}
			synctest.Wait()
			return *snapshots - before
		}
		if one, ten := cost(1), cost(10); one != 21 || ten != 21 {
			t.Errorf("one page cost %d snapshots, ten cost %d, in 20 intervals", one, ten)
		}
		before := *snapshots
		time.Sleep(time.Minute)
		if *snapshots != before || h.broadcaster.feed != nil || len(h.broadcaster.pages) != 0 {
			t.Errorf("%d snapshots while nobody looked", *snapshots-before)
		}
	})
}

// Requests cost at most one snapshot an interval, however many there are.
func TestRequestsShareSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTestRing(t, 2)
		defer tr.close()
		_, front, snapshots := counted(tr.registry)
		for range 100 {
			ask(t, front, get("/snapshot.json"), nil)
			ask(t, front, get("/node.json?id="+tr.nodes[0].ID().String()), nil)
		}
		if *snapshots != 1 {
			t.Errorf("%d snapshots", *snapshots)
		}
		time.Sleep(time.Second)
		ask(t, front, get("/snapshot.json"), nil)
		if *snapshots != 2 {
			t.Errorf("%d snapshots", *snapshots)
		}
	})
}

// A page that stops reading is dropped when its queue is full. Neither the other pages nor
// the ring wait for it.
func TestStalledPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTestRing(t, 3)
		defer tr.close()
		tr.setup(0)
		h, front, _ := counted(tr.registry)
		good, bad := newPageWriter(false), newPageWriter(true)
		_, end := openPage(front, good)
		dropped, _ := openPage(front, bad)
		start := time.Now()
		<-dropped
		if took := time.Since(start); took > patience+time.Second {
			t.Errorf("dropped after %v", took)
		}
		if n := len(h.broadcaster.pages); n != 1 {
			t.Errorf("%d pages are left", n)
		}
		if s, err := tr.registry.RunTraffic(tr.ctx(), status.Traffic{Messages: 100}); err != nil || !s.Exact() {
			t.Errorf("%v %v", s, err)
		}
		before := len(good.updates())
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := len(good.updates()) - before; got != 10 {
			t.Errorf("the other was told %d times", got)
		}
		end()
	})
}

// The queue is bounded by itself: here the interval is so short that the queue fills before a
// write reaches its deadline.
func TestFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTestRing(t, 1)
		defer tr.close()
		_, front, _ := counted(tr.registry, WithInterval(100*time.Millisecond))
		dropped, _ := openPage(front, newPageWriter(true))
		start := time.Now()
		<-dropped
		if took, want := time.Since(start), (maxQueue+1)*100*time.Millisecond; took > want {
			t.Errorf("dropped after %v, want %v", took, want)
		}
	})
}

// The number of open pages is bounded.
func TestPagesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTestRing(t, 1)
		defer tr.close()
		_, front, _ := counted(tr.registry)
		var closers []func()
		for range maxPages {
			_, end := openPage(front, newPageWriter(false))
			closers = append(closers, end)
		}
		synctest.Wait()
		w := httptest.NewRecorder()
		front.ServeHTTP(w, get("/events"))
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
		}
		head := get("/events")
		head.Method = http.MethodHead
		if w := ask(t, front, head, nil); w.Code != http.StatusOK { // a HEAD request takes no place
			t.Errorf("HEAD: %d %s", w.Code, w.Body)
		}
		for _, end := range closers {
			end()
		}
	})
}

// Over TCP, a browser that stops reading is disconnected; and a server can shut down while
// pages are open, if it ends the context of their requests.
func TestOverTCP(t *testing.T) {
	tr := newTestRing(t, 3)
	tr.setup(0)
	h, front, _ := counted(tr.registry, WithInterval(50*time.Millisecond))
	base, cancel := context.WithCancel(context.Background())
	server := httptest.NewUnstartedServer(front)
	server.Config.BaseContext = func(net.Listener) context.Context { return base }
	server.Start()
	defer server.Close()

	stuck, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Close()
	stuck.(*net.TCPConn).SetReadBuffer(4096)
	if _, err := stuck.Write([]byte("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	// At 1,000 nodes an update is 100 kB. Here one long update fills the socket buffers
	// instead.
	waitFor(t, func() bool {
		h.broadcaster.mu.Lock()
		defer h.broadcaster.mu.Unlock()
		return len(h.broadcaster.pages) == 1
	})
	filler := bytes.Repeat([]byte(":"), 1<<20)
	waitFor(t, func() bool {
		h.broadcaster.mu.Lock()
		defer h.broadcaster.mu.Unlock()
		h.broadcaster.broadcast(filler)
		return len(h.broadcaster.pages) == 0
	})

	resp, err := http.Get(server.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("events are %s", kind)
	}
	in := bufio.NewScanner(resp.Body)
	in.Buffer(nil, 1<<20)
	for n := 0; n < 3 && in.Scan(); {
		if data, ok := strings.CutPrefix(in.Text(), "data: "); ok {
			var update map[string]any
			if err := json.Unmarshal([]byte(data), &update); err != nil || (n == 0) != (update["history"] != nil) {
				t.Errorf("update %d: %v %v", n, err, update)
			}
			n++
		}
	}
	cancel()
	for in.Scan() { // until the stream ends, as it must
	}
	waitFor(t, func() bool {
		h.broadcaster.mu.Lock()
		defer h.broadcaster.mu.Unlock()
		return len(h.broadcaster.pages) == 0
	})
}

// waitFor polls until done returns true.
func waitFor(t testing.TB, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to be")
		}
	}
}
