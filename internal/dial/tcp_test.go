package dial

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func ips(texts ...string) (list []netip.Addr) {
	for _, t := range texts {
		list = append(list, netip.MustParseAddr(t))
	}
	return list
}

func TestAddressesInTurn(t *testing.T) {
	for _, c := range []struct{ got, want []netip.Addr }{
		{nil, nil},
		{ips("::1", "127.0.0.1"), ips("::1", "127.0.0.1")},
		{ips("::1", "::2", "::3", "127.0.0.1"), ips("::1", "127.0.0.1", "::2", "::3")},
		{ips("1.1.1.1", "1.1.1.2", "::1", "::2", "::3"), ips("1.1.1.1", "::1", "1.1.1.2", "::2", "::3")},
		{ips("::ffff:1.1.1.1", "::1"), ips("1.1.1.1", "::1")},
	} {
		if got := interleave(c.got); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.got, got, c.want)
		}
	}
}

// hosts is what there is at each address: what a dial fails with, after a while, or
// nothing for an answer.
type hosts map[string]struct {
	after time.Duration
	err   error
}

type world struct {
	names  map[string][]netip.Addr
	hosts  hosts
	mu     sync.Mutex
	tried  []string
	opened atomic.Int32
	closed atomic.Int32
}

type worldConn struct {
	net.Conn
	at string
	w  *world
}

func (c *worldConn) Close() error { c.w.closed.Add(1); return nil }

func (w *world) dial(ctx context.Context, addr string) (net.Conn, error) {
	return dialTCP(ctx, addr,
		func(ctx context.Context, host string) ([]netip.Addr, error) {
			if list, ok := w.names[host]; ok {
				return list, nil
			}
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		},
		func(ctx context.Context, addr string) (net.Conn, error) {
			w.mu.Lock()
			w.tried = append(w.tried, addr)
			w.mu.Unlock()
			h, ok := w.hosts[addr]
			if !ok {
				h.after = time.Hour // silent
			}
			if err := wait(ctx, h.after); err != nil {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
			}
			if h.err != nil {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", h.err)}
			}
			w.opened.Add(1)
			return &worldConn{at: addr, w: w}, nil
		})
}

