//go:build linux

package chaos

import "sync"

// pulse is how messages of one process arrive at another.
type arrivals struct {
	Process  uint64
	Received uint64
	Last     int64 // when the latest arrived
	Gap      int64 // longest, in nanoseconds, without an arrival while the source was trying
	After    int64 // from the mark until the first arrival of what was sent after it; 0 if there was none
}

// pulses are those of all sources of a node.
type arrivalLog struct {
	mu   sync.Mutex
	mark uint64
	at   int64
	all  map[uint64]*arrivals
}

// beat notes an arrival.
func (p *arrivalLog) arrived(process uint64, sent, now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.all[process]
	if s == nil {
		s = &arrivals{Process: process}
		p.all[process] = s
	}
	s.Received++
	// A source that had nothing to send before makes no gap.
	s.Gap = max(s.Gap, now-max(s.Last, sent))
	s.Last = now
	if s.After == 0 && sent > p.at {
		s.After = now - p.at
	}
}

// start sets a mark, a moment after the time that it is for. A gap that began
// before counts in full when it ends; those that have ended are forgotten, unless
// they are to be kept.
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
