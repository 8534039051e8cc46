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
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/plane"
	"github.com/x/ringdht/internal/stream"
)

// Traffic is a node's part in traffic runs. What is received counts from the
// first message on, whether or not this node has heard of the run yet: others may
// have started earlier. The port of a message says which run it is of.
type traffic struct {
	inc *incarnation

	ledger atomic.Pointer[ledger] // since the last run

	mu              sync.Mutex
	latestRun       uint64             // the latest run that it was told to take part in
	running         bool               //
	disabled        bool               // the node leaves: it takes part in no run any more
	cancelRun       context.CancelFunc // of the run at hand
	stopped         sync.Cond          // on mu: not running, or quit
	finished        control.Finished   // of the latest run
	collectedLedger *ledger            // of the run that was collected last
	collected       control.Summary    // of it
}

func newTraffic(inc *incarnation) *traffic {
	t := &traffic{inc: inc}
	t.stopped.L = &t.mu
	t.ledger.Store(newLedger())
	return t
}

// receive takes one message; calls for one source do not overlap.
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

// onUndelivered takes a message that its sink is not known to have handled, or that it is known not
// to have. A stream's lock is held.
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

// trafficPort is the port of a run's messages. It tells them from what may still be
// under way from a node that was lost in an earlier run.
func trafficPort(run uint64) uint8 { return portTraffic | uint8(run&0x7f) }

// latest is the number of the latest run that the node knows of.
func (t *traffic) latest() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.latestRun
}

// run carries out a task: send, flush, report. local is what the node had been told when
// the task came. It is a goroutine. A task that it knows already comes again when the
// registry cannot know what became of the first one.
func (t *traffic) run(task control.Task, local *membership.NodeView) {
	t.mu.Lock()
	for t.running && t.latestRun < task.Run { // the registry that asked for it is gone: nobody will collect it
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
		t.mu.Unlock()
		return
	case t.running || task.Run <= t.latestRun:
		t.mu.Unlock()
		t.inc.n.Tell(control.TypeFinished, control.Finished{Run: task.Run, Error: fmt.Sprintf("node %d, run %d: %v", t.inc.self.ID, task.Run, errs.ErrBusy)})
		return
	}
	t.running, t.latestRun = true, task.Run
	t.forgetOtherRuns(task.Run)
	ctx, abort := context.WithCancel(t.inc.ctx)
	t.cancelRun = abort
	t.mu.Unlock()

	err := t.send(ctx, task, local)
	abort()
	if err != nil && t.abortedByLeave() {
		return
	}
	finished := control.Finished{Run: task.Run}
	if err != nil {
		finished.Error = fmt.Sprintf("node %d: %v", t.inc.self.ID, err)
	}
	t.mu.Lock()
	t.running, t.finished = false, finished
	t.stopped.Broadcast()
	t.mu.Unlock()
	if err != nil && t.inc.ctx.Err() != nil {
		return // this life is over: that, and no failure, is what the registry is about to hear
	}
	t.inc.n.Tell(control.TypeFinished, finished)
}

// abortedByLeave says whether a run was broken off because the node leaves. Then nothing is
// reported: the registry waits until the node has left, and makes its account without it.
// An error would spoil the account, since it cannot tell a node that leaves from one that
// failed.
func (t *traffic) abortedByLeave() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.disabled {
		t.running = false
		t.stopped.Broadcast()
	}
	return t.disabled
}

// disable breaks off a run, if there is one, and lets none begin.
func (t *traffic) disable() {
	t.mu.Lock()
	t.disabled = true
	t.stopped.Broadcast()
	t.mu.Unlock()
	t.abortRun()
}

// abortRun breaks off a run, if there is one.
func (t *traffic) abortRun() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.running {
		t.cancelRun()
		t.stopped.Wait()
	}
}

func (t *traffic) send(ctx context.Context, task control.Task, local *membership.NodeView) error {
	n := t.inc.n
	if !n.cfg.Traffic {
		return errors.New("it does not take part in traffic runs (WithTraffic)")
	}
	if task.Messages < 0 || task.Payload > int64(t.inc.self.MaxPayload) {
		return fmt.Errorf("a run of %d messages of %d bytes makes no sense", task.Messages, task.Payload)
	}
	var outcome []control.Pair
	for _, id := range local.Others {
		if _, idle := local.Idle[id]; !idle {
			outcome = append(outcome, control.Pair{ID: id})
		}
	}
	if len(outcome) == 0 {
		return errors.New("it knows no other node that takes part in traffic runs")
	}
	l, port := t.ledger.Load(), trafficPort(task.Run)
	defer l.settle(outcome, port)
	sinks := make([]uint64, len(outcome)) // Await: what the program itself has sent is none of the run's business
	drawn := make([]int, len(outcome))    // indexes of those that are there
	for i := range outcome {
		sinks[i], drawn[i] = outcome[i].ID, i
	}
	rng := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	body := make([]byte, max(4, task.Payload))
	sent, back := int64(0), int64(0) // back: of those sent, the ones that sinks did not handle before they left
	for {
		for sent-back < task.Messages && len(drawn) > 0 {
			pick := rng.IntN(len(drawn))
			to := &outcome[drawn[pick]]
			v := int32(rng.Uint32())
			binary.BigEndian.PutUint32(body, uint32(v))
			err := t.inc.plane.Send(ctx, to.ID, port, body)
			switch {
			case errors.Is(err, stream.ErrNoSuchNode) || errors.Is(err, stream.ErrGone) || errors.Is(err, stream.ErrReset):
				drawn = slices.Delete(drawn, pick, pick+1) // it died: the others get what is left
				continue
			case err != nil:
				return err
			}
			to.N++
			to.Sum += int64(v)
			if sent++; sent&0xff == 0 {
				l.sent.Add(0x100)
			}
		}
		l.sent.Store(task.Messages)
		if err := t.inc.plane.Await(ctx, sinks...); err != nil {
			return err
		}
		n := l.returned(port)
		if n == back {
			return nil
		}
		back = n // the others get them
	}
}

// progress is what a heartbeat says.
func (t *traffic) progress() control.Beat {
	l := t.ledger.Load()
	b := control.Beat{Sent: l.sent.Load()}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.sources {
		b.Received += c.total().n
	}
	return b
}

// collect reports on the run and starts from zero. Everybody has finished by then, so
// nothing of the run is under way, but for what comes from those that were lost.
func (t *traffic) collect(run uint64) control.Summary {
	t.abortRun()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.collectedLedger != nil && t.collected.Run == run { // the first answer was lost
		return t.collected
	}
	l := t.ledger.Load()
	t.ledger.Store(newLedger())
	s := l.summary(trafficPort(run))
	s.Run = run
	s.Relayed, s.Wasted = t.inc.plane.TakeRelays(trafficPort(run))
	t.forgetOtherRuns(run)
	if t.latestRun == run {
		for _, p := range l.outcome {
			s.Sent += p.N
			s.SumSent += p.Sum
			s.Unknown += p.Unknown
			s.SumUnknown += p.SumUnknown
		}
	}
	t.latestRun = max(t.latestRun, run) // those that only relay know of it too
	t.collectedLedger, t.collected = l, s
	return s
}

// MaxPairs bounds the explanation to what the registry takes in one message. In a
// larger ring it sees some of the sources of each node.
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
