package node

import (
	"slices"
	"sync"

	"github.com/x/ringdht/internal/control"
)

// lastReported is the status in the latest heartbeat that had one.
type lastReported struct {
	mu     sync.Mutex    // held until a heartbeat is queued, so that heartbeats go out in order
	conn   *control.Conn // over which it went
	status control.Status
}

func sameStatus(a, b control.Status) bool {
	return a.Epoch == b.Epoch && a.Members == b.Members && a.Took == b.Took &&
		slices.Equal(a.Counters, b.Counters) && slices.Equal(a.Hops, b.Hops) && slices.Equal(a.Latency, b.Latency) &&
		slices.Equal(a.Links, b.Links) && slices.Equal(a.Streams, b.Streams) && slices.Equal(a.Limits, b.Limits) &&
		slices.EqualFunc(a.Keys, b.Keys, func(a, b control.KeyFigures) bool {
			return a.Service == b.Service && slices.Equal(a.Figures, b.Figures)
		})
}
