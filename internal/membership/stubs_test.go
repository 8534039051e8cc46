package membership

import (
	"testing"
	"time"

	"github.com/x/ringdht/internal/control"
)

// led is a ring of twelve in which node 70 is a stub.
func led(t *testing.T) *court {
	t.Helper()
	c := newCourt(t, 12)
	c.a.makeStub(c.now, c.a.byID[70], &stub{until: time.Hour})
	for range 8 {
		c.step()
	}
	return c
}

// A newcomer is told of the stubs behind it before it is in any table.
func TestNewcomerBeforeAStub(t *testing.T) {
	c := led(t)
	ref := admit(t, c.a, 65)
	c.a.Advance(c.now)
	m, found := manifestFor(c.a.Take(), ref)
	if !found || len(m.Stubs) != 1 || m.Stubs[0].ID != 70 {
		t.Errorf("it is told %+v", m)
	}
}

// A stub that comes back is told an epoch of its own, each time.
func TestStubThatComesBack(t *testing.T) {
	c := led(t)
	m := c.a.byID[70]
	last := m.sent
	for range 3 {
		c.a.Disconnected(c.now, m.Ref(), "test")
		if _, err := c.a.Resume(c.now, Request{Addr: m.Addr, ID: 70, Incarnation: m.Incarnation, Epoch: m.sent, Ready: true, Verified: true, Identity: c.a.identity}); err != nil {
			t.Fatal(err)
		}
		c.a.Advance(c.now)
		told := 0
		for _, e := range c.a.Take() {
			if b, ok := e.Body.(control.Manifest); ok && e.Ref == m.Ref() {
				told++
				if b.Epoch <= last {
					t.Errorf("epoch %d after %d", b.Epoch, last)
				}
				last = b.Epoch
			}
			confirm(c.a, e)
		}
		if told != 1 {
			t.Errorf("told %d times", told)
		}
	}
}
