package node

import (
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/handshake"
)

// lastReported leaves out of heartbeats what the registry has been told already.
type lastReported struct {
	mu     sync.Mutex    // held until a heartbeat is queued, so that none overtakes a later one
	conn   *control.Conn // over which the latest went
	status control.Status
}

// sendHeartbeat sends a heartbeat, if there is a registry.
func (inc *incarnation) sendHeartbeat() {
	if ctl := inc.n.ctl.Load(); ctl != nil {
		inc.sendHeartbeatOver(ctl) // an error: who listens has it too
	}
}

// sendHeartbeatOver sends a heartbeat over a connection.
func (inc *incarnation) sendHeartbeatOver(ctl *control.Conn) error {
	inc.reported.mu.Lock()
	defer inc.reported.mu.Unlock()
	inc.contact.sent(inc.n.cfg.Now())
	return ctl.Send(control.TypeBeat, inc.nextHeartbeat(ctl))
}

// nextHeartbeat makes what is sent next over a connection; it needs news.mu. A connection that
// has broken may have lost one, and a new one begins with everything.
func (inc *incarnation) nextHeartbeat(ctl *control.Conn) control.Beat {
	b := inc.traffic.progress()
	b.Every = int64(inc.pace.Load())
	b.Late = inc.lateness.takeUnreported().Milliseconds()
	s := inc.status()
	now := control.Pack(&s)
	if n := &inc.reported; n.conn != ctl || !sameStatus(n.status, now) {
		n.conn, n.status = ctl, now
		b.Status = []control.Status{now}
	}
	return b
}

func sameStatus(a, b control.Status) bool {
	return a.Epoch == b.Epoch && a.Members == b.Members && a.Took == b.Took &&
		slices.Equal(a.Counters, b.Counters) && slices.Equal(a.Hops, b.Hops) && slices.Equal(a.Latency, b.Latency) &&
		slices.Equal(a.Links, b.Links) && slices.Equal(a.Streams, b.Streams) && slices.Equal(a.Limits, b.Limits)
}

// heartbeatLoop is the goroutine that tells the registry that the node lives, and looks after
// links and what is idle.
func (inc *incarnation) heartbeatLoop() {
	ticker := time.NewTicker(inc.lease() / 3)
	defer ticker.Stop()
	// A link that carries traffic and does not answer is noticed within a lease.
	links := time.NewTicker(inc.checkPeriod())
	defer links.Stop()
	last, ran := time.Now(), inc.n.cfg.Now()
	thirds := 0 // of a lease, since the latest beat
	for {
		select {
		case <-inc.ctx.Done():
			return
		case <-inc.laterSeen:
			inc.rejoinIfDue()
		case <-links.C:
			runtime.Gosched() // to be as late as those that a timer does not wake
			inc.noteLateness()
			inc.plane.CheckLinks(inc.lease() * 2 / 3)
		case now := <-ticker.C:
			if !inc.plane.Running() {
				inc.checkMembership(handshake.Elapsed(ran, inc.n.cfg.Now()))
				continue
			}
			ran = inc.n.cfg.Now()
			if thirds++; thirds >= int(inc.pace.Load()) {
				thirds = 0
				inc.sendHeartbeat()
			}
			inc.wake() // it may have been long since the registry was heard
			idle := now.Sub(last) >= idleStream
			if idle {
				last = now
			}
			inc.plane.Sweep(idle)
		}
	}
}

// checkMembership asks the registry whether the node is a member: this process was stopped for so
// long that it may have been declared dead. Nothing is sent or handled until that is
// known. Of a process that gets the processor late, over and over, the connection is
// there, and a heartbeat that is answered over it says the same as another registration,
// for less. After a longer stop the node connects again.
func (inc *incarnation) checkMembership(pause time.Duration) {
	if inc.contact.suspended(inc.n.cfg.Now()) {
		inc.n.cfg.Log.Warn("the node was paused, asking the registry whether it is still a member", "node", inc.n.Peer(), "for", pause)
	}
	if pause < 2*inc.lease() {
		inc.sendHeartbeat()
	} else {
		inc.n.HangUp()
	}
	if inc.n.isReleased() { // nobody is left to ask, and nobody takes its place
		inc.plane.LowerFence()
	}
}
