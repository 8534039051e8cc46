package browser

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/x/ringdht/dashboard"
	"github.com/x/ringdht/status"
)

// With control off the page shows no controls, and the paths refuse.
func TestControlOff(t *testing.T) {
	t.Parallel()
	r := newRing(t, nil)
	r.grow(3)
	p := open(t, r.serve("/"))
	if eval[bool](p, `document.getElementById("control").checkVisibility()`) {
		t.Error("the controls are shown")
	}
	p.expect(`403 `)
	for path, body := range map[string]string{"setup": `{"k": 2, "plan": "classic"}`, "run": `{"messages": 10, "payload": 4}`} {
		answer := eval[struct {
			Status int
			Text   string
		}](p, fmt.Sprintf(`fetch(%s, {method: "POST", headers: {"Content-Type": "application/json"}, body: %s}).then(async (r) => ({status: r.status, text: await r.text()}))`, quote(path), quote(body)))
		if answer.Status != http.StatusForbidden || !strings.Contains(answer.Text, "control is off") {
			t.Errorf("%s: %+v", path, answer)
		}
	}
	untouched(t, r)
}

// untouched demands that a ring has not been changed.
func untouched(t *testing.T, r *ring) {
	t.Helper()
	s := r.registry.Snapshot()
	for _, kind := range []status.EventKind{status.EventSetup, status.EventRun} {
		if s.Happened[kind] != 0 {
			t.Errorf("%s: %d times", kind, s.Happened[kind])
		}
	}
	if s.Live || s.Running != nil {
		t.Error("the overlay was set up")
	}
}

// answers records a handler's answers.
type answers struct {
	mu  sync.Mutex
	all []answer
}

type answer struct {
	method, path, site string
	status             int
}

func (a *answers) list() []answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.all)
}

func (a *answers) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := &statusWriter{ResponseWriter: w, code: http.StatusOK}
		if r.URL.Path != "/events" { // that one does not end
			defer func() {
				a.mu.Lock()
				defer a.mu.Unlock()
				a.all = append(a.all, answer{r.Method, r.URL.Path, r.Header.Get("Sec-Fetch-Site"), s.code})
			}()
		}
		next.ServeHTTP(s, r)
	})
}

type statusWriter struct {
	http.ResponseWriter
	code int
}

func (s *statusWriter) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

