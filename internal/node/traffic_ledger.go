package node

import (
	"sync"
	"sync/atomic"

	"github.com/x/ringdht/internal/control"
)

// ledger is the account of one run.
type ledger struct {
	sent atomic.Int64 // so far, for progress

	mu      sync.Mutex
	outcome []control.Pair         // of what this node sent, when it has finished
	lost    map[lane]*control.Pair // N, Sum: what came back; Unknown, SumUnknown: of unknown outcome
	sources map[lane]*tally
}

// lane is what goes to, or comes from, one node in one run.
type lane struct {
	peer uint64
	port uint8
}

// tally counts what came from one source. The handler of that source adds up by itself
// what comes in a row, and shows it under the lock before any of it is acknowledged.
type tally struct {
	ledger *ledger
	port   uint8
	over   atomic.Bool // the run is none any more, see [traffic.heard]
	row    received    // the handler's own

	mu    sync.Mutex
	shown received
}

type received struct {
	n, sum, hops int64
	maxHops      int64
}

// show is called by the handler.
func (c *tally) show() {
	c.mu.Lock()
	c.shown.n += c.row.n
	c.shown.sum += c.row.sum
	c.shown.hops += c.row.hops
	c.shown.maxHops = max(c.shown.maxHops, c.row.maxHops)
	c.mu.Unlock()
	c.row = received{}
}

// seen is what the handler has shown.
func (c *tally) seen() received {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shown
}

func newLedger() *ledger {
	return &ledger{sources: make(map[lane]*tally), lost: make(map[lane]*control.Pair)}
}

func (l *ledger) source(from lane) *tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.sources[from]
	if c == nil {
		c = &tally{ledger: l, port: from.port}
		l.sources[from] = c
	}
	return c
}

// returned counts the messages of a run that came back.
func (l *ledger) returned(port uint8) (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for to, lost := range l.lost {
		if to.port == port {
			n += lost.N
		}
	}
	return n
}

// close notes what became of all that was sent.
func (l *ledger) close(outcome []control.Pair, port uint8) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range outcome {
		if lost := l.lost[lane{outcome[i].ID, port}]; lost != nil {
			outcome[i].N -= lost.N
			outcome[i].Sum -= lost.Sum
			outcome[i].Unknown, outcome[i].SumUnknown = lost.Unknown, lost.SumUnknown
		}
	}
	l.outcome = outcome
}

// received adds up what came in on a port.
func (l *ledger) received(port uint8) (s control.Summary) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for from, c := range l.sources {
		if from.port != port {
			continue
		}
		r := c.seen()
		s.Received += r.n
		s.SumReceived += r.sum
		s.Hops += r.hops
		s.MaxHops = max(s.MaxHops, r.maxHops)
	}
	return s
}
