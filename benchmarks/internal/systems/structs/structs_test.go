package structs_test

import (
	"testing"

	"github.com/x/ringdht/benchmarks/internal/systems/structs"
	"github.com/x/ringdht/benchmarks/internal/systems/systest"
)

func TestSystem(t *testing.T) { systest.Run(t, structs.New()) }

func BenchmarkSystem(b *testing.B) { systest.Benchmarks(b, structs.New()) }
