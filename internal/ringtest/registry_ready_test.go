package ringtest_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

// A registry is ready when nodes can join: not before it listens, nor while members of an earlier
// ring have time to come back, nor after its end.
func TestReadinessOfRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(time.Second))
		for range 3 {
			tr.Join(nil)
		}
		tr.Setup(2)
		if err := tr.Registry.ReadyNow(); err != nil {
			t.Error(err)
		}
		old := tr.Registry
		old.Close()
		if err := old.ReadyNow(); !errors.Is(err, ringdht.ErrClosed) {
			t.Error(err)
		}
		for _, n := range tr.Nodes {
			<-n.Disconnected()
		}
		tr.RestartRegistry(ringdht.WithLease(time.Second))
		if err := tr.Registry.WaitMembers(tr.Ctx(), 1); err != nil {
			t.Fatal(err)
		}
		if err := tr.Registry.ReadyNow(); !errors.Is(err, ringdht.ErrRebuilding) {
			t.Error(err)
		}
		tr.WaitSettled()
		if err := tr.Registry.ReadyNow(); err != nil {
			t.Error(err)
		}
		silent, err := ringdht.NewRegistry()
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		if err := silent.ReadyNow(); !errors.Is(err, ringdht.ErrNotReady) {
			t.Error(err)
		}
	})
}
