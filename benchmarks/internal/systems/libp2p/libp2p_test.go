package libp2p_test

import (
	"testing"

	"github.com/x/ringdht/benchmarks/internal/systems/libp2p"
	"github.com/x/ringdht/benchmarks/internal/systems/systest"
)

func TestSystem(t *testing.T) { systest.Run(t, libp2p.New()) }

func BenchmarkSystem(b *testing.B) { systest.Benchmarks(b, libp2p.New()) }
