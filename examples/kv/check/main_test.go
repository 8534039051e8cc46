package check

import (
	"testing"

	"github.com/x/ringdht/internal/leaks"
)

func TestMain(m *testing.M) { leaks.Main(m) }
