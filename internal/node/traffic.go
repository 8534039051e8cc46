package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/plane"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/status"
)

// traffic is a node's part in traffic runs. It counts received messages from the first on,
// whether or not this node has heard of the run, since other nodes may have started earlier.
// The port of a message says which run it belongs to.
type traffic struct {
	inc *incarnation

	ledger atomic.Pointer[ledger] // since the last run was collected

	mu              sync.Mutex
	latestRun       uint64 // the latest run that it was told of
	running         bool
	disabled        bool               // the node leaves, and takes part in no run any more
	cancelRun       context.CancelFunc // of the run under way
	stopSending     context.CancelFunc // of the same: it sends no more, and waits until what it sent is delivered
	stopped         sync.Cond          // on mu: not running any more, or disabled
	finished        control.Finished   // of the latest run
	collectedLedger *ledger            // of the run that was collected last
	collected       control.Summary    // of the same run
	past            status.RunFigures  // of all runs before the latest
	pastRuns        int64              // how many these are
}

func newTraffic(inc *incarnation) *traffic {
	t := &traffic{inc: inc}
	t.stopped.L = &t.mu
	t.ledger.Store(newLedger())
	return t
}

// receive counts one message. Calls for one source do not overlap.
func (t *traffic) receive(d *plane.Delivery) {
	if d.Slot == nil {
		t.logMalformed(d)
		return
	}
	current := t.ledger.Load()
	c, ok := (*d.Slot).(*sourceCount)
	if !ok || c.ledger != current || c.port != d.Port || c.stale.Load() {
		if ok {
			c.publish()
		}
		c = current.source(flow{d.Source, d.Port})
		*d.Slot = c
	}
	if len(d.Body) < 4 {
		t.logMalformed(d)
		c.publish()
		return
	}
	c.batch.n++
	c.batch.sum += bodyValue(d.Body)
	c.batch.hops += int64(d.Hops)
	c.batch.maxHops = max(c.batch.maxHops, int64(d.Hops))
	if !d.More {
		c.publish()
	}
}

func (t *traffic) logMalformed(d *plane.Delivery) {
	t.inc.n.cfg.Log.Warn("malformed traffic message", "source", d.Source, "bytes", len(d.Body))
}

func bodyValue(body []byte) int64 { return int64(int32(binary.BigEndian.Uint32(body))) }

// onUndelivered counts a message that its sink did not handle, or may not have handled
// (unknown). A stream's lock is held.
func (t *traffic) onUndelivered(sink uint64, port uint8, body []byte, unknown bool) {
	if len(body) < 4 {
		return
	}
	l := t.ledger.Load()
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.undelivered[flow{sink, port}]
	if p == nil {
		p = new(control.Pair)
		l.undelivered[flow{sink, port}] = p
	}
	if unknown {
		p.Unknown++
		p.SumUnknown += bodyValue(body)
	} else {
		p.N++
		p.Sum += bodyValue(body)
	}
}

// latest is the number of the latest run that the node knows of.
func (t *traffic) latest() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.latestRun
}

// run is the goroutine that carries out a task: send, flush, report. local is what the node had
// been told when the task came. The registry sends a task again when it cannot know what became
// of the first. A task of no messages stops the run: if it comes first, or overtakes the other, the
// node has finished with nothing sent.
func (t *traffic) run(task control.Task, local *membership.NodeView) {
	t.mu.Lock()
	for t.running && t.latestRun < task.Run { // the registry that asked for it is gone, and will not collect it
		t.cancelRun()
		t.stopped.Wait()
	}
	switch {
	case t.finished.Run == task.Run:
		again := t.finished
		t.mu.Unlock()
		t.inc.n.Tell(control.TypeFinished, again)
		return
	case t.running && t.latestRun == task.Run || t.disabled:
		if t.running && task.Messages == 0 {
			t.stopSending()
		}
		t.mu.Unlock()
		return
	case t.running || task.Run <= t.latestRun:
		t.mu.Unlock()
		t.inc.n.Tell(control.TypeFinished, control.Finished{Run: task.Run, Error: fmt.Sprintf("node %d, run %d: %v", t.inc.self.ID, task.Run, errs.ErrBusy)})
		return
	}
	t.running = true
	t.begin(task.Run)
	t.forgetOtherRuns(task.Run)
	ctx, cancel := context.WithCancel(t.inc.ctx)
	sending, stop := context.WithCancelCause(ctx)
	t.cancelRun, t.stopSending = cancel, func() { stop(errRunStopped) }
	t.mu.Unlock()

	err := t.send(ctx, sending, task, local)
	cancel()
	if err != nil && t.abortedByLeave() {
		return
	}
	finished := control.Finished{Run: task.Run}
	if err != nil {
		finished.Error = handshake.Quote(fmt.Sprintf("node %d: %v", t.inc.self.ID, err))
	}
	t.mu.Lock()
	t.running, t.finished = false, finished
	t.stopped.Broadcast()
	t.mu.Unlock()
	if err != nil && t.inc.ctx.Err() != nil {
		return // the incarnation has ended; the registry is about to hear that, and there was no failure
	}
	t.inc.n.Tell(control.TypeFinished, finished)
}

