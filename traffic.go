package ringdht

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/plane"
)

// traffic is a node's part in traffic runs. What is received counts from the
// first message on, whether or not this node has heard of the run yet: others may
// have started earlier.
type traffic struct {
	n *Node

	ledger  atomic.Pointer[ledger] // of the run at hand
	unknown [128]atomic.Int64      // messages of unknown outcome, by the low bits of their run's port

	mu      sync.Mutex
	running bool
	abort   context.CancelFunc // of the run at hand
	idle    sync.Cond          // on mu: not running
	before  *ledger            // of the run that was collected last
}

// ledger is the account of one run.
type ledger struct {
	after   uint64       // the number of the run before, 0 if there was none
	sent    atomic.Int64 // so far, for progress
	relayed int64        // by the plane before the run

	mu      sync.Mutex
	outcome []control.Pair // of what this node sent, when it has finished
	sources map[uint64]*tally
}

// tally counts what came from one source. Its lock is taken by the one handler of
// that source, and by whoever counts, so it is free as good as always.
type tally struct {
	ledger *ledger

	mu      sync.Mutex
	n, sum  int64
	hops    int64
	maxHops int
}

func newTraffic(n *Node) *traffic {
	t := &traffic{n: n}
	t.idle.L = &t.mu
	t.ledger.Store(&ledger{sources: make(map[uint64]*tally)})
	return t
}

// received takes one message; calls for one source do not overlap.
func (t *traffic) received(d plane.Delivery) {
	if len(d.Body) < 4 || d.Slot == nil {
		t.n.cfg.log.Warn("malformed traffic message", "source", d.Source, "bytes", len(d.Body))
		return
	}
	current := t.ledger.Load()
	if current.straggler(d.Port) {
		return
	}
	c, ok := (*d.Slot).(*tally)
	if !ok || c.ledger != current {
		c = current.source(d.Source)
		*d.Slot = c
	}
	c.mu.Lock()
	c.n++
	c.sum += int64(int32(binary.BigEndian.Uint32(d.Body)))
	c.hops += int64(d.Hops)
	c.maxHops = max(c.maxHops, d.Hops)
	c.mu.Unlock()
}

// lost is called by the plane for each message of unknown outcome.
func (t *traffic) lost(_ uint64, port uint8, _ []byte) { t.unknown[port&0x7f].Add(1) }

// trafficPort is the port of a run's messages. It tells them from what is still
// under way of runs that were broken off.
func trafficPort(run uint64) uint8 { return portTraffic | uint8(run&0x7f) }

// straggler says whether a message is of one of the 64 runs before this one.
func (l *ledger) straggler(port uint8) bool {
	return l.after != 0 && (uint8(l.after)-port)&0x7f < 64
}

func (l *ledger) source(id uint64) *tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.sources[id]
	if c == nil {
		c = &tally{ledger: l}
		l.sources[id] = c
	}
	return c
}

// run carries out a task: send, flush, report. It is a goroutine.
func (t *traffic) run(task control.Task) {
	err := t.send(task)
	finished := control.Finished{Run: task.Run}
	if err != nil {
		finished.Error = err.Error()
	}
	t.n.ctl.Send(control.TypeFinished, finished)
}

func (t *traffic) send(task control.Task) error {
	n := t.n
	if !n.cfg.traffic {
		return fmt.Errorf("node %d does not take part in traffic runs (WithTraffic)", n.ID())
	}
	if task.Messages < 0 || task.Payload > n.MaxPayload() {
		return fmt.Errorf("node %d: a run of %d messages of %d bytes makes no sense", n.ID(), task.Messages, task.Payload)
	}
	t.mu.Lock()
	if t.running || task.Run <= t.ledger.Load().after {
		t.mu.Unlock()
		return fmt.Errorf("node %d, run %d: %w, or it was broken off", n.ID(), task.Run, ErrBusy)
	}
	t.running = true
	ctx, abort := context.WithCancel(n.ctx)
	t.abort = abort
	t.mu.Unlock()
	defer func() {
		abort()
		t.mu.Lock()
		t.running = false
		t.idle.Broadcast()
		t.mu.Unlock()
	}()

	sinks := others(n.manifest.Load())
	if len(sinks) == 0 {
		return fmt.Errorf("node %d knows nobody else to send to", n.ID())
	}
	unknown := &t.unknown[trafficPort(task.Run)&0x7f]
	before := unknown.Load()
	l := t.ledger.Load()
	outcome := make([]control.Pair, len(sinks))
	for i, id := range sinks {
		outcome[i].ID = id
	}
	defer func() {
		l.mu.Lock()
		l.outcome = outcome
		l.mu.Unlock()
	}()
	rng := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	body := make([]byte, max(4, task.Payload))
	for sent := range task.Messages {
		to := &outcome[rng.IntN(len(sinks))]
		value := int32(rng.Uint32())
		binary.BigEndian.PutUint32(body, uint32(value))
		if err := n.send(ctx, ID(to.ID), trafficPort(task.Run), body); err != nil {
			return err
		}
		to.N++
		to.Sum += int64(value)
		if sent&0xff == 0xff {
			l.sent.Add(0x100)
		}
	}
	l.sent.Store(int64(task.Messages))
	// Of these sinks only: what the program itself has sent to somebody slow is none
	// of the run's business.
	if err := n.plane.Await(ctx, sinks...); err != nil {
		return err
	}
	if lost := unknown.Load() - before; lost > 0 {
		return fmt.Errorf("node %d: %d messages of unknown outcome", n.ID(), lost)
	}
	return nil
}

// progress is what a heartbeat says.
func (t *traffic) progress() control.Beat {
	l := t.ledger.Load()
	b := control.Beat{Sent: l.sent.Load()}
	b.Received = l.received().Received
	return b
}

// received adds up what came in.
func (l *ledger) received() (s control.Summary) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.sources {
		c.mu.Lock()
		s.Received += c.n
		s.SumReceived += c.sum
		s.Hops += c.hops
		s.MaxHops = max(s.MaxHops, c.maxHops)
		c.mu.Unlock()
	}
	return s
}

// collect reports on the run and starts from zero. Everybody has finished by then,
// so nothing of the run is under way; unless a node has died, and then the run is
// broken off here.
func (t *traffic) collect(run uint64) control.Summary {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.running {
		t.abort()
		t.idle.Wait()
	}
	relayed := t.n.plane.RelayedOn(portTraffic)
	l := t.ledger.Load()
	t.ledger.Store(&ledger{after: run, sources: make(map[uint64]*tally), relayed: relayed})
	t.before = l
	s := l.received()
	s.Run, s.Relayed = run, relayed-l.relayed
	for _, p := range l.outcome {
		s.Sent += p.N
		s.SumSent += p.Sum
	}
	return s
}

// maxPairs bounds the explanation to what the registry takes in one message. In a
// larger ring it sees some of the sources of each node.
const maxPairs = 8192

// explain lists the pairs of the run that was collected last.
func (t *traffic) explain(run uint64) control.Pairs {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := control.Pairs{Run: run}
	if t.before == nil || t.ledger.Load().after != run {
		return p
	}
	l := t.before
	l.mu.Lock()
	defer l.mu.Unlock()
	p.Sent = l.outcome
	for id, c := range l.sources {
		if len(p.Received) == maxPairs {
			break
		}
		c.mu.Lock()
		p.Received = append(p.Received, control.Pair{ID: id, N: c.n, Sum: c.sum})
		c.mu.Unlock()
	}
	return p
}
