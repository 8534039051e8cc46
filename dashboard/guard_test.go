package dashboard

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Another site can neither send commands nor read, not even under a name of its own.
func TestOtherSites(t *testing.T) {
	tr := newTestRing(t, 2)
	h := Handler(tr.registry, WithControl(), WithHosts("ring.example"))
	with := func(r *http.Request, header ...string) *http.Request {
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		return r
	}
	under := func(host string, r *http.Request) *http.Request {
		r.Host = host
		return r
	}
	const setup, body = "/setup", `{"k":1}`
	for _, c := range []struct {
		name   string
		r      *http.Request
		status int
	}{
		{"a cross-site POST", with(post(setup, body), "Sec-Fetch-Site", "cross-site"), 403},
		{"one from the same site but another origin", with(post(setup, body), "Sec-Fetch-Site", "same-site"), 403},
		{"another origin, from an old browser", with(post(setup, body), "Origin", "http://evil.example"), 403},
		{"another port of this machine", with(post(setup, body), "Origin", "http://localhost:9999"), 403},
		{"a sandboxed page", with(post(setup, body), "Origin", "null"), 403},
		{"a cross-site run", with(post("/run", `{"messages":1}`), "Sec-Fetch-Site", "cross-site"), 403},
		{"a cross-site trace", with(post("/trace", `{"from":1,"to":2}`), "Sec-Fetch-Site", "cross-site"), 403},
		{"a name that somebody points here", under("evil.example", post(setup, body)), 403},
		{"the same, looking", under("evil.example:8080", get("/snapshot.json")), 403},
		{"the same, at the page", under("evil.example", get("/")), 403},
		{"one that ends like ours", under("evil-ring.example", get("/snapshot.json")), 403},
		{"one that begins like an address", under("127.0.0.1.evil.example", get("/snapshot.json")), 403},
		{"no host", under("", get("/snapshot.json")), 403},
		{"localhost", under("localhost:8080", get("/snapshot.json")), 200},
		{"an address", under("192.0.2.7:8080", get("/snapshot.json")), 200},
		{"an address of version 6", under("[::1]:8080", get("/snapshot.json")), 200},
		{"the same without a port", under("[2001:db8::1]", get("/snapshot.json")), 200},
		{"a name of ours", under("Ring.Example.:80", get("/snapshot.json")), 200},
		{"this page", with(post(setup, body), "Sec-Fetch-Site", "same-origin"), 200},
		{"this page in an old browser", with(post(setup, body), "Origin", "http://localhost"), 200},
		{"a program", post(setup, body), 200},
	} {
		w := ask(t, h, c.r, nil)
		if w.Code != c.status {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		}
		if w.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("%s: no policy", c.name)
		}
	}
}

// The write deadline of one answer does not hit the next answer over the same connection,
// which may be another handler's.
func TestDeadlinesEnd(t *testing.T) {
	w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	tr := newTestRing(t, 0)
	h := Handler(tr.registry)
	for _, path := range []string{"/", "/main.js", "/snapshot.json", "/node.json"} {
		h.ServeHTTP(w, get(path))
		if !w.set || !w.write.IsZero() {
			t.Errorf("%s: the deadline is %v", path, w.write)
		}
	}
	h.ServeHTTP(w, post("/trace", `{}`))
	if !w.write.IsZero() || !w.read.IsZero() {
		t.Errorf("the deadlines are %v and %v", w.write, w.read)
	}
}

// A request whose body does not arrive ends at the deadline, on every path: a connection that
// stays open costs the registry a file descriptor.
func TestBodiesThatNeverCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTestRing(t, 1)
		defer tr.close()
		l := &pipes{conns: make(chan net.Conn)}
		server := &http.Server{Handler: Handler(tr.registry)} // without any deadlines of its own
		go server.Serve(l)
		defer server.Close()
		for _, c := range []struct{ start, host, body string }{
			{"GET /snapshot.json", "localhost", ""},
			{"GET /nothing", "localhost", ""},
			{"GET /events", "localhost", ""},
			{"POST /setup", "localhost", ""}, // control is off
			{"POST /trace", "localhost", ""},
			{"POST /trace", "localhost", "x"},
			{"POST /trace", "localhost", `{"from":1,"to":2}`},
			{"POST /trace", "evil.example", ""},
		} {
			conn, at := net.Pipe()
			l.conns <- at
			start := time.Now()
			fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: %s\r\nContent-Length: 1000\r\n\r\n%s", c.start, c.host, c.body)
			conn.SetReadDeadline(start.Add(time.Minute))
			if _, err := io.Copy(io.Discard, conn); err != nil {
				t.Errorf("%s of %s with %q: %v", c.start, c.host, c.body, err)
			}
			if took := time.Since(start); took > readTime+time.Second {
				t.Errorf("%s of %s with %q lasts %v", c.start, c.host, c.body, took)
			}
			conn.Close()
		}
	})
}

// pipes is a listener of in-memory connections.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
}

func (l *pipes) Accept() (net.Conn, error) {
	if conn, ok := <-l.conns; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}
func (l *pipes) Close() error   { l.once.Do(func() { close(l.conns) }); return nil }
func (l *pipes) Addr() net.Addr { return &net.TCPAddr{} }

type deadlines struct {
	*httptest.ResponseRecorder
	set         bool
	read, write time.Time
}

func (d *deadlines) SetWriteDeadline(t time.Time) error {
	d.set, d.write = d.set || !t.IsZero(), t
	return nil
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.read = t
	return nil
}
