package node_test

import (
	"testing"

	"github.com/x/ringdht/internal/ringtest"
)

func TestMain(m *testing.M) { ringtest.Main(m) }
