package node

import (
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/errs"
)

// TrafficPort is the port of a run's messages.
var TrafficPort = trafficPort

// BeginClose does what Close does first.
func (n *Node) BeginClose() { n.stop(errs.ErrClosed) }

// AskToLeave asks the registry to take the node out, and returns its answer.
func (n *Node) AskToLeave() error {
	n.Tell(control.TypeDeregister, control.Deregister{ID: uint64(n.ID()), Addr: n.address()})
	return <-n.deregistered
}

// RunTask carries out a task that no registry asks for.
func (n *Node) RunTask(task control.Task) {
	inc := n.inc.Load()
	inc.traffic.run(task, inc.local.Load())
}

// LoseMessage takes it that a message of a run to another node has no known outcome.
func (n *Node) LoseMessage(run uint64) {
	inc := n.inc.Load()
	inc.traffic.onUndelivered(inc.local.Load().Others.At(0).ID, trafficPort(run), make([]byte, 4), true)
}

// SetLatestRun makes a run the latest that the node knows of, as it tells the registry when
// it connects again.
func (n *Node) SetLatestRun(run uint64) {
	t := n.inc.Load().traffic
	t.mu.Lock()
	defer t.mu.Unlock()
	t.latestRun = run
}

// RunLate makes the node's goroutines seem late.
func (n *Node) RunLate(by time.Duration) {
	l := &n.inc.Load().lateness
	l.mu.Lock()
	defer l.mu.Unlock()
	l.due = l.due.Add(-by)
}

// SendHeartbeat sends a heartbeat.
func (n *Node) SendHeartbeat() { n.inc.Load().sendHeartbeat() }

// Heartbeat is the next heartbeat over the node's connection to the registry, or over
// another one.
func (n *Node) Heartbeat(another bool) control.Beat {
	inc, ctl := n.inc.Load(), n.ctl.Load()
	if another {
		ctl = nil
	}
	inc.reported.mu.Lock()
	defer inc.reported.mu.Unlock()
	return inc.nextHeartbeat(ctl)
}

// Unanswered is the number of heartbeats that the registry has not answered.
func (n *Node) Unanswered() int {
	p := &n.inc.Load().contact
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.unanswered)
}
