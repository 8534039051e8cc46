package node

import (
	"slices"
	"sync"

	"github.com/x/ringdht/internal/control"
)

// news leaves out of heartbeats what the registry has been told already.
type news struct {
	mu   sync.Mutex    // held until a heartbeat is queued, so that none overtakes a later one
	to   *control.Conn // over which the latest went
	last control.Status
}

// sayAlive sends a heartbeat, if there is a registry.
func (inc *incarnation) sayAlive() {
	if ctl := inc.n.ctl.Load(); ctl != nil {
		inc.beat(ctl) // an error: who listens has it too
	}
}

// beat sends a heartbeat over a connection.
func (inc *incarnation) beat(ctl *control.Conn) error {
	inc.news.mu.Lock()
	defer inc.news.mu.Unlock()
	inc.pulse.asked(inc.n.cfg.Now())
	return ctl.Send(control.TypeBeat, inc.heartbeat(ctl))
}

// heartbeat makes what is sent next over a connection; it needs news.mu. A connection that
// has broken may have lost one, and a new one begins with everything.
func (inc *incarnation) heartbeat(ctl *control.Conn) control.Beat {
	b := inc.traffic.progress()
	b.Every = int64(inc.pace.Load())
	b.Late = inc.late.take().Milliseconds()
	s := inc.status()
	now := control.Pack(&s)
	if n := &inc.news; n.to != ctl || !same(n.last, now) {
		n.to, n.last = ctl, now
		b.Status = []control.Status{now}
	}
	return b
}

func same(a, b control.Status) bool {
	return a.Epoch == b.Epoch && a.Members == b.Members && a.Took == b.Took &&
		slices.Equal(a.Counters, b.Counters) && slices.Equal(a.Hops, b.Hops) && slices.Equal(a.Latency, b.Latency) &&
		slices.Equal(a.Links, b.Links) && slices.Equal(a.Streams, b.Streams) && slices.Equal(a.Limits, b.Limits)
}