// abortedByLeave reports whether a run was aborted because the node leaves. Then it reports
// nothing: the registry waits until the node has left, and makes its account without it. An
// error would spoil the account, since the registry cannot tell a node that leaves from one
// that failed.
func (t *traffic) abortedByLeave() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.disabled {
		t.running = false
		t.stopped.Broadcast()
	}
	return t.disabled
}

// disable aborts the run under way, if there is one, and lets no other begin.
func (t *traffic) disable() {
	t.mu.Lock()
	t.disabled = true
	t.stopped.Broadcast()
	t.mu.Unlock()
	t.abortRun()
}

// abortRun aborts the run under way, if there is one, and waits for its end.
func (t *traffic) abortRun() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.running {
		t.cancelRun()
		t.stopped.Wait()
	}
}

// errRunStopped is why a run sends no more.
var errRunStopped = errors.New("the run is stopped")

// send sends the messages of a run to random sinks until sending ends, a context within ctx, and
// waits until they are delivered. Other sinks get the messages that came back.
func (t *traffic) send(ctx, sending context.Context, task control.Task, local *membership.NodeView) error {
	n := t.inc.n
	if !n.cfg.Traffic {
		return errors.New("it does not take part in traffic runs (WithTraffic)")
	}
	if task.Messages < 0 || task.Payload > int64(t.inc.self.MaxPayload) {
		return fmt.Errorf("a run of %d messages of %d bytes makes no sense", task.Messages, task.Payload)
	}
	var outcome []control.Pair
	for m := range local.Others.All() {
		if !m.Idle && local.Serves(m.Ref) {
			outcome = append(outcome, control.Pair{ID: m.ID})
		}
	}
	if len(outcome) == 0 {
		return errors.New("it knows no other node that takes part in traffic runs")
	}
	l, port := t.ledger.Load(), trafficPort(task.Run)
	defer l.settle(outcome, port)
	sinks := make([]uint64, len(outcome)) // for Await, which must not wait for messages of the program itself
	alive := make([]int, len(outcome))    // indexes of the sinks that have not died
	for i := range outcome {
		sinks[i], alive[i] = outcome[i].ID, i
	}
	rng := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	body := make([]byte, max(4, task.Payload))
	var now progress
	pace := progressEvery(len(body))
	left := pace         // until the ledger has the progress
	returned := int64(0) // of those sent, not handled by their sink before it left
	for {
		for now.sent-returned < task.Messages && len(alive) > 0 {
			pick := rng.IntN(len(alive))
			to := &outcome[alive[pick]]
			v := int32(rng.Uint32())
			binary.BigEndian.PutUint32(body, uint32(v))
			err := t.inc.plane.Send(sending, to.ID, port, body)
			switch {
			case errors.Is(err, stream.ErrNoSuchNode) || errors.Is(err, stream.ErrGone):
				alive = slices.Delete(alive, pick, pick+1) // the others get its share
				continue
			case errors.Is(err, errRunStopped):
				alive = nil
				continue
			case err != nil:
				return err
			}
			to.N++
			to.Sum += int64(v)
			now.sent++
			now.sum += int64(v)
			if left--; left == 0 {
				left = pace
				l.setProgress(now)
			}
		}
		l.setProgress(now)
		if err := t.inc.plane.Await(ctx, sinks...); err != nil {
			return err
		}
		back := l.returned(port)
		if back == returned {
			return nil
		}
		returned = back
	}
}

// progress is the part of a heartbeat that says how far the run is.
func (t *traffic) progress() control.Beat {
	l := t.ledger.Load()
	l.mu.Lock()
	defer l.mu.Unlock()
	b := control.Beat{Sent: l.progress.sent}
	for _, c := range l.sources {
		b.Received += c.total().n
	}
	return b
}

// collect returns the summary of a run, and starts from zero. By then all nodes have finished,
// so nothing of the run is under way, except from nodes that were lost.
func (t *traffic) collect(run uint64) control.Summary {
	t.abortRun()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.collectedLedger != nil && t.collected.Run == run { // the first answer was lost
		return t.collected
	}
	known := t.latestRun == run // if not, the node only relays, and hears of the run here
	t.begin(run)
	l := t.ledger.Load()
	t.ledger.Store(newLedger())
	s := l.summary(trafficPort(run))
	s.Run = run
	s.Relayed, s.Wasted = t.inc.plane.TakeRelays(trafficPort(run))
	t.forgetOtherRuns(run)
	if known {
		l.addSent(&s, trafficPort(run))
	}
	t.collectedLedger, t.collected = l, s
	return s
}

// MaxPairs bounds an explanation to what the registry takes in one message. In a larger ring
// it sees some of the sources of each node.
const MaxPairs = 8192

// explain lists the pairs of the run that was collected last.
func (t *traffic) explain(run uint64) control.Pairs {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := control.Pairs{Run: run}
	if t.collectedLedger == nil || t.collected.Run != run {
		return p
	}
	l := t.collectedLedger
	l.mu.Lock()
	defer l.mu.Unlock()
	p.Sent = l.outcome
	for from, c := range l.sources {
		if from.port != trafficPort(run) {
			continue
		}
		if len(p.Received) == MaxPairs {
			break
		}
		r := c.total()
		p.Received = append(p.Received, control.Pair{ID: from.peer, N: r.n, Sum: r.sum})
	}
	return p
}
