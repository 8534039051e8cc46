package reference_test

import (
	"testing"

	"github.com/x/ringdht/benchmarks/internal/systems/reference"
	"github.com/x/ringdht/benchmarks/internal/systems/systest"
)

func TestRaw(t *testing.T)   { systest.Run(t, reference.Raw()) }
func TestRelay(t *testing.T) { systest.Run(t, reference.Relay()) }
func TestIdeal(t *testing.T) { systest.Run(t, reference.Ideal()) }

func TestRawStretches(t *testing.T)   { systest.Run(t, reference.RawStretches()) }
func TestRelayStretches(t *testing.T) { systest.Run(t, reference.RelayStretches()) }
func TestIdealStretches(t *testing.T) { systest.Run(t, reference.IdealStretches()) }