func (s *statusWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// A page of another site, open in the browser of an operator, tries every kind of request.
// None must reach the ring or read it. Another port of the same host is another site too.
func TestOtherSites(t *testing.T) {
	t.Parallel()
	r := newRing(t, nil)
	r.grow(3)
	var got answers
	ringURL := r.serveWith("/", got.wrap, dashboard.WithControl()).URL

	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!DOCTYPE html><html lang="en"><title>elsewhere</title>
			<iframe name="hidden" src="about:blank"></iframe><iframe id="framed" src="%[1]s/"></iframe>
			<form id="form" action="%[1]s/setup" method="post" enctype="text/plain" target="hidden"><input name='{"k": 1, "plan": "classic", "x' value='": 1}'></form>`, ringURL)
	}))
	t.Cleanup(evil.Close)
	port := must(url.Parse(evil.URL)).Port()

	for _, site := range []string{"http://localhost:" + port, "http://127.0.0.1:" + port} {
		p := newPage(t, nil)
		p.expect(`.`) // the browser complains about each of these
		p.navigate(site + "/")
		outcome := eval[[]string](p, fmt.Sprintf(`(async (ring) => {
			const outcome = [];
			const attempt = async (name, f) => { try { outcome.push(name + ": " + await f()) } catch (e) { outcome.push(name + ": " + e.name) } };
			const setup = '{"k": 1, "plan": "classic"}', json = {"Content-Type": "application/json"};
			for (const path of ["setup", "run", "trace"]) {
				await attempt(path + " opaque", async () => (await fetch(ring + path, {method: "POST", mode: "no-cors", credentials: "include", body: setup})).type);
				await attempt(path + " readable", async () => (await fetch(ring + path, {method: "POST", body: setup})).status);
				await attempt(path + " as JSON", async () => (await fetch(ring + path, {method: "POST", headers: json, body: setup})).status);
			}
			await attempt("beacon", () => navigator.sendBeacon(ring + "setup", setup) && "sent");
			for (const path of ["", "snapshot.json", "node.json?id=1", "audit.json"]) {
				await attempt("GET /" + path, async () => (await (await fetch(ring + path)).text()).slice(0, 20));
			}
			await attempt("events", () => new Promise((yes, no) => {
				const s = new EventSource(ring + "events");
				s.onmessage = () => { s.close(); yes("READ") };
				s.onerror = () => { s.close(); no(new Error()) };
			}));
			await attempt("script", () => new Promise((yes, no) => {
				const s = document.createElement("script");
				s.type = "module";
				s.src = ring + "main.js";
				s.onload = () => yes("LOADED");
				s.onerror = () => no(new Error());
				document.head.append(s);
			}));
			const sent = new Promise((yes) => { document.querySelector("iframe[name=hidden]").onload = yes });
			document.getElementById("form").submit();
			await sent;
			await attempt("frame", () => document.getElementById("framed").contentWindow.document.title);
			return outcome;
		})(%s)`, quote(ringURL+"/")))
		t.Logf("from %s: %s", site, strings.Join(outcome, ", "))
		for _, line := range outcome {
			name, result, _ := strings.Cut(line, ": ")
			fine := strings.HasSuffix(result, "Error")
			if strings.HasSuffix(name, "opaque") || name == "beacon" {
				fine = fine || result == "opaque" || result == "sent" // a status that does not reveal the answer
			}
			if !fine {
				t.Errorf("from %s: %s", site, line)
			}
		}
	}

	// The form again, as a navigation of the page itself.
	p := newPage(t, nil)
	p.expect(`403 |favicon.ico|frame-ancestors`)
	p.navigate("http://localhost:" + port + "/")
	eval[bool](p, `(() => { const f = document.getElementById("form"); f.target = "_top"; f.submit(); return true })()`)
	for !strings.Contains(must(chromedp.Run(p.ctx, chromedp.Location())), "/setup") {
	}
	if text := wait[string](p, "an answer", `document.body?.textContent`); !strings.Contains(text, "another site") {
		t.Errorf("the form is answered with %q", text)
	}

	untouched(t, r)
	posts := 0
	for _, a := range got.list() {
		if a.method == http.MethodPost {
			posts++
			if a.status != http.StatusForbidden || a.site == "same-origin" || a.site == "" {
				t.Errorf("%+v", a)
			}
		}
	}
	if posts < 10 {
		t.Errorf("only %d requests have reached the handler: %+v", posts, got.list())
	}
	t.Logf("the handler has refused %d POST requests", posts)

	// From the page itself the same request succeeds; otherwise this test would prove
	// nothing.
	if _, err := r.registry.Setup(ctx(t), 1); err != nil {
		t.Fatal(err)
	}
	own := open(t, ringURL+"/")
	if status := eval[int](own, `fetch("setup", {method: "POST", headers: {"Content-Type": "application/json"}, body: '{"k": 2, "plan": "classic"}'}).then((r) => r.status)`); status != http.StatusOK {
		t.Errorf("its own page is answered %d", status)
	}
}

// A foreign name that points at this address (DNS rebinding) would make a foreign page and
// this one the same origin. Nothing is served under such a name.
func TestRebinding(t *testing.T) {
	t.Parallel()
	r := newRing(t, nil)
	r.grow(3)
	port := must(url.Parse(r.serve("/", dashboard.WithControl()))).Port()
	p := newPage(t, nil)
	p.expect(`403 `)
	address := "http://" + rebound + ":" + port + "/"
	response, err := chromedp.Run(p.ctx, chromedp.NavigateResponse(address))
	if err != nil {
		t.Fatal(err)
	}
	if response.Status != http.StatusForbidden {
		t.Errorf("the page is answered %d", response.Status)
	}
	for _, path := range []string{"snapshot.json", "events", "setup"} {
		method := "GET"
		if path == "setup" {
			method = "POST"
		}
		if status := eval[int](p, fmt.Sprintf(`fetch(%s, {method: %s, body: %s}).then((r) => r.status)`, quote(address+path), quote(method),
			map[bool]string{true: quote(`{"k": 2}`), false: "null"}[method == "POST"])); status != http.StatusForbidden {
			t.Errorf("%s is answered %d", path, status)
		}
	}
	untouched(t, r)

	// Under a name that the operator has added, the page is served.
	port = must(url.Parse(r.serve("/", dashboard.WithHosts(rebound)))).Port()
	open(t, "http://"+rebound+":"+port+"/")
}

func must[T any](v T, err error) T {
	if err != nil && err != io.EOF {
		panic(err)
	}
	return v
}
