package ringtest

import (
	"os"
	"strings"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/registry"
)

// AllSecure says that all rings of the tests are secure ones: the environment has RINGDHT_SECURE.
// Tests of what only an open ring does are skipped then, see [OpenOnly].
var AllSecure = os.Getenv("RINGDHT_SECURE") != ""

// OpenOnly skips a test of an open ring if all rings are secure ones. why says what would be
// another test there.
func OpenOnly(t testing.TB, why string) {
	t.Helper()
	if AllSecure {
		t.Skip("not in a secure ring: " + why)
	}
}

// Line is what nodes join by: the registry's address, or the join line of a secure ring.
func (tr *Ring) Line() string {
	if !tr.Secure {
		return tr.Addr
	}
	return "rdht1:" + tr.Addr + "/" + tr.credentials
}

// useToken makes nodes join by a token, by default the registry's own.
func (tr *Ring) useToken(number ...uint32) {
	tr.T.Helper()
	line, err := tr.Registry.JoinLine(tr.Addr, number...)
	if err != nil {
		tr.T.Fatal(err)
	}
	_, tr.credentials, _ = strings.Cut(line, "/")
}

// Heir returns the options of a registry that takes the place of the present one without a state:
// opts, and in a secure ring the same key and tokens.
func (tr *Ring) Heir(opts []ringdht.RegistryOption) []ringdht.RegistryOption {
	if !tr.Secure {
		return opts
	}
	before := RegistryOf(tr.Registry)
	opts = append([]ringdht.RegistryOption{ringdht.WithSecurity(0)}, opts...)
	return append(opts, WithRegistryConfig(func(c *registry.Config) { c.Secure.After = before }))
}
