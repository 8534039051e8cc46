//go:build linux

package chaos

import (
	"io"
	"net"
	"sync"
	"testing"
)

// door is an address that leads to another, while it is open. Behind doors a test decides
// which process reaches a restarted registry first.
type door struct {
	listener net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex
	to     string        // "" while it is shut
	passed chan struct{} // closed when the other side has answered, since open
	conns  map[net.Conn]bool
}

func newDoor(t *testing.T) *door {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{listener: l, conns: make(map[net.Conn]bool)}
	d.wg.Go(d.serve)
	t.Cleanup(func() {
		l.Close()
		d.shut()
		d.wg.Wait()
	})
	return d
}

func (d *door) addr() string { return d.listener.Addr().String() }

// open lets connections through. The channel is closed when the other side has answered one.
func (d *door) open(to string) (passed <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.to, d.passed = to, make(chan struct{})
	return d.passed
}

// shut ends all connections, and refuses others.
func (d *door) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.to = ""
	for c := range d.conns {
		c.Close()
	}
}

func (d *door) serve() {
	for {
		c, err := d.listener.Accept()
		if err != nil {
			return
		}
		d.wg.Go(func() { d.pass(c) })
	}
}

// pass copies between two connections until one ends.
func (d *door) pass(c net.Conn) {
	defer c.Close()
	d.mu.Lock()
	to, passed := d.to, d.passed
	d.mu.Unlock()
	if to == "" {
		return
	}
	other, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer other.Close()
	d.mu.Lock()
	d.conns[c] = true
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		delete(d.conns, c)
		d.mu.Unlock()
	}()
	d.wg.Go(func() {
		io.Copy(other, c)
		other.Close()
	})
	first := make([]byte, 1)
	if _, err := io.ReadFull(other, first); err != nil {
		return
	}
	d.mu.Lock()
	if d.passed == passed {
		select {
		case <-passed:
		default:
			close(passed)
		}
	}
	d.mu.Unlock()
	c.Write(first)
	io.Copy(c, other)
}
