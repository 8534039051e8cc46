package stream

import (
	"cmp"

	"github.com/x/ringdht/internal/wire"
)

// # How a sink leaves
//
// A sink that leaves the ring cuts its streams: it takes nothing from the next number on,
// and has its handler take all that is below. When that is done it says [wire.Farewell]
// with the number of the cut: all below was handled, and nothing from it on was or ever
// will be. So the source knows what became of each of its messages. It ends the stream and
// confirms with a Close. The sink says the same again until then, since any frame can be
// lost: at its own pace, and to each frame of the stream that needs an answer.
//
// A Reset would not do. It says that the sink does not know, and carries the number of the
// frame that it answers.

// Cut makes the receiver take no message from the next number on. What is held ahead of a
// gap is dropped: it was never acknowledged.
func (r *Receiver) Cut() {
	r.cut = true
	r.dropHeld()
}

// Parted says that the stream was cut and the handler is done with all below the cut, also
// with what it has of the stream before this one.
func (r *Receiver) Parted() bool { return r.cut && r.done == r.next && r.formerUnhandled == 0 }

// AppendFarewell tells the source where the stream was cut; only for a receiver that has
// [Receiver.Parted].
func (r *Receiver) AppendFarewell(out []byte) []byte {
	return r.appendFrame(out, wire.Farewell, r.next, nil)
}

// CompareOpen compares a request to open with the stream that there is: it is for a later one
// (above 0), for this one (0), or for an earlier one (below 0).
func (r *Receiver) CompareOpen(peerIncarnation, gen uint64) int {
	if peerIncarnation != r.peerIncarnation {
		return cmp.Compare(peerIncarnation, r.peerIncarnation)
	}
	return cmp.Compare(gen, r.gen)
}

// Farewell takes the sink's word that it has handled all below a number, and will handle
// nothing from it on. It returns false if that is not about this stream, or about one
// whose Opened is still on its way: the sink says it again.
func (s *Sender) Farewell(now Time, cut uint64) bool {
	if s.state != Open && s.state != Closing || cut < s.una || cut < s.received || cut > s.nxt {
		s.stale++
		return false
	}
	s.store.DiscardFrames(int(cut - s.una))
	s.una, s.received = cut, cut
	s.deliveryTime = s.delivered(cut, now)
	s.peerLeft = true
	if s.una == s.end {
		s.finish(nil)
	} else {
		s.finish(ErrLeft)
	}
	return true
}

// Unknown is how many of the messages that are pending may have been handled. Those behind
// them were not, and will not be once the stream has ended: they were never sent, or the
// sink has said so when it left.
func (s *Sender) Unknown() uint64 {
	if s.peerLeft {
		return 0
	}
	return s.nxt - s.una
}
