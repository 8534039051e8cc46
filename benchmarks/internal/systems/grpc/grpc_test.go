package grpc_test

import (
	"testing"

	"github.com/x/ringdht/benchmarks/internal/systems/grpc"
	"github.com/x/ringdht/benchmarks/internal/systems/systest"
)

func TestSystem(t *testing.T) { systest.Run(t, grpc.New()) }

func TestBatched(t *testing.T) { systest.Run(t, grpc.Batched()) }

func BenchmarkSystem(b *testing.B) { systest.Benchmarks(b, grpc.New()) }
