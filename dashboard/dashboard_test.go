package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/status"
)

// All files of the page are served under any prefix, and they refer only to files that exist.
func TestPage(t *testing.T) {
	tr := newTestRing(t, 0)
	h := http.StripPrefix("/some/ring", Handler(tr.registry))
	page := ask(t, h, get("/some/ring/"), nil)
	if page.Code != http.StatusOK || !strings.HasPrefix(page.Header().Get("Content-Type"), "text/html") || !strings.Contains(page.Body.String(), `id="ring"`) {
		t.Fatalf("%d %v %s", page.Code, page.Header(), page.Body)
	}
	policy := page.Header().Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'self'") || strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %q", policy)
	}
	for _, bad := range []string{"<style", " style=", " onclick=", "http://", "https://", `src="/`, `href="/`} {
		if strings.Contains(page.Body.String(), bad) {
			t.Errorf("the page has %s", bad)
		}
	}
	seen := map[string]bool{}
	for todo := []string{"style.css", "main.js", "icon.svg"}; len(todo) > 0; todo = todo[1:] {
		name := todo[0]
		if seen[name] {
			continue
		}
		seen[name] = true
		w := ask(t, h, get("/some/ring/"+name), nil)
		if w.Code != http.StatusOK || w.Header().Get("ETag") == "" || w.Body.Len() == 0 {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
		if strings.HasSuffix(name, ".js") && !strings.HasPrefix(w.Header().Get("Content-Type"), "text/javascript") {
			t.Errorf("%s is %s", name, w.Header().Get("Content-Type"))
		}
		for line := range strings.Lines(w.Body.String()) {
			if _, from, ok := strings.Cut(line, `from "./`); ok && strings.HasPrefix(line, "import") {
				todo = append(todo, from[:strings.Index(from, `"`)])
			}
		}
	}
	if len(seen) < 10 {
		t.Errorf("only %v was looked at", seen)
	}
	if w := ask(t, h, get("/some/ring/test/route.test.js"), nil); w.Code != http.StatusNotFound {
		t.Errorf("the tests are served: %d", w.Code)
	}
	r := get("/some/ring/main.js")
	r.Header.Set("If-None-Match", ask(t, h, get("/some/ring/main.js"), nil).Header().Get("ETag"))
	if w := ask(t, h, r, nil); w.Code != http.StatusNotModified {
		t.Errorf("again: %d", w.Code)
	}
}

// The data is the registry's.
func TestData(t *testing.T) {
	tr := newTestRing(t, 5)
	h := Handler(tr.registry)
	want := tr.setup(2)

	var s map[string]any
	d := json.NewDecoder(ask(t, h, get("/snapshot.json"), nil).Body)
	if err := d.Decode(&s); err != nil {
		t.Fatal(err)
	}
	if members, ok := s["members"].([]any); !ok || len(members) != 5 || s["epoch"] != float64(tr.registry.Epoch()) || s["plan"] != "classic" {
		t.Errorf("snapshot: %v", s)
	}
	var a status.Audit
	ask(t, h, get("/audit.json"), &a)
	if a.Pairs != 20 || a.MeanHops != want.MeanHops || !a.OK() || a.Epoch != tr.registry.Epoch() {
		t.Errorf("audit: %+v", a)
	}
	var m status.Member
	id := tr.nodes[2].ID()
	ask(t, h, get(fmt.Sprint("/node.json?id=", id)), &m)
	if m.ID != id || m.Incarnation != tr.nodes[2].Incarnation() || len(m.Entries) != 2 {
		t.Errorf("node: %+v", m)
	}

	// A node that is gone is remembered for a while, with its last figures, also if no page was open.
	gone := tr.join()
	if err := gone.Ready(tr.ctx()); err != nil {
		t.Fatal(err)
	}
	if err := gone.Leave(tr.ctx()); err != nil {
		t.Fatal(err)
	}
	h = Handler(tr.registry) // the other handler may serve an older sample
	m = status.Member{}
	if ask(t, h, get(fmt.Sprint("/node.json?id=", gone.ID())), &m); m.ID != gone.ID() || m.State != "left" || m.Incarnation != gone.Incarnation() || m.Limits.Streams == 0 || len(m.Entries) == 0 {
		t.Errorf("one that has left: %+v", m)
	}

	// IDs of a trace may be numbers or strings.
	from, to := tr.nodes[0].ID(), tr.nodes[3].ID()
	for _, body := range []string{fmt.Sprintf(`{"from":%d,"to":%d}`, from, to), fmt.Sprintf(`{"from":"%d","to":"%d"}`, from, to)} {
		var told traceAnswer
		if w := ask(t, h, post("/trace", body), &told); w.Code != http.StatusOK || told.Error != "" {
			t.Fatalf("%s: %d %s", body, w.Code, w.Body)
		}
		path := []ringdht.ID{from}
		for _, hop := range told.Hops {
			path = append(path, hop.ID)
			if hop.Elapsed <= 0 {
				t.Errorf("%+v", told)
			}
		}
		if fmt.Sprint(path) != fmt.Sprint(told.Predicted) || path[len(path)-1] != to {
			t.Errorf("from %d to %d: %+v", from, to, told)
		}
	}
	var told traceAnswer
	nobody := ringdht.ID(0)
	for _, n := range tr.nodes {
		if n.ID() == nobody {
			nobody++
		}
	}
	ask(t, h, post("/trace", fmt.Sprintf(`{"from":%d,"to":%d}`, nobody, to)), &told)
	if !strings.Contains(told.Error, "no such node") && !strings.Contains(told.Error, "nobody") {
		t.Errorf("a trace from nobody: %+v", told)
	}
}

