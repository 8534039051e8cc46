package registry_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

// A set-up in the grace of an empty registry does not say that no node joins: they wait.
func TestSetupWithoutMembersInTheGrace(t *testing.T) {
	for _, c := range []struct {
		opts  []ringdht.RegistryOption
		waits bool
	}{{nil, false}, {[]ringdht.RegistryOption{ringdht.WithSelfSetup(0)}, true}} {
		tr := ringtest.New(t, memnet.New(1), c.opts...)
		_, err := tr.Registry.Setup(tr.Ctx(), 3)
		if !errors.Is(err, ringdht.ErrNotReady) || errors.Is(err, ringdht.ErrRebuilding) != c.waits || strings.Contains(err.Error(), "new nodes wait") != c.waits {
			t.Error(err)
		}
	}
}
