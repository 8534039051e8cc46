package node

import (
	"sync"
	"sync/atomic"

	"github.com/x/ringdht/internal/control"
)

// ledger is the account of one run.
type ledger struct {
	mu          sync.Mutex
	progress    progress               // of what this node has sent, see progressEvery
	outcome     []control.Pair         // of what this node sent, once it has finished
	undelivered map[flow]*control.Pair // N, Sum: what came back; Unknown, SumUnknown: of unknown outcome
	sources     map[flow]*sourceCount
}

// progress is how much a node has sent in a run: messages, and the sum of their values.
type progress struct{ sent, sum int64 }

// progressEvery is how many messages of a size a node sends until it notes its progress: a lock
// for each would be a tenth of what a small message costs.
func progressEvery(size int) int { return min(max(1, (16<<10)/size), 256) }

func (l *ledger) setProgress(p progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.progress = p
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

// addSent adds what this node has sent to its summary: the outcome, or what is known before.
func (l *ledger) addSent(s *control.Summary, port uint8) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.outcome != nil {
		for _, p := range l.outcome {
			s.Sent += p.N
			s.SumSent += p.Sum
			s.Unknown += p.Unknown
			s.SumUnknown += p.SumUnknown
		}
		return
	}
	s.Sent, s.SumSent = l.progress.sent, l.progress.sum
	for to, p := range l.undelivered {
		if to.port == port {
			s.Sent -= p.N
			s.SumSent -= p.Sum
			s.Unknown += p.Unknown
			s.SumUnknown += p.SumUnknown
		}
	}
	s.Sent = max(0, s.Sent) // messages may come back before the progress is noted
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
