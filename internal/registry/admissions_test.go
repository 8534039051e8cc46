package registry

import (
	"testing"
	"time"

	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/secure"
)

func TestHoldersAreBounded(t *testing.T) {
	var h holders
	put := func(i int) ring.Ref {
		ref := ring.Ref{ID: uint64(i), Incarnation: uint64(i)}
		h.put(holder{key: secure.Key{byte(i), byte(i >> 8), 1}, ref: ref, since: at(i), until: at(i + 10)})
		return ref
	}
	put(0)
	for i := 1; i <= 3*maxAway; i++ {
		h.end(put(i))
		if h.away > maxAway || len(h.byKey) != h.away+1 || len(h.byRef) != 1 {
			t.Fatalf("after %d: %d away, %d by key, %d by incarnation", i, h.away, len(h.byKey), len(h.byRef))
		}
	}
	if n := h.named(3 * maxAway); n == nil || n.present || h.named(1) != nil {
		t.Error("the latest is forgotten, or the earliest is not")
	}
	if n := h.named(0); n == nil || !n.present {
		t.Error("a member is forgotten")
	}
	h.expire(at(0).Add(24 * time.Hour))
	if h.away != 0 || len(h.byKey) != 1 {
		t.Errorf("%d away", h.away)
	}
	// The same process with another incarnation, and another one with the same ID.
	h.put(holder{key: secure.Key{0, 0, 1}, ref: ring.Ref{ID: 0, Incarnation: 9}, since: at(1)})
	h.end(ring.Ref{})
	if n := h.named(0); !n.present || n.ref.Incarnation != 9 {
		t.Errorf("%+v", n)
	}
	h.end(ring.Ref{Incarnation: 9})
	h.put(holder{key: secure.Key{7}, ref: ring.Ref{ID: 0, Incarnation: 10}})
	if n := h.named(0); n.key != (secure.Key{7}) {
		t.Errorf("one that is away counts more than a member: %+v", n)
	}
}
