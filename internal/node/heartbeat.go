package node

import (
	"runtime"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/handshake"
)

// idleStream is how long a stream may send nothing before both ends forget it.
const idleStream = time.Minute

// heartbeatLoop is the goroutine that sends heartbeats to the registry, checks links, and
// sweeps idle streams.
func (inc *incarnation) heartbeatLoop() {
	ticker := time.NewTicker(inc.lease() / 3)
	defer ticker.Stop()
	// With this period, a link that carries traffic and does not answer is noticed within a
	// lease.
	links := time.NewTicker(inc.checkPeriod())
	defer links.Stop()
	swept, ran := time.Now(), inc.n.cfg.Now()
	thirds := 0 // of a lease, since the latest heartbeat
	for {
		select {
		case <-inc.ctx.Done():
			return
		case <-inc.laterSeen:
			inc.rejoinIfDue()
		case <-links.C:
			runtime.Gosched() // to be as late as goroutines that no timer wakes
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
			inc.wake() // the node may not be authoritative any more
			idle := now.Sub(swept) >= idleStream
			if idle {
				swept = now
			}
			inc.plane.Sweep(idle)
			inc.plane.CheckIncoming(inc.timeout(), inc.knowsMembers())
		}
	}
}

// checkMembership asks the registry whether the node is still a member. This process was
// suspended for so long that it may have been declared dead; until the answer comes, the
// fence lets nothing be sent or handled.
//
// A process that gets the processor late, over and over, still has its connection. There an
// answered heartbeat proves the same as another registration, and costs less. After a longer
// pause the node reconnects.
func (inc *incarnation) checkMembership(pause time.Duration) {
	if inc.contact.suspended(inc.n.cfg.Now()) {
		inc.n.cfg.Log.Warn("the node was paused, asking the registry whether it is still a member", "node", inc.n.Peer(), "for", pause)
	}
	if pause < 2*inc.lease() {
		inc.sendHeartbeat()
	} else {
		inc.n.HangUp()
	}
	if inc.n.isReleased() { // the registry has no answer, and no node takes this one's place
		inc.plane.LowerFence()
	}
}

// sendHeartbeat sends a heartbeat, if there is a connection to the registry. It reports no
// error: controlLoop, which reads from the same connection, gets it too.
func (inc *incarnation) sendHeartbeat() {
	if ctl := inc.n.ctl.Load(); ctl != nil {
		inc.sendHeartbeatOver(ctl)
	}
}

// sendHeartbeatOver sends a heartbeat over a connection.
func (inc *incarnation) sendHeartbeatOver(ctl *control.Conn) error {
	inc.reported.mu.Lock()
	defer inc.reported.mu.Unlock()
	inc.contact.sent(inc.n.cfg.Now())
	return ctl.Send(control.TypeBeat, inc.nextHeartbeat(ctl))
}

// nextHeartbeat makes the next heartbeat for a connection. It leaves out the status if it is
// the same as in the last one there. The first on a connection is complete, since one that
// was sent over a broken connection may be lost. It needs reported.mu.
func (inc *incarnation) nextHeartbeat(ctl *control.Conn) control.Beat {
	b := inc.traffic.progress()
	b.Every = int64(inc.pace.Load())
	b.Late = inc.lateness.takeUnreported().Milliseconds()
	s := inc.status()
	now := control.Pack(&s)
	if last := &inc.reported; last.conn != ctl || !sameStatus(last.status, now) {
		last.conn, last.status = ctl, now
		b.Status = []control.Status{now}
	}
	return b
}
