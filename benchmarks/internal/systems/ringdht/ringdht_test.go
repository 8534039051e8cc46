package ringdht_test

import (
	"testing"

	"github.com/x/ringdht/benchmarks/internal/systems/ringdht"
	"github.com/x/ringdht/benchmarks/internal/systems/systest"
)

func TestStreams(t *testing.T) { systest.Run(t, ringdht.New()) }
