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

// A Host is one machine on a [Network]. Its Listen and Dial make it a ringdht Transport. Its
// methods may be called concurrently.
type Host struct {
	net  *Network
	name string

	// guarded by net.mu
	listeners map[int]*listener
	dialing   map[int]struct{}  // ports of standing connections dialled from here
	next      int               // the next port to try: round-robin reuses a port as late as possible
	dialled   map[string]uint64 // connections ever dialled from here, by the other host
}

// Listen opens a listener on "name:port" or ":port", where name must be the host's own. Port 0
// picks a free port. The error matches [syscall.EADDRINUSE] if the port has a listener, and
// [syscall.EADDRNOTAVAIL] if the name is another host's. Ending ctx after Listen has returned
// has no effect.
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

// Dial connects to the listener on "name:port", or on ":port" of the same host. As with TCP, it
// returns once the connection is in the listener's backlog, and does not wait for Accept. It
// waits while the backlog is full or a [Network.Hold] is in the way, until ctx ends. The error
// matches [syscall.ECONNREFUSED] if there is no listener, or a [Network.Cut] is in the way.
// Ending ctx after Dial has returned has no effect.
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
		d.finish(nil, ctx.Err()) // has no effect if the dial has ended meanwhile
		h.net.mu.Unlock()
	}
	return d.conn, d.err
}

// parse splits an address. An empty name is the host's own.
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

// freePort returns a port that no listener and no connection of this host uses. It requires
// net.mu.
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

const network = "mem" // of every address

// textAddr is an address in memory: "name:port".
type textAddr string

func (a textAddr) Network() string { return network }
func (a textAddr) String() string  { return string(a) }

func address(name string, port int) textAddr {
	return textAddr(net.JoinHostPort(name, strconv.Itoa(port)))
}
