package memnet

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
)

func TestHostIsTheSame(t *testing.T) {
	n := New(1)
	a := n.Host("a")
	if again := n.Host("a"); again != a || n.Host("b") == a {
		t.Fatal("not one host for each name")
	}
}

func TestListen(t *testing.T) {
	n := New(1)
	h := n.Host("a")
	taken := listen(t, n, "a", "a:80")
	defer taken.Close()
	if got := taken.Addr(); got.String() != "a:80" || got.Network() != "mem" {
		t.Errorf("address %v on %v", got, got.Network())
	}
	_, err := h.Listen(t.Context(), ":80")
	wantErr(t, err, syscall.EADDRINUSE)
	listen(t, n, "b", ":80").Close() // another host, another port 80

	_, err = h.Listen(t.Context(), "b:80")
	wantErr(t, err, syscall.EADDRNOTAVAIL)
	if want := `listen on "a:80" or on ":80"`; !strings.Contains(err.Error(), want) {
		t.Errorf("%q does not say: %s", err, want)
	}

	seen := map[string]bool{}
	for _, addr := range []string{":0", "a:0", ":0"} {
		l := listen(t, n, "a", addr)
		defer l.Close()
		if s := l.Addr().String(); seen[s] || !strings.HasPrefix(s, "a:") || s == "a:0" {
			t.Errorf("Listen(%q) is on %s", addr, s)
		}
		seen[l.Addr().String()] = true
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = h.Listen(ctx, ":81")
	wantErr(t, err, context.Canceled)
}

func TestBadAddresses(t *testing.T) {
	n := New(1)
	for _, addr := range []string{"", "a", "a:", "a:http", "a:65536", "a:-1", "a:1:2"} {
		_, err := n.Host("a").Listen(t.Context(), addr)
		if e, ok := errors.AsType[*net.OpError](err); !ok || e.Op != "listen" || e.Net != "mem" {
			t.Errorf("Listen(%q): %v", addr, err)
		}
		_, err = n.Host("a").Dial(t.Context(), addr)
		if e, ok := errors.AsType[*net.AddrError](err); !ok {
			t.Errorf("Dial(%q): %v", addr, e)
		}
	}
	_, err := n.Host("").Listen(t.Context(), ":1")
	wantErr(t, err, syscall.EADDRNOTAVAIL)
	_, err = n.Host("").Dial(t.Context(), "a:1")
	wantErr(t, err, syscall.EADDRNOTAVAIL)
}

func TestDialRefused(t *testing.T) {
	n := New(1)
	for _, addr := range []string{"absent:1", "a:1", ":1", "a:0"} {
		_, err := n.Host("a").Dial(t.Context(), addr)
		wantErr(t, err, syscall.ECONNREFUSED)
		if e, _ := errors.AsType[*net.OpError](err); e.Op != "dial" || e.Addr.String() != addr {
			t.Errorf("%+v", e)
		}
	}
	l := listen(t, n, "b", ":1")
	l.Close()
	_, err := n.Host("a").Dial(t.Context(), "b:1")
	wantErr(t, err, syscall.ECONNREFUSED)
	listen(t, n, "b", ":1").Close() // the port is free again
}

func TestDialSelf(t *testing.T) {
	n := New(1)
	l := listen(t, n, "a", ":1")
	defer l.Close()
	for _, addr := range []string{":1", "a:1"} {
		c := dialed(t, n, "a", addr)
		s := accepted(t, l)
		write(t, c, addr)
		read(t, s, addr)
		c.Close()
		s.Close()
	}
}

func TestPorts(t *testing.T) {
	n := New(1)
	h := n.Host("a")
	l := listen(t, n, "b", ":1")
	defer l.Close()
	c := dialed(t, n, "a", "b:1")
	s := accepted(t, l)
	defer s.Close()

	for p := firstFree; p <= lastFree; p++ {
		h.dialing[p] = struct{}{}
	}
	_, err := h.Dial(t.Context(), "b:1")
	wantErr(t, err, syscall.EADDRNOTAVAIL)
	_, err = h.Listen(t.Context(), ":0")
	wantErr(t, err, syscall.EADDRNOTAVAIL)

	port := c.(*conn).link.port
	c.Close()
	if _, ok := h.dialing[port]; !ok {
		t.Error("the port is free while one end is open")
	}
	s.Close()
	c2 := dialed(t, n, "a", "b:1")
	defer c2.Close()
	if c2.LocalAddr() != c.LocalAddr() {
		t.Errorf("the freed port of %v was not found, but %v", c.LocalAddr(), c2.LocalAddr())
	}
	n.forget(c.(*conn).link) // too late: another connection has the port
	if _, ok := h.dialing[port]; !ok {
		t.Error("a connection that was forgotten twice freed another's port")
	}
}

// Case makes no difference in names: of hosts, in addresses and in faults.
func TestNamesHaveNoCase(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := New(1)
		if n.Host("Alpha") != n.Host("aLPHA") {
			t.Error("two hosts")
		}
		l, err := n.Host("Beta").Listen(t.Context(), "BETA:80")
		if err != nil || l.Addr().String() != "beta:80" {
			t.Fatal(l, err)
		}
		defer l.Close()
		dialled := func() error {
			c, err := n.Host("alpha").Dial(t.Context(), "bEta:80")
			if err == nil {
				c.Close()
			}
			return err
		}
		n.Cut("ALPHA", "Beta")
		wantErr(t, dialled(), syscall.ECONNREFUSED)
		n.Mend("Alpha", "BETA")
		if err := dialled(); err != nil {
			t.Error(err)
		}
		held := func(what string, set, undo func()) {
			set()
			n.mu.Lock()
			was := n.rules.between("alpha", "beta")
			n.mu.Unlock()
			undo()
			n.mu.Lock()
			is := n.rules.between("alpha", "beta")
			n.mu.Unlock()
			if was == (faults{}) || is != (faults{}) {
				t.Errorf("%s: %+v, and then %+v", what, was, is)
			}
		}
		held("Hold", func() { n.Hold("Alpha", "BETA") }, func() { n.Release("ALPHA", "Beta") })
		held("Drop", func() { n.Drop("Alpha", "BETA", 1) }, func() { n.Drop("ALPHA", "Beta", 0) })
		held("Delay", func() { n.Delay("Alpha", "BETA", 1, 1) }, func() { n.Delay("ALPHA", "Beta", 0, 0) })
		held("Partition", func() { n.Partition([]string{"Alpha"}, []string{"BETA"}) }, n.Heal)
	})
}
