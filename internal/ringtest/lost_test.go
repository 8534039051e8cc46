package ringtest_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

// A registry that has lost its state, with a disk for example, gives the members of its ring time to
// come back. They keep their incarnations, though a newcomer is faster.
func TestStateIsLost(t *testing.T) {
	ringtest.OpenOnly(t, "a registry with another state has another key: its ring is refused")
	dirs := [2]string{t.TempDir(), t.TempDir()}
	synctest.Test(t, func(t *testing.T) {
		net := memnet.New(1)
		self := []ringdht.RegistryOption{ringdht.WithLease(ringtest.Lease), ringdht.WithSelfSetup(0)}
		tr := ringtest.New(t, net, append(self, ringdht.WithState(dirs[0]))...)
		for range 3 {
			tr.Join(nil)
		}
		id, before := checkRing(t, tr), incarnationsOf(tr.Nodes)
		tr.Registry.Close()
		for k := range tr.Nodes {
			net.Cut("registry", fmt.Sprint("n", k))
		}
		tr.RestartRegistry(append(self, ringdht.WithState(dirs[1]))...)
		tr.Name = "m"
		joined := make(chan error, 1)
		go func() {
			_, err := tr.TryJoin(nil)
			joined <- err
		}()
		synctest.Wait() // the newcomer has come, and waits
		for k := range before {
			net.Mend("registry", fmt.Sprint("n", k))
		}
		if err := <-joined; err != nil {
			t.Fatal(err)
		}
		if now := checkRing(t, tr); now != id || len(tr.Nodes) != 4 {
			t.Errorf("ring %s, was %s; %d nodes", now, id, len(tr.Nodes))
		}
		checkSame(t, tr.Nodes[:3], before)
		tr.Close()
	})
}