// An audit walks a million routes in a large ring, so it is made once an epoch.
func TestAuditOnceAnEpoch(t *testing.T) {
	tr := newTestRing(t, 3)
	h := &handler{r: tr.registry}
	tr.setup(0)
	for range 3 {
		h.audit(httptest.NewRecorder(), nil)
	}
	h.audits.last.Pairs = 1e6 // a mark: an audit made anew has another number
	var a status.Audit
	ask(t, http.HandlerFunc(h.audit), get("/audit.json"), &a)
	if a.Pairs != 1e6 {
		t.Errorf("made again in the same epoch: %+v", a)
	}
	tr.join()
	tr.setup(0)
	ask(t, http.HandlerFunc(h.audit), get("/audit.json"), &a)
	if a.Pairs != 12 {
		t.Errorf("not made again in another: %+v", a)
	}
}

// A request that cannot be served is answered with the right status and a sentence.
func TestWrongRequests(t *testing.T) {
	tr := newTestRing(t, 2)
	looks, controls := Handler(tr.registry), Handler(tr.registry, WithControl())
	for _, c := range []struct {
		h      http.Handler
		r      *http.Request
		status int
		says   string
	}{
		{looks, get("/node.json"), 400, "id must be the ID of a node"},
		{looks, get("/node.json?id=seven"), 400, `not "seven"`},
		{looks, get("/node.json?id=99999999"), 404, "no node has the ID 99999999"},
		{looks, post("/trace", ""), 400, "no body"},
		{looks, post("/trace", "{}"), 400, "needs the IDs of two nodes"},
		{looks, post("/trace", `{"from":-1,"to":2}`), 400, "an ID is a number"},
		{looks, post("/trace", `{"from":1,"to":2,"by":3}`), 400, "by"},
		{looks, post("/trace", `{"from":1,"to":2}{}`), 400, "more after the object"},
		{looks, post("/trace", `{"from":1,"to":2,"x":"`+strings.Repeat("x", maxBody)+`"}`), 413, "at most 4096 bytes"},
		{looks, post("/setup", `{"k":3}`), 403, "control is off"},
		{looks, post("/run", `{"messages":3}`), 403, "control is off"},
		{looks, post("/stop", `{}`), 403, "control is off"},
		{controls, post("/setup", `{"k":-3}`), 400, "at least 1"},
		{controls, post("/setup", `{"k":3,"plan":"worst"}`), 400, `"classic" or "fewest hops", not "worst"`},
		{controls, post("/setup", `{"k":"many"}`), 400, "expected JSON object"},
		{controls, post("/run", `{}`), 400, "messages must be at least 1"},
		{controls, post("/run", `{"messages":1,"payload":100000000}`), 400, "bytes"},
		{controls, post("/run", `{"messages":1}`), 409, "not ready"},
	} {
		var f failure
		w := ask(t, c.h, c.r, &f)
		if w.Code != c.status || !strings.Contains(f.Error, c.says) || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %d %q, want %d with %q", c.r.Method, c.r.URL, w.Code, f.Error, c.status, c.says)
		}
	}
	if w := ask(t, looks, get("/run"), nil); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET /run: %d", w.Code)
	}
}

