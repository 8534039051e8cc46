package stream

import (
	"cmp"

	"github.com/x/ringdht/internal/wire"
)

// # How a sink leaves
//
// After a sink has left in good order, the source knows for each message whether it was
// handled. The sink cuts the stream: it takes no message from the next number on, and lets
// its handler finish the ones below. Then it sends [wire.Farewell] with the number of the
// cut: all messages below were handled, and none from it on ever will be. (HTTP/2 does the
// same with GOAWAY.) The source ends the stream and confirms with a Close. Until then the sink
// repeats the Farewell, since any frame can be lost: from time to time, and as the answer to
// each frame of the stream that needs one.
//
// A Reset would not do. It says that the sink does not know the stream, and carries the number
// of the frame that it answers.

// Cut makes the receiver take no message from the next number on. It drops the messages held
// ahead of a hole, which were never acknowledged.
func (r *Receiver) Cut() {
	r.cut = true
	r.dropHeld()
}

// Drained reports whether the stream is cut and drained: the handler is done with everything
// below the cut, and with its deliveries of the stream before this one.
func (r *Receiver) Drained() bool { return r.cut && r.done == r.next && r.formerUnhandled == 0 }

// AppendFarewell appends a Farewell with the number of the cut. The receiver must have
// [Receiver.Drained].
func (r *Receiver) AppendFarewell(out []byte) []byte {
	return r.appendFrame(out, wire.Farewell, r.next, nil)
}

// CompareOpen compares a request to open with the present stream. The result is above 0 if the
// request is for a later stream, 0 if for this one, and below 0 if for an earlier one.
func (r *Receiver) CompareOpen(peerIncarnation, gen uint64) int {
	if peerIncarnation != r.peerIncarnation {
		return cmp.Compare(peerIncarnation, r.peerIncarnation)
	}
	return cmp.Compare(gen, r.gen)
}

// Farewell handles a Farewell: the sink has handled all messages below cut and will handle
// none from it on. It returns false if the frame is not for this stream, or if the stream's
// Opened has not arrived yet; the sink will repeat it.
func (s *Sender) Farewell(now Time, cut uint64) bool {
	if s.state != Open && s.state != Closing || cut < s.una || cut < s.received || cut > s.nxt {
		s.stale++
		return false
	}
	s.forget(cut)
	s.received = cut
	s.deliveryTime = s.delivered(cut, now)
	s.peerLeft = true
	if s.una == s.end {
		s.finish(nil)
	} else {
		s.finish(ErrLeft)
	}
	return true
}

// Unknown returns how many of the pending messages, from the oldest on, may have been handled.
// The others were not, and will not be once the stream has ended: they were never sent, or
// the sink left and said so.
func (s *Sender) Unknown() uint64 {
	if s.peerLeft {
		return 0
	}
	return s.nxt - s.una
}
