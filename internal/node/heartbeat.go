package node

import (
	"runtime"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/handshake"
)

// idleStream is how long a stream may send nothing before both ends forget it.
const idleStream = time.Minute

// heartbeatLoop is the goroutine that sends heartbeats to the registry and notices its silence,
// checks links, and sweeps idle streams.
//
// One timer does for all, since a wakeup is most of what a node at rest costs. It runs every
// third of a lease. In between it runs while a link carries traffic, and when the registry's timeout
// ends. So a link that does not answer is noticed within a lease, or 7/6 of one if its traffic begins
// after a rest.
func (inc *incarnation) heartbeatLoop() {
	third := inc.lease() / 3
	half := (third + 1) / 2
	waited, wait := time.Duration(0), third // waited is since the last third
	timer := time.NewTimer(wait)
	defer timer.Stop()
	inc.lateness.sleeps(time.Now().Add(wait))
	last := pulse{swept: time.Now(), ran: inc.n.cfg.Now()}
	for {
		select {
		case <-inc.ctx.Done():
			return
		case <-inc.laterSeen:
			inc.rejoinIfDue()
			continue
		case <-timer.C:
		}
		runtime.Gosched() // to be as late as goroutines that no timer wakes
		inc.noteLateness()
		if waited += wait; waited >= third {
			waited = 0
			inc.beat(&last) // before pings are queued: its status counts them
		}
		busy := inc.plane.CheckLinks(inc.lease() * 2 / 3)
		wait = min(third-waited, inc.checkSilence())
		if busy {
			wait = min(wait, half)
		}
		inc.lateness.sleeps(time.Now().Add(wait))
		timer.Reset(wait)
	}
}

// pulse is what heartbeatLoop remembers.
type pulse struct {
	thirds int       // of a lease, since the latest heartbeat
	swept  time.Time // when idle streams were closed last
	ran    time.Time // when the node last ran, and was not suspended
}

// beat does what is due every third of a lease.
func (inc *incarnation) beat(last *pulse) {
	if !inc.plane.Running() {
		inc.checkMembership(handshake.Elapsed(last.ran, inc.n.cfg.Now()))
		return
	}
	last.ran = inc.n.cfg.Now()
	if last.thirds++; last.thirds >= int(inc.pace.Load()) {
		last.thirds = 0
		inc.sendHeartbeat()
	}
	inc.wake() // the node may not be authoritative any more
	idle := time.Since(last.swept) >= idleStream
	if idle {
		last.swept = time.Now()
	}
	inc.plane.Sweep(idle)
	inc.n.warnOfAge()
	inc.plane.CheckIncoming(inc.timeout(), inc.knowsMembers())
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
