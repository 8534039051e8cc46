package ringtest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// Ten nodes that send messages of 64 KiB as fast as they can are silent soon after the word to stop.
// `go test -v -run StopIsQuick` says how soon.
func TestStopIsQuick(t *testing.T) {
	for name, net := range map[string]*memnet.Network{"TCP": nil, "memory": memnet.New(1)} {
		t.Run(name, func(t *testing.T) {
			tr := ringtest.New(t, net)
			for range 10 {
				tr.Join(nil, ringdht.WithTraffic())
			}
			tr.Setup(3)
			for range 3 {
				ctx, cancel := context.WithCancel(tr.Ctx())
				over := make(chan error, 1)
				go func() {
					_, err := tr.Registry.RunTraffic(ctx, status.Traffic{Messages: 1 << 30, Payload: 64 << 10})
					over <- err
				}()
				ringtest.WaitUntil(t, "all send", func() bool {
					for _, n := range tr.Nodes {
						if r := n.Status().Runs.Latest; !r.UnderWay || r.Sent == 0 {
							return false
						}
					}
					return true
				})
				start := time.Now()
				cancel()
				if err := <-over; !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				returned := time.Since(start)
				silent := start
				sent := func() (n int64) {
					for _, node := range tr.Nodes {
						n += node.Status().Runs.Latest.Sent
					}
					return n
				}
				for last := sent(); tr.Registry.Snapshot().Running != nil; time.Sleep(100 * time.Microsecond) {
					if now := sent(); now != last {
						last, silent = now, time.Now()
					}
				}
				t.Logf("the call has returned after %v, all are silent after %v, the account is there after %v", returned, silent.Sub(start), time.Since(start))
				ringtest.CheckElapsed(t, "the stop", start, 30*time.Second)
				s := tr.Registry.Snapshot().Last
				if !s.Stopped || !s.Balanced() || s.Sum.Sent != s.Sum.Received {
					t.Errorf("%s", s.Verdict())
				}
				tr.CheckNodeRuns(s)
			}
			tr.Run(status.Traffic{Messages: 100})
		})
	}
}
