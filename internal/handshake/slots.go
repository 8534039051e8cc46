package handshake

import "time"

// slots decides which connections may be in their handshake: those that have proven nothing yet.
// Each source, which is a host's address, may use what the others leave. When all are taken, the
// source that has most of them pays for a new one. It has no clock and does no I/O; it is not safe
// for concurrent use.
//
// A connection of another source gets in at once. One of the source that pays gets in when another
// connection of it was silent for long enough: a connection that sends nothing cannot keep a better
// one out, and many nodes that start at once on one machine do not push each other out. Where that
// goes on for long it is no such start, and much less silence is enough.
//
// Rejected: a fixed share for each source. Most rings of one machine, or behind one translated
// address, have one source only.
type slots struct {
	most      int
	patience  time.Duration
	bySource  map[string][]*slot // in the order of their coming
	taken     int
	fullSince time.Time // zero if there was a free place the last time
}

// Where all places were taken for longOverload times the patience, one hurry-th of it is enough.
const (
	longOverload = 4
	hurry        = 8
)

// slot is the place of one connection.
type slot struct {
	source string
	waited time.Duration // for the other side, without what goes on
	since  time.Time     // since when this side waits for the other; zero if it does not
}

// await begins a time in which this side waits for the other.
func (s *slot) await(now time.Time) {
	if s.since.IsZero() {
		s.since = now
	}
}

// work ends such a time.
func (s *slot) work(now time.Time) {
	s.waited, s.since = s.silence(now), time.Time{}
}

// silence returns how long this side has waited for the other in all. A connection that sends a
// byte now and then is as silent as one that sends none.
func (s *slot) silence(now time.Time) time.Duration {
	if s.since.IsZero() {
		return s.waited
	}
	return s.waited + now.Sub(s.since)
}

// take returns a slot for a connection of a source, and the slot that it takes the place of, if
// any. mine is nil if there is no place now: try again when one is released, or a while later.
func (s *slots) take(source string, now time.Time) (mine, instead *slot) {
	if s.taken < s.most {
		s.fullSince = time.Time{}
	} else {
		if s.fullSince.IsZero() {
			s.fullSince = now
		}
		if instead = s.victim(source, now); instead == nil {
			return nil, nil
		}
		s.release(instead)
	}
	if s.bySource == nil {
		s.bySource = make(map[string][]*slot)
	}
	mine = &slot{source: source, since: now}
	s.bySource[source] = append(s.bySource[source], mine)
	s.taken++
	return mine, instead
}

// victim returns the slot that must make room for a source, or nil.
func (s *slots) victim(source string, now time.Time) *slot {
	var longest *slot
	most := 0
	for _, all := range s.bySource {
		if len(all) < most {
			continue
		}
		candidate := all[0]
		for _, o := range all[1:] {
			if o.silence(now) > candidate.silence(now) {
				candidate = o
			}
		}
		if len(all) > most || candidate.silence(now) > longest.silence(now) {
			longest, most = candidate, len(all)
		}
	}
	patience := s.patience
	if now.Sub(s.fullSince) > longOverload*patience {
		patience /= hurry
	}
	if longest != nil && (len(s.bySource[source])+1 < most || longest.silence(now) >= patience) {
		return longest
	}
	return nil
}

// release gives a slot back. It may be called again.
func (s *slots) release(o *slot) {
	all := s.bySource[o.source]
	for i := range all {
		if all[i] != o {
			continue
		}
		copy(all[i:], all[i+1:])
		all[len(all)-1] = nil
		if s.bySource[o.source] = all[:len(all)-1]; len(all) == 1 {
			delete(s.bySource, o.source)
		}
		if s.taken--; s.taken == 0 {
			s.bySource = nil // of an idle node, else half a KiB for nothing
		}
		return
	}
}
