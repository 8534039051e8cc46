package ringtest_test

import (
	"os"
	"testing"

	"github.com/x/ringdht/internal/leaks"
)

func TestMain(m *testing.M) {
	if lease := os.Getenv(registryRole); lease != "" {
		registryProcess(lease)
		return
	}
	if value := os.Getenv(stateRole); value != "" {
		stateProcess(value)
		return
	}
	if value := os.Getenv(siegeRole); value != "" {
		siegeProcess(value)
		return
	}
	if value := os.Getenv(restRole); value != "" {
		restProcess(value)
		return
	}
	leaks.Main(m)
}
