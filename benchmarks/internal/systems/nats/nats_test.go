package nats_test

import (
	"testing"

	"github.com/x/ringdht/benchmarks/internal/systems/nats"
	"github.com/x/ringdht/benchmarks/internal/systems/systest"
)

func TestSystem(t *testing.T) { systest.Run(t, nats.New()) }

func BenchmarkSystem(b *testing.B) { systest.Benchmarks(b, nats.New()) }
