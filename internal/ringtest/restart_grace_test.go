package ringtest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// A registry with a grace period may replace one without. The ring is live when its members are
// back, and needs no set-up.
func TestRestartWithGrace(t *testing.T) { synctest.Test(t, restartWithGrace) }

func restartWithGrace(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(time.Second))
	for range 4 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	tr.Setup(2)
	tr.Registry.Close()
	for _, n := range tr.Nodes {
		<-n.Disconnected()
	}
	tr.RestartRegistry(ringdht.WithLease(time.Second), ringdht.WithGrace(time.Second))
	if err := tr.Registry.WaitMembers(tr.Ctx(), 4); err != nil {
		t.Fatal(err)
	}
	tr.WaitSettled()
	newcomer := tr.Join(nil, ringdht.WithTraffic())
	if err := newcomer.Ready(tr.Ctx()); err != nil {
		t.Fatal(err)
	}
	tr.Run(status.Traffic{Messages: 100})
	if a := tr.Registry.Audit(); !a.OK() || a.Nodes != 5 || a.Entries != 2 {
		t.Errorf("audit: %v", a)
	}
}