// All addresses of a name are tried, in time, and the first that answers is taken.
func TestDialsAllAddresses(t *testing.T) {
	const lan = time.Millisecond
	refused := syscall.ECONNREFUSED
	for name, c := range map[string]struct {
		names []netip.Addr
		hosts hosts
		limit time.Duration
		want  string // the address that is connected to
		is    error  // or else the error
		not   error
		took  time.Duration
	}{
		"one":                            {names: ips("10.0.0.1"), hosts: hosts{"10.0.0.1:7": {after: lan}}, want: "10.0.0.1:7", took: lan},
		"the first is silent":            {names: ips("10.0.0.1", "10.0.0.2"), hosts: hosts{"10.0.0.2:7": {after: lan}}, want: "10.0.0.2:7", took: attemptDelay + lan},
		"the first refuses":              {names: ips("::1", "127.0.0.1"), hosts: hosts{"[::1]:7": {after: lan, err: refused}, "127.0.0.1:7": {after: lan}}, want: "127.0.0.1:7", took: 2 * lan},
		"little time":                    {names: ips("10.0.0.1", "10.0.0.2", "10.0.0.3"), hosts: hosts{"10.0.0.3:7": {after: lan}}, limit: 400 * time.Millisecond, want: "10.0.0.3:7", took: 200*time.Millisecond + lan},
		"the first answers late":         {names: ips("10.0.0.1", "10.0.0.2"), hosts: hosts{"10.0.0.1:7": {after: 2 * attemptDelay}}, want: "10.0.0.1:7", took: 2 * attemptDelay},
		"the first answers after all":    {names: ips("10.0.0.1", "10.0.0.2"), hosts: hosts{"10.0.0.1:7": {after: attemptDelay + lan}, "10.0.0.2:7": {after: 5 * lan}}, want: "10.0.0.1:7", took: attemptDelay + lan},
		"all refuse":                     {names: ips("::1", "127.0.0.1"), hosts: hosts{"[::1]:7": {after: lan, err: refused}, "127.0.0.1:7": {after: lan, err: refused}}, is: refused, took: 2 * lan},
		"one refuses, the other is mute": {names: ips("::1", "127.0.0.1"), hosts: hosts{"[::1]:7": {after: lan, err: refused}}, not: refused, is: context.DeadlineExceeded, took: 3 * time.Second},
		"one is mute, the other refuses": {names: ips("::1", "127.0.0.1"), hosts: hosts{"127.0.0.1:7": {after: lan, err: refused}}, not: refused, is: context.DeadlineExceeded, took: 3 * time.Second},
		"no IPv6, and nobody there":      {names: ips("::1", "127.0.0.1"), hosts: hosts{"[::1]:7": {err: syscall.EADDRNOTAVAIL}, "127.0.0.1:7": {after: lan, err: refused}}, is: refused, took: lan},
		"no route, and nobody there":     {names: ips("127.0.0.1", "2001:db8::1"), hosts: hosts{"[2001:db8::1]:7": {err: syscall.ENETUNREACH}, "127.0.0.1:7": {after: lan, err: refused}}, is: refused, took: lan},
		"all silent":                     {names: ips("10.0.0.1", "10.0.0.2"), is: context.DeadlineExceeded, took: 3 * time.Second},
		"IPv6 leads nowhere":             {names: ips("::1", "::2", "::3", "127.0.0.1"), hosts: hosts{"127.0.0.1:7": {after: lan}}, want: "127.0.0.1:7", took: attemptDelay + lan},
		"no address":                     {names: ips(), is: &net.DNSError{Err: "no such host", Name: "host", IsNotFound: true}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{names: map[string][]netip.Addr{"host": c.names}, hosts: c.hosts}
				limit := c.limit
				if limit == 0 {
					limit = 3 * time.Second
				}
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				start := time.Now()
				conn, err := w.dial(ctx, "host:7")
				if d := time.Since(start); d != c.took {
					t.Errorf("took %v, want %v", d, c.took)
				}
				if c.want != "" {
					if err != nil || conn.(*worldConn).at != c.want {
						t.Errorf("%v %v, want %s", conn, err, c.want)
					}
				} else if conn != nil || err == nil || c.not != nil && errors.Is(err, c.not) {
					t.Errorf("%v %v", conn, err)
				} else if dns := (*net.DNSError)(nil); !errors.Is(err, c.is) && !errors.As(err, &dns) {
					t.Errorf("%v, want %v", err, c.is)
				}
				synctest.Wait()
				if open := w.opened.Load() - w.closed.Load(); open > 1 || (open == 1) != (c.want != "") {
					t.Errorf("%d connections are open", open)
				}
			})
		})
	}
}

// Of two that answer at the same moment one is kept.
func TestDialsThatAnswerAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 50 {
			w := &world{names: map[string][]netip.Addr{"host": ips("10.0.0.1", "10.0.0.2")}, hosts: hosts{
				"10.0.0.1:7": {after: attemptDelay + time.Second}, "10.0.0.2:7": {after: time.Second},
			}}
			if _, err := w.dial(t.Context(), "host:7"); err != nil {
				t.Fatal(err)
			}
			if open := w.opened.Load() - w.closed.Load(); open != 1 {
				t.Fatalf("%d connections are open", open)
			}
		}
	})
}

// No more than some addresses of a name are tried; an IP address is dialled as it is.
func TestDialBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var many []netip.Addr
		for i := range 100 {
			many = append(many, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
		}
		w := &world{names: map[string][]netip.Addr{"host": many}, hosts: hosts{"[::1]:7": {}}}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := w.dial(ctx, "host:7"); err == nil || len(w.tried) != maxAddrs {
			t.Errorf("%v, %d addresses were tried", err, len(w.tried))
		}
		w.tried = nil
		if _, err := w.dial(t.Context(), "[::1]:7"); err != nil || len(w.tried) != 1 {
			t.Errorf("%v %v", err, w.tried)
		}
		if _, err := w.dial(t.Context(), "nobody:7"); err == nil {
			t.Error("dialled nobody")
		}
	})
}

// wait waits for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
