package membership

import (
	"strings"
	"testing"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// A node keeps the signature of each ended incarnation that came with one, beside it.
func TestOverKeepsSignatures(t *testing.T) {
	view := &NodeView{Bits: 8, Self: ring.Ref{ID: 1}}
	view = view.Announce(control.Announce{Epoch: 5, Gone: []ring.Ref{{ID: 2, Incarnation: 20}, {ID: 3, Incarnation: 30}}, Signatures: []string{"two", "three"}}, nil)
	view, err := view.Update(control.Update{Epoch: 6, Gone: []ring.Ref{{ID: 4, Incarnation: 40}, {ID: 5, Incarnation: 50}}, Signatures: []string{"four"}})
	if err != nil {
		t.Fatal(err)
	}
	many := control.Announce{Epoch: 7, Gone: []ring.Ref{{ID: 2, Incarnation: 20}, {ID: 6, Incarnation: 60}}, Signatures: []string{"again", strings.Repeat("x", 1000)}}
	view = view.Announce(many, nil)
	want := []control.Over{{ID: 3, Incarnation: 30, Epoch: 5, Signature: "three"}, {ID: 4, Incarnation: 40, Epoch: 6, Signature: "four"}, {ID: 5, Incarnation: 50, Epoch: 6}, {ID: 2, Incarnation: 20, Epoch: 7, Signature: "again"}, {ID: 6, Incarnation: 60, Epoch: 7}}
	if len(view.Over) != len(want) {
		t.Fatalf("%+v", view.Over)
	}
	for i, o := range view.Over {
		if o != want[i] {
			t.Errorf("%+v, want %+v", o, want[i])
		}
	}
	crowd := control.Announce{Epoch: 8}
	for i := range uint64(control.MaxOver + 10) {
		crowd.Gone = append(crowd.Gone, ring.Ref{ID: 100 + i, Incarnation: 1})
		crowd.Signatures = append(crowd.Signatures, strings.Repeat("s", int(i)%80+1))
	}
	view = view.Announce(crowd, nil)
	for _, o := range view.Over {
		if len(o.Signature) != int(o.ID-100)%80+1 {
			t.Errorf("%d has the signature of another", o.ID)
		}
	}
	if len(view.Over) != control.MaxOver {
		t.Errorf("%d remembered", len(view.Over))
	}
}
