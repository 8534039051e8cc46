package stream

import (
	"fmt"
	"iter"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/wire"
)

// OnEnd makes the sender call f when the stream ends, while what is pending is
// still there to be looked at.
func (s *Sender) OnEnd(f func()) { s.onEnd = f }

// Unacknowledged yields the messages that are not known to be delivered, oldest
// first. They are valid until the next call that changes the sender.
func (s *Sender) Unacknowledged() iter.Seq[wire.Frame] {
	return func(yield func(wire.Frame) bool) {
		for _, q := range []*fifo.Queue{&s.store, &s.backlog} {
			for chunk := range q.Chunks() {
				for len(chunk) > 0 {
					var f wire.Frame
					if f, chunk = wire.Next(chunk); !yield(f) {
						return
					}
				}
			}
		}
	}
}

// Close asks the sink to forget the stream, if nothing is pending.
func (s *Sender) Close(now Time, out []byte) []byte {
	if s.state != Open || s.una != s.end {
		return out
	}
	s.state = Closing
	s.setDeadline(now + s.rto())
	return s.appendFrame(out, wire.Close, s.end, nil)
}

// Closed takes the sink's word that it forgot the stream.
func (s *Sender) Closed(seq uint64) {
	if s.state != Closing || seq != s.end {
		s.stale++
		return
	}
	s.finish(nil)
}

// Reset takes the sink's word that it does not know the stream that the message
// with this number belongs to. If nothing was pending then nothing is lost, and
// the end is an orderly one: the sink may have forgotten the stream because it was
// asked to, before it saw a late frame of it.
func (s *Sender) Reset(seq uint64) {
	if (s.state != Open && s.state != Closing) || seq < s.una || seq > s.nxt {
		s.stale++
		return
	}
	if s.una == s.end {
		s.finish(nil)
		return
	}
	s.finish(ErrReset)
}

// NoRoute takes a relay's word that a frame of this stream went no further.
func (s *Sender) NoRoute(seq uint64, b wire.NoRouteBody) {
	ours := s.state == Opening && b.Type == wire.Open && seq == s.gen ||
		(s.state == Open || s.state == Closing) && (b.Type == wire.Data || b.Type == wire.Sync || b.Type == wire.Close) && seq >= s.una && seq <= s.nxt
	if !ours {
		s.stale++
		return
	}
	switch b.Reason {
	case wire.NoSuchNode:
		s.NoSuchNode()
	case wire.HopLimit:
		s.finish(ErrHopLimit)
	default:
		s.finish(fmt.Errorf("not delivered: %v", b.Reason))
	}
}

// NoSuchNode ends the stream because nobody has the sink's ID. Whether somebody
// had it, and messages may have been delivered, makes the difference.
func (s *Sender) NoSuchNode() {
	if s.state == Opening {
		s.Fail(ErrNoSuchNode)
	} else {
		s.Fail(ErrGone)
	}
}

// Evicted takes the news that a life of the sink is over, and earlier ones with it.
// A stream that is not open yet is left alone: it may be for the next life, and an
// answer will tell.
func (s *Sender) Evicted(incarnation uint64) {
	if (s.state == Open || s.state == Closing) && s.peerIncarnation <= incarnation {
		s.finish(ErrGone)
	}
}

// Fail ends the stream from this side.
func (s *Sender) Fail(err error) {
	if s.state != Ended {
		s.finish(err)
	}
}

func (s *Sender) finish(err error) {
	s.state, s.err = Ended, err
	if s.onEnd != nil {
		s.onEnd()
	}
	s.store.Clear()
	s.backlog.Clear()
}
