package memnet

import (
	"syscall"
	"time"
)

// transit is what lies between the two ends of a half: the present faults, and the segments they
// keep from arriving. The mutex of the half guards it.
type transit struct {
	faults
	inFlight []segment   // on their way, in order; empty while there are no faults
	timer    *time.Timer // for the first of them, made when first needed
}

// faults are the present ones of one direction.
type faults struct {
	delay, jitter time.Duration
	drop          float64
	held          bool
}

// A segment is a run of bytes, or an ending, that arrives as one.
type segment struct {
	n   int
	end ending
	at  time.Time // when; the zero time if only a Hold is in its way
}

// setFaults replaces the faults, and lets segments arrive that they no longer keep.
func (h *half) setFaults(f faults) {
	h.mu.Lock()
	h.faults = f
	e := h.advance()
	h.mu.Unlock()
	h.reverse.peerEnded(e)
}

// carry sends a segment. It arrives after late, but not before those ahead of it. carry returns
// the ending that has arrived now, if any: the caller must pass it to reverse.peerEnded once it
// holds no mutex.
func (h *half) carry(p segment, late time.Duration) ending {
	if late == 0 && !h.held && len(h.inFlight) == 0 {
		return h.arrive(p)
	}
	if late > 0 {
		p.at = time.Now().Add(late)
	}
	if len(h.inFlight) > 0 {
		last := &h.inFlight[len(h.inFlight)-1]
		if !p.at.After(last.at) {
			if p.end == standing {
				last.n += p.n // bytes never follow an ending, so last is bytes too
				return standing
			}
			p.at = last.at
		}
	}
	h.inFlight = append(h.inFlight, p)
	if len(h.inFlight) == 1 {
		return h.advance() // sets the timer
	}
	return standing
}

// advance lets the segments arrive whose time has come, unless they are held, and sets the timer
// for the next. It returns the same as carry.
func (h *half) advance() (e ending) {
	if h.held || len(h.inFlight) == 0 {
		return standing
	}
	now := time.Now()
	for i, p := range h.inFlight {
		if p.at.After(now) {
			h.inFlight = h.inFlight[i:]
			if h.timer == nil {
				h.timer = time.AfterFunc(p.at.Sub(now), h.timeUp)
			} else {
				h.timer.Reset(p.at.Sub(now))
			}
			return e
		}
		e = max(e, h.arrive(p))
	}
	h.inFlight = nil
	return e
}

// timeUp runs when a segment is due. A call that Stop or Reset was too late for is harmless.
func (h *half) timeUp() {
	h.mu.Lock()
	e := h.advance()
	h.mu.Unlock()
	h.reverse.peerEnded(e)
}

// arrive hands a segment to the reader.
func (h *half) arrive(p segment) ending {
	if h.ready == 0 {
		h.readable.Broadcast()
	}
	h.ready += p.n
	h.arrived = max(h.arrived, p.end)
	if p.end == reset && h.readErr == nil {
		h.readErr = syscall.ECONNRESET
		h.buf.clear()
		h.ready = 0
	}
	if p.end != standing {
		h.readable.Broadcast()
	}
	return p.end
}

// stop drops all segments under way.
func (t *transit) stop() {
	t.inFlight = nil
	if t.timer != nil {
		t.timer.Stop()
	}
}
