package page

import (
	"flag"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/x/ringdht"
)

// A port alone is a port of localhost, so that a page is not exposed to others by accident.
func TestPortAlone(t *testing.T) {
	r, err := ringdht.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	set := flag.NewFlagSet("test", flag.ContinueOnError)
	f := AddFlags(set)
	if err := set.Parse([]string{"-http", "0", "-control"}); err != nil {
		t.Fatal(err)
	}
	if err := f.Check(); err != nil {
		t.Fatal(err)
	}
	url, stop, err := f.Serve(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if !strings.HasPrefix(f.addr, "localhost:") || !strings.HasPrefix(url, "http://localhost:") {
		t.Errorf("served at %s as %s", f.addr, url)
	}
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Error(resp.Status)
	}
}

// If there are more connections than the limit, the others wait, are accepted when one is
// closed, and do not delay the end.
func TestConnectionsAreBounded(t *testing.T) {
	inner, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limit(inner, 2)
	accepted, ended := make(chan net.Conn), make(chan error, 1)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- conn
		}
	}()
	var dialled []net.Conn
	for range 4 {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		dialled = append(dialled, conn)
	}
	first, second := <-accepted, <-accepted
	if n := len(l.(*limited).slots); n != 2 {
		t.Errorf("%d slots are taken", n)
	}
	select {
	case <-accepted:
		t.Error("a third is accepted")
	default:
	}
	first.Close()
	first.Close() // a second Close frees no second slot
	third := <-accepted
	select {
	case <-accepted:
		t.Error("a fourth is accepted")
	default:
	}
	go io.WriteString(dialled[2], "x")
	if _, err := io.ReadFull(third, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	l.Close()
	if err := <-ended; err == nil {
		t.Error("accepts after the end")
	}
	second.Close()
	third.Close()
}
