package jetstream_test

import (
	"testing"

	"github.com/x/ringdht/benchmarks/internal/systems/jetstream"
	"github.com/x/ringdht/benchmarks/internal/systems/systest"
)

func TestSystem(t *testing.T) { systest.Run(t, jetstream.New()) }

func TestBatched(t *testing.T) { systest.Run(t, jetstream.Batched()) }

func BenchmarkSystem(b *testing.B) { systest.Benchmarks(b, jetstream.New()) }
