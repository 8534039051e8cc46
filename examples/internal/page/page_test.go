package page

import (
	"flag"
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
	url, _, stop, err := f.Serve(t.Context(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if !strings.HasPrefix(*f.addr, "localhost:") || !strings.HasPrefix(url, "http://localhost:") {
		t.Errorf("served at %s as %s", *f.addr, url)
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

// Idle connections, more than the server keeps, do not shut out a probe.
func TestIdleConnectionsAndProbe(t *testing.T) {
	r, err := ringdht.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	set := flag.NewFlagSet("test", flag.ContinueOnError)
	f := AddFlags(set)
	if err := set.Parse([]string{"-http", "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	url, _, stop, err := f.Serve(t.Context(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	at := strings.Trim(strings.TrimPrefix(url, "http:"), "/")
	for i := range 300 {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", at)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		defer conn.Close()
	}
	resp, err := http.Get(url + "healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Error(resp.Status)
	}
}
