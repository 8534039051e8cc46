package stream

import (
	"fmt"
	"iter"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/wire"
)

// OnEnd makes the sender call f when the stream ends. Pending messages are still there then,
// see [Sender.Unacknowledged].
func (s *Sender) OnEnd(f func()) { s.onEnd = f }

// Unacknowledged yields the messages that are not known to be delivered, oldest first: port and
// body. They are valid until the next call that changes the sender.
func (s *Sender) Unacknowledged() iter.Seq2[uint8, []byte] {
	return func(yield func(uint8, []byte) bool) {
		known := s.una - s.base // messages of the first bundle that are delivered
		for _, q := range []*fifo.Queue{&s.store, &s.backlog} {
			for chunk := range q.Chunks() {
				for w := wire.Walk(chunk); w.Next(); {
					if known > 0 {
						known--
						continue
					}
					if !yield(w.Frame.Port(), w.Body) {
						return
					}
				}
			}
		}
	}
}

// Close asks the sink to forget the stream. It does nothing while messages are pending.
func (s *Sender) Close(now Time, out []byte) []byte {
	if s.state != Open || s.una != s.end {
		return out
	}
	s.state = Closing
	s.setDeadline(now + s.rto())
	return s.appendFrame(out, wire.Close, s.end, nil)
}

// Closed handles the sink's answer to Close: it has forgotten the stream.
func (s *Sender) Closed(seq uint64) {
	switch {
	case s.state == Closing && seq == s.end:
		s.finish(nil)
	case s.state == Ended && s.err == nil && seq == s.end: // the answer to a repeated Close
	default:
		s.stale++
	}
}

// Reset handles a Reset: the sink does not know the stream of the frame with this number, which may
// be a bundle of which a part is delivered.
// With nothing pending nothing is lost, and the end is orderly: the sink may have forgotten
// the stream on request and got a late frame of it afterwards.
func (s *Sender) Reset(seq uint64) {
	if (s.state != Open && s.state != Closing) || seq < s.base || seq > s.nxt {
		s.stale++
		return
	}
	if s.una == s.end {
		s.finish(nil)
		return
	}
	s.finish(ErrReset)
}

// isOurs reports whether an Ack has numbers of this stream, as far as the sink remembers any.
func (s *Sender) isOurs(delivered, received, farthest uint64) bool {
	return (s.state == Open || s.state == Closing) && s.first <= delivered && s.una <= delivered+2*maxAhead &&
		delivered <= received && received <= s.nxt && farthest <= s.nxt
}

// known reports whether an answer of this stream says nothing new.
func (s *Sender) known(delivered, received, farthest uint64) bool {
	return s.first > 0 && s.first <= delivered && delivered <= s.una && delivered <= received && received <= s.received && farthest <= s.nxt
}

// contradicted ends a stream whose answers contradict each other. Else the source would take each true
// answer for a late one, and the sink miss messages that the source has forgotten: nothing would
// arrive any more. What was acknowledged falsely is lost.
func (s *Sender) contradicted() {
	s.stale++
	if s.una == s.end {
		s.finish(nil)
		return
	}
	s.finish(ErrContradiction)
}

// NoRoute handles a relay's NoRoute for a frame of this stream.
func (s *Sender) NoRoute(seq uint64, b wire.NoRouteBody) {
	ours := s.state == Opening && b.Type == wire.Open && seq == s.gen ||
		(s.state == Open || s.state == Closing) && (b.Type == wire.Data || b.Type == wire.Sync || b.Type == wire.Close) && seq >= s.base && seq <= s.nxt
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

// NoSuchNode ends the stream because no node has the sink's ID. The error is [ErrGone] if the
// stream was open, since messages may have been delivered, and else [ErrNoSuchNode].
func (s *Sender) NoSuchNode() {
	if s.state == Opening {
		s.Fail(ErrNoSuchNode)
	} else {
		s.Fail(ErrGone)
	}
}

// Evicted ends the stream if it is open with this incarnation of the sink or with an earlier
// one: they are dead or have left. It leaves a stream alone that is not open yet: it may be
// for the next incarnation, and the answer will tell.
func (s *Sender) Evicted(incarnation uint64) {
	if (s.state == Open || s.state == Closing) && s.peerIncarnation <= incarnation {
		s.finish(ErrGone)
	}
}

// Fail ends the stream with err, unless it has ended before.
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
