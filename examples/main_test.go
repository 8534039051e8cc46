package examples_test

import (
	"os"
	"testing"

	"github.com/x/ringdht/internal/leaks"
)

func TestMain(m *testing.M) { os.Exit(leaks.Run(m, removePrograms)) }
