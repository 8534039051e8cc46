package ringprom

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/memnet"
)

// A secure ring shows its tokens, what it has refused and expelled, and when the first admission
// expires.
func TestSecureRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New(1)
		r, err := ringdht.NewRegistry(ringdht.WithTransport(network.Host("registry")), ringdht.WithSecurity(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := r.Listen(t.Context(), "registry:1"); err != nil {
			t.Fatal(err)
		}
		line, err := r.JoinLine("registry:1")
		if err != nil {
			t.Fatal(err)
		}
		var first ringdht.ID
		for _, host := range []string{"a", "b"} {
			n := ringdht.NewNode(ringdht.WithTransport(network.Host(host)))
			if err := n.Join(t.Context(), line); err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			if first = n.ID(); host == "a" {
				time.Sleep(10 * time.Minute)
			}
		}
		if err := r.Expel(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		if err := ringdht.NewNode(ringdht.WithTransport(network.Host("c"))).Join(t.Context(), line); !errors.Is(err, ringdht.ErrHandshake) {
			t.Fatalf("the line of a token that has ended: %v", err)
		}
		synctest.Wait()
		all := flat(gather(t, gatherer(t, NewRegistryCollector(r))))
		const ring = "{ring=ring}"
		all.want(t, "ringdht_secure"+ring, 1)
		all.want(t, "ringdht_valid_tokens"+ring, 1)
		all.want(t, "ringdht_expelled_nodes"+ring, 1)
		all.want(t, "ringdht_admission_left_min_seconds"+ring, 50*60)
		all.want(t, "ringdht_refused_total{cause=token_over,ring=ring}", 1)
		all.want(t, "ringdht_refused_total{cause=stolen,ring=ring}", 0)
	})
}
