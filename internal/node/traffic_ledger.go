package node

import (
	"sync"
	"sync/atomic"

	"github.com/x/ringdht/internal/control"
)

// ledger is the account of one run.
type ledger struct {
	sent atomic.Int64 // so far, for progress

	mu          sync.Mutex
	outcome     []control.Pair         // of what this node sent, once it has finished
	undelivered map[flow]*control.Pair // N, Sum: what came back; Unknown, SumUnknown: of unknown outcome
	sources     map[flow]*sourceCount
}

// flow is the messages to, or from, one node in one run.
type flow struct {
	peer uint64
	port uint8
}

// sourceCount counts the messages from one source. The handler of that source counts a batch
// without a lock. It publishes the batch under the lock before any of it is acknowledged.
type sourceCount struct {
	ledger *ledger
	port   uint8
	stale  atomic.Bool // the run is forgotten, see forgetOtherRuns
	batch  counts      // only the handler uses it

	mu        sync.Mutex
	published counts
}

type counts struct {
	n, sum, hops int64
	maxHops      int64
}

// publish adds the batch to published. The handler calls it.
func (c *sourceCount) publish() {
	c.mu.Lock()
	c.published.n += c.batch.n
	c.published.sum += c.batch.sum
	c.published.hops += c.batch.hops
	c.published.maxHops = max(c.published.maxHops, c.batch.maxHops)
	c.mu.Unlock()
	c.batch = counts{}
}

// total is what the handler has published.
func (c *sourceCount) total() counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.published
}

func newLedger() *ledger {
	return &ledger{sources: make(map[flow]*sourceCount), undelivered: make(map[flow]*control.Pair)}
}

func (l *ledger) source(from flow) *sourceCount {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.sources[from]
	if c == nil {
		c = &sourceCount{ledger: l, port: from.port}
		l.sources[from] = c
	}
	return c
}

// returned counts the messages of a run that came back.
func (l *ledger) returned(port uint8) (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for to, pair := range l.undelivered {
		if to.port == port {
			n += pair.N
		}
	}
	return n
}

// settle stores the outcome of what was sent, less what came back or has no known outcome.
func (l *ledger) settle(outcome []control.Pair, port uint8) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range outcome {
		if pair := l.undelivered[flow{outcome[i].ID, port}]; pair != nil {
			outcome[i].N -= pair.N
			outcome[i].Sum -= pair.Sum
			outcome[i].Unknown, outcome[i].SumUnknown = pair.Unknown, pair.SumUnknown
		}
	}
	l.outcome = outcome
}

// summary adds up the messages that came in on a port.
func (l *ledger) summary(port uint8) (s control.Summary) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for from, c := range l.sources {
		if from.port != port {
			continue
		}
		r := c.total()
		s.Received += r.n
		s.SumReceived += r.sum
		s.Hops += r.hops
		s.MaxHops = max(s.MaxHops, r.maxHops)
	}
	return s
}
