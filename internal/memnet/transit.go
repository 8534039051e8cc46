package memnet

import (
	"syscall"
	"time"
)

// transit is the way between the two ends of a half: the faults in force, and what they keep from arriving. Guarded by
// the mutex of the half.
type transit struct {
	faults
	inFlight []segment   // on their way, in order; empty while there are no faults
	timer    *time.Timer // for the first of them, made when first needed
}

// faults are those in force in one direction.
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

// setFaults replaces the faults and lets arrive what they no longer keep.
func (h *half) setFaults(f faults) {
	h.mu.Lock()
	h.faults = f
	e := h.advance()
	h.mu.Unlock()
	h.reverse.peerEnded(e)
}

// carry puts a parcel on its way, to arrive after late, but not before those ahead of it. It returns the ending that
// has arrived by that, if any, for the caller to hand to back.peerEnded once it holds no mutex.
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

// advance lets those parcels arrive whose time has come, unless they are held, and sets the timer for the next. What it
// returns is what carry returns.
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

// timeUp runs when a parcel is due. One that Stop or Reset came too late for does no harm.
func (h *half) timeUp() {
	h.mu.Lock()
	e := h.advance()
	h.mu.Unlock()
	h.reverse.peerEnded(e)
}

// arrive hands a parcel to the reader.
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

// stop ends the journey of everything.
func (t *transit) stop() {
	t.inFlight = nil
	if t.timer != nil {
		t.timer.Stop()
	}
}