// With WithControl the page can do what the console can.
func TestControl(t *testing.T) {
	tr := newTestRing(t, 4)
	h := Handler(tr.registry, WithControl())
	var a status.Audit
	ask(t, h, post("/setup", `{"k":2,"plan":"classic"}`), &a)
	if a.Nodes != 4 || a.Entries != 2 || !a.OK() {
		t.Fatalf("setup: %+v", a)
	}
	var o outcome
	ask(t, h, post("/run", `{"messages":100,"payload":8}`), &o)
	if !o.Exact || o.Received != 400 || o.Verdict != "exact" || o.Elapsed <= 0 {
		t.Errorf("run: %+v", o)
	}
	ask(t, h, post("/setup", `{"k":3,"plan":"fewest hops"}`), &a)
	if a.Entries != 3 || a.MeanHops != 1 {
		t.Errorf("setup: %+v", a)
	}
}

// A run goes on after its page is closed, and its account is kept.
func TestRunOutlivesItsPage(t *testing.T) {
	tr := newTestRing(t, 3)
	tr.setup(0)
	ctx, cancel := context.WithCancel(t.Context())
	h := Handler(tr.registry, WithControl())
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		h.ServeHTTP(httptest.NewRecorder(), post("/run", `{"messages":10}`).WithContext(ctx))
	}()
	over := tr.ctx()
	for s := tr.registry.Snapshot(); s.Running == nil && s.Last == nil; s = tr.registry.Snapshot() {
		select {
		case <-over.Done():
			t.Fatal("there is no run")
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	<-closed
	for tr.registry.Snapshot().Last == nil {
		select {
		case <-over.Done():
			t.Fatal("there is no account")
		case <-time.After(time.Millisecond):
		}
	}
	if s := tr.registry.Snapshot(); !s.Last.Exact() || s.Last.Sum.Received != 30 {
		t.Errorf("%s", s.Last.Verdict())
	}
}

// A run that a page has started can be stopped by another, when the first one is closed.
func TestRunIsStopped(t *testing.T) {
	tr := newTestRing(t, 3)
	tr.setup(0)
	h := Handler(tr.registry, WithControl())
	var o outcome
	done := make(chan struct{})
	go func() {
		defer close(done)
		ask(t, h, post("/run", `{"messages":1000000000}`), &o)
	}()
	closed, cancel := context.WithCancel(t.Context())
	cancel()
	stop := func() {
		t.Helper()
		over := tr.ctx()
		for s := tr.registry.Snapshot(); s.Running == nil; s = tr.registry.Snapshot() {
			select {
			case <-over.Done():
				t.Fatal("there is no run")
			case <-time.After(time.Millisecond):
			}
		}
		if w := ask(t, h, post("/stop", `{}`), nil); w.Code != http.StatusOK {
			t.Fatal(w.Code, w.Body)
		}
		if s := tr.registry.Snapshot(); s.Running != nil || !s.Last.Stopped || !s.Last.Balanced() || s.Last.Sum.Sent != s.Last.Sum.Received {
			t.Errorf("%+v", s.Last)
		}
	}
	stop()
	<-done
	if !o.Stopped || o.Exact || !strings.HasPrefix(o.Verdict, "stopped: exact, ") {
		t.Errorf("%+v", o)
	}
	h.ServeHTTP(httptest.NewRecorder(), post("/run", `{"messages":1000000000}`).WithContext(closed))
	stop()
	if w := ask(t, h, post("/stop", `{}`), nil); w.Code != http.StatusOK {
		t.Errorf("without a run: %d %s", w.Code, w.Body)
	}
}

// The number of requests for a run that go on without their page is bounded.
func TestRequestsForRunsAreBounded(t *testing.T) {
	tr := newTestRing(t, 2)
	h := &handler{r: tr.registry, control: true, runs: make(chan struct{}, maxRuns)}
	for range maxRuns {
		h.runs <- struct{}{}
	}
	w := httptest.NewRecorder()
	h.run(w, post("/run", `{"messages":1}`))
	if w.Code != http.StatusConflict || !bytes.Contains(w.Body.Bytes(), []byte("4 pages have asked")) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// The number of traces that run at once is bounded.
func TestTracesAreBounded(t *testing.T) {
	tr := newTestRing(t, 2)
	h := &handler{r: tr.registry, traces: make(chan struct{}, maxTraces)}
	for range maxTraces {
		h.traces <- struct{}{}
	}
	w := httptest.NewRecorder()
	h.trace(w, post("/trace", `{"from":1,"to":2}`))
	if w.Code != http.StatusServiceUnavailable || !bytes.Contains(w.Body.Bytes(), []byte("8 traces are running")) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
