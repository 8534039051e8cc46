//go:build linux

package chaos

import "sync"

// arrivals is how the messages of one process arrive at another.
type arrivals struct {
	Process  uint64
	Received uint64
	Last     int64 // when the latest message arrived
	Gap      int64 // the longest time, in nanoseconds, without an arrival while the source tried to send
	After    int64 // from the mark until the first arrival of a message sent after it; 0 if there was none
}

// arrivalLog has the arrivals from all sources at a node.
type arrivalLog struct {
	mu   sync.Mutex
	mark uint64
	at   int64
	all  map[uint64]*arrivals
}

// arrived notes an arrival.
func (p *arrivalLog) arrived(process uint64, sent, now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.all[process]
	if s == nil {
		s = &arrivals{Process: process}
		p.all[process] = s
	}
	s.Received++
	// A time in which the source had nothing to send is no gap.
	s.Gap = max(s.Gap, now-max(s.Last, sent))
	s.Last = now
	if s.After == 0 && sent > p.at {
		s.After = now - p.at
	}
}

// start sets a mark, shortly after the time at that it is for. A gap that began before the
// mark counts in full when it ends. Gaps that have ended are forgotten, unless keep is set.
func (p *arrivalLog) start(mark uint64, at int64, keep bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mark, p.at = mark, at
	for _, s := range p.all {
		s.After = 0
		if !keep {
			s.Gap = 0
		}
	}
}

func (p *arrivalLog) report(s *state) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Mark = p.mark
	for _, x := range p.all {
		s.Received += x.Received
		s.Arrivals = append(s.Arrivals, *x)
	}
}
