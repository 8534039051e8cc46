package main

import (
	"testing"

	"github.com/x/ringdht"
)

// A registry that comes back with another codec refuses the messenger, which says so, with
// the reason, and goes on.
func TestRefusedForGood(t *testing.T) {
	t.Parallel()
	r, addr := newRegistry(t)
	p, _ := start(t, 1, addr)
	r.Close()
	p.Expect(`^The registry at \S+ is gone\.`)
	other, err := ringdht.NewRegistry(ringdht.WithCodec(ringdht.JSON()))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Listen(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	p.Expect(`^The registry at \S+ refuses this node: .*WithCodec`)
}
