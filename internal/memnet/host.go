package memnet

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// The ports that are handed out: to dialers, and to listeners on port 0.
const (
	firstFree = 32768
	lastFree  = 65535
)

// A Host is one machine on a [Network]. Its Listen and Dial together are a transport.
type Host struct {
	net  *Network
	name string

	// guarded by net.mu
	listeners map[int]*listener
	dialing   map[int]struct{}  // ports of standing connections dialed from here
	next      int               // where to look for a free port: going round reuses a port as late as possible
	dialled   map[string]uint64 // connections made from here, by the host they went to
}

// Listen opens a listener on "name:port" or ":port", where name is the host's own; port 0 picks a free one. A port that has a
// listener gives an error matching [syscall.EADDRINUSE], another host's name one matching [syscall.EADDRNOTAVAIL].
// ctx is only consulted before the listener opens; ending it later closes nothing.
func (h *Host) Listen(ctx context.Context, addr string) (net.Listener, error) {
	l, err := h.listen(ctx, addr)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: textAddr(addr), Err: err}
	}
	return l, nil
}

func (h *Host) listen(ctx context.Context, addr string) (*listener, error) {
	name, port, err := h.parse(addr)
	if err != nil {
		return nil, err
	}
	if name != h.name {
		return nil, fmt.Errorf("%w: this host is %q, listen on %q or on %q", syscall.EADDRNOTAVAIL,
			h.name, address(h.name, port), address("", port))
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}

	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if port == 0 {
		if port, err = h.freePort(); err != nil {
			return nil, err
		}
	}
	if h.listeners[port] != nil {
		return nil, syscall.EADDRINUSE
	}
	l := &listener{host: h, port: port, addr: address(h.name, port), arrived: sync.Cond{L: &h.net.mu}}
	h.listeners[port] = l
	return l, nil
}

// Dial connects to the listener on "name:port"; without a name it is this host's own. It returns once the connection is in the
// listener's backlog, as with TCP, without waiting for Accept. While the backlog is full, or a [Network.Hold] is in the way, it
// waits until ctx ends. Where nobody listens, or a [Network.Cut] is in the way, the error matches [syscall.ECONNREFUSED].
// Ending ctx after Dial has returned does nothing to the connection.
func (h *Host) Dial(ctx context.Context, addr string) (net.Conn, error) {
	c, err := h.dial(ctx, addr)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: textAddr(addr), Err: err}
	}
	return c, nil
}

func (h *Host) dial(ctx context.Context, addr string) (*conn, error) {
	name, port, err := h.parse(addr)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d := &dial{from: h, to: name, port: port, done: make(chan struct{})}
	h.net.mu.Lock()
	h.net.try(d)
	h.net.mu.Unlock()
	select {
	case <-d.done:
	case <-ctx.Done():
		h.net.mu.Lock()
		d.finish(nil, ctx.Err()) // unless it was decided meanwhile
		h.net.mu.Unlock()
	}
	return d.conn, d.err
}

// parse splits an address. A name left out is the host's own.
func (h *Host) parse(addr string) (name string, port int, err error) {
	if h.name == "" {
		return "", 0, fmt.Errorf("%w: a host without a name is on no network", syscall.EADDRNOTAVAIL)
	}
	name, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	p, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, &net.AddrError{Err: "invalid port: want a number, 0 to 65535", Addr: addr}
	}
	if name = strings.ToLower(name); name == "" {
		name = h.name
	}
	return name, int(p), nil
}

// freePort returns a port that neither a listener nor a dialer of this host uses. The caller holds net.mu.
func (h *Host) freePort() (int, error) {
	for range lastFree - firstFree + 1 {
		p := h.next
		if h.next++; h.next > lastFree {
			h.next = firstFree
		}
		if _, dialing := h.dialing[p]; !dialing && h.listeners[p] == nil {
			return p, nil
		}
	}
	return 0, fmt.Errorf("%w: all %d ports of host %q are in use, close some connections",
		syscall.EADDRNOTAVAIL, lastFree-firstFree+1, h.name)
}

const network = "mem" // what Network of every address says

// textAddr is an address in memory: "name:port".
type textAddr string

func (a textAddr) Network() string { return network }
func (a textAddr) String() string  { return string(a) }

func address(name string, port int) textAddr {
	return textAddr(net.JoinHostPort(name, strconv.Itoa(port)))
}
