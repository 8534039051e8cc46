package ringdht

import (
	"testing"
	"time"
)

// A member that the registry reaches and nobody else does: everybody says so once, and
// is not sent to and fro between trying to lead around it and giving up.
func TestUnreachableByAllButTheRegistry(t *testing.T) {
	timed(t, 0, six, func(t *testing.T, tr *testRing, net *MemoryNetwork) {
		epoch := tr.registry.Epoch()
		for _, other := range []string{"n0", "n1", "n3", "n4", "n5"} {
			net.Cut("n2", other)
		}
		time.Sleep(time.Minute) // which never passes if they are at it without a pause
		if now := tr.registry.Epoch(); now > epoch+50 || len(tr.registry.Members()) != 6 {
			t.Errorf("epoch %d after epoch %d; %v", now, epoch, tr.registry.Members())
		}
		for _, other := range []string{"n0", "n1", "n3", "n4", "n5"} {
			net.Mend("n2", other)
		}
		if err := tr.registry.await(tr.ctx(), func() bool { return len(tr.registry.members.Parted()) == 0 }); err != nil {
			t.Fatal(err)
		}
		tr.exchange(tr.nodes...)
	})
}
