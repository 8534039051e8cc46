package ringtest_test

import (
	"testing"
	"time"

	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

// The registry reaches a member, and no other member does. Each member reports that once. The
// detours do not flap.
func TestUnreachableByAllButTheRegistry(t *testing.T) {
	ringtest.InBubble(t, 0, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		epoch := tr.Registry.Epoch()
		for _, other := range []string{"n0", "n1", "n3", "n4", "n5"} {
			net.Cut("n2", other)
		}
		time.Sleep(time.Minute) // in virtual time: never over if they report all the time
		if now := tr.Registry.Epoch(); now > epoch+50 || len(tr.Registry.Members()) != 6 {
			t.Errorf("epoch %d after epoch %d; %v", now, epoch, tr.Registry.Members())
		}
		for _, other := range []string{"n0", "n1", "n3", "n4", "n5"} {
			net.Mend("n2", other)
		}
		if err := ringtest.RegistryOf(tr.Registry).Await(tr.Ctx(), func() bool { return len(ringtest.RegistryOf(tr.Registry).Authority().Unreachable()) == 0 }); err != nil {
			t.Fatal(err)
		}
		tr.Exchange(tr.Nodes...)
	})
}
