package registry_test

import (
	"testing"

	"github.com/x/ringdht/internal/leaks"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/ringtest"
)

func TestMain(m *testing.M) { leaks.Main(m) }

// refOf returns a node's present incarnation, as the registry knows it.
func refOf(n *ringtest.Node) ring.Ref {
	return ring.Ref{ID: uint64(n.ID()), Incarnation: n.Incarnation()}
}
