package node_test

import (
	"testing"
	"testing/synctest"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

// To a registry of a secure ring a node presents the ended incarnations that came with a signature,
// and no others.
func TestNodePresentsWhatIsSigned(t *testing.T) {
	inHand(t, func(t *testing.T, h *ringtest.HandRegistry, _ *memnet.Network, joined <-chan outcome) {
		s := h.Next()
		s.Admit(7, 70)
		admitted(t, joined)
		s.Send(control.TypeManifest, control.Manifest{Epoch: 1, Incarnation: 70})
		s.Send(control.TypeAnnounce, control.Announce{Epoch: 2, Gone: []ring.Ref{{ID: 1, Incarnation: 10}, {ID: 2, Incarnation: 20}}, Signatures: []string{"", "signed"}})
		synctest.Wait()
		s.Close()
		over := h.Next().Register.Over
		if len(over) != 1 || over[0] != (control.Over{ID: 2, Incarnation: 20, Epoch: 2, Signature: "signed"}) {
			t.Errorf("%+v", over)
		}
	})
}
