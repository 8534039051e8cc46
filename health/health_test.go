package health

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// Each path has its status and its line of text. HEAD has the same without the text. Other methods
// and paths are refused.
func TestHandler(t *testing.T) {
	var ready error
	h := Handler(func() error { return ready })
	long := strings.Repeat("ä", maxReason)
	for _, c := range []struct {
		method, path string
		ready        error
		status       int
		body         string
	}{
		{"GET", "/healthz", nil, 200, "ok\n"},
		{"GET", "/healthz", io.EOF, 200, "ok\n"},
		{"HEAD", "/healthz", nil, 200, ""},
		{"GET", "/livez", io.EOF, 200, "ok\n"},
		{"GET", "/readyz", nil, 200, "ready\n"},
		{"GET", "/readyz", errors.New("no\r\n\x1b[2Jtable"), 503, "no   [2Jtable\n"},
		{"GET", "/readyz", errors.New(long), 503, long[:maxReason] + "...\n"},
		{"GET", "/readyz", errors.New("x" + long), 503, ("x" + long)[:maxReason-1] + "...\n"},
		{"HEAD", "/readyz", io.EOF, 503, ""},
		{"POST", "/readyz", nil, 405, "Method Not Allowed\n"},
		{"GET", "/", nil, 404, "404 page not found\n"},
	} {
		ready = c.ready
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		body := w.Body.String()
		if c.method == "HEAD" {
			body = "" // the server removes it; a recorder does not
		}
		if w.Code != c.status || body != c.body || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
			t.Errorf("%s %s, %v: %d %q %q", c.method, c.path, c.ready, w.Code, body, w.Header())
		}
	}
}

// pipes is a listener of connections in memory.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial connects to the server.
func (p *pipes) dial(t *testing.T) net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	t.Cleanup(func() { client.Close() })
	synctest.Wait()
	return client
}

func ask(conn net.Conn, path string) string {
	go fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path)
	b := make([]byte, 4096)
	n, err := conn.Read(b)
	if err != nil {
		return err.Error()
	}
	status, _, _ := strings.Cut(string(b[:n]), "\r\n")
	return status
}

func open(t *testing.T, conn net.Conn) bool {
	t.Helper()
	_, err := conn.Write([]byte("G"))
	return err == nil
}

// A bounded server serves a probe when idle and silent connections have taken all places, and the
// one that has waited longest goes. A connection in a request keeps its place.
func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		mux := http.NewServeMux()
		mux.Handle("/", Handler(func() error { return nil }))
		mux.HandleFunc("/wait", func(w http.ResponseWriter, _ *http.Request) { <-release })
		var states atomic.Int64
		server := &http.Server{Handler: mux, ConnState: func(net.Conn, http.ConnState) { states.Add(1) }}
		Limit(server, 3)
		l := &pipes{make(chan net.Conn), make(chan struct{})}
		go server.Serve(l)
		defer server.Close()

		busy, idle, silent := l.dial(t), l.dial(t), l.dial(t)
		answered := make(chan string)
		go func() { answered <- ask(busy, "/wait") }()
		synctest.Wait()
		if got := ask(idle, "/healthz"); got != "HTTP/1.1 200 OK" {
			t.Fatal(got)
		}
		synctest.Wait()
		probe := l.dial(t) // silent has waited longer than idle
		if open(t, silent) || !open(t, idle) {
			t.Error("the connection that has waited longest keeps its place, or another lost it")
		}
		if got := ask(probe, "/readyz"); got != "HTTP/1.1 200 OK" {
			t.Error(got)
		}
		synctest.Wait()
		second := l.dial(t) // the request that has begun at idle is not there yet, so it still waits
		if open(t, idle) || ask(second, "/healthz") != "HTTP/1.1 200 OK" {
			t.Error("no place for the second probe")
		}
		close(release)
		if got := <-answered; got != "HTTP/1.1 200 OK" {
			t.Error(got)
		}
		if states.Load() == 0 {
			t.Error("the server's own hook is not called")
		}
	})
}

// If all connections are in a request, a further one is closed.
func TestLimitOfBusyServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release })}
		Limit(server, 1)
		l := &pipes{make(chan net.Conn), make(chan struct{})}
		go server.Serve(l)
		defer server.Close()
		busy := l.dial(t)
		answered := make(chan string)
		go func() { answered <- ask(busy, "/") }()
		synctest.Wait()
		if open(t, l.dial(t)) {
			t.Error("a second connection is open")
		}
		close(release)
		if got := <-answered; got != "HTTP/1.1 200 OK" {
			t.Error(got)
		}
		busy.Close()
		synctest.Wait()
		if next := l.dial(t); ask(next, "/") != "HTTP/1.1 200 OK" { // the place is free again
			t.Error("no place after the end of the first")
		}
	})
}

// A body that does not come holds an answer up for a bounded time, and ends the connection.
func TestBodyThatDoesNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &http.Server{Handler: Handler(func() error { return nil })}
		l := &pipes{make(chan net.Conn), make(chan struct{})}
		go server.Serve(l)
		defer server.Close()
		conn := l.dial(t)
		go io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n")
		if _, err := io.ReadAll(conn); err != nil {
			t.Error(err)
		}
	})
}
