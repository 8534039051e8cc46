package stream

import (
	"maps"
	"slices"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/wire"
)

// Verdict is what became of a message that arrived.
type Verdict uint8

const (
	Accepted  Verdict = iota // next in order, in the inbox (with any held ones behind it)
	Held                     // ahead of a hole, kept
	Duplicate                // had it
	Stale                    // of another life
	Full                     // no room, the source will send it again
	Beyond                   // behind the cut, will never be taken
)

// Receiver is the sink's half of one stream.
type Receiver struct {
	self, incarnation     uint64
	peer, peerIncarnation uint64
	gen                   uint64

	first, next     uint64 // numbers: of the first message, of the next in order
	done            uint64 // below it, the handler is done
	formerUnhandled uint64 // messages of the stream before this one that the handler still has
	inbox           fifo.Queue
	held            map[uint64][]byte // ahead of a hole
	heldBytes       int
	farthest        uint64 // the highest number ever held, to tell a dense stretch from a sparse one
	starved         bool   // the next in order found no room
	trimmed         uint64 // next at the last Trim, if there was a hole
	cut             bool   // nothing is taken from next on, see Cut
	onDrop          func(wire.Frame)

	round     uint32 // latest Sync
	asked     uint64 // the source wants to hear when done reaches this
	askedNext uint64 // and then this, or asked if that is all
	told      uint64 // the largest done that the source was told
	window    int    // the latest grant
}

// NewReceiver returns the sink's half for a stream that peerLife of peer asked
// to open. first is random, see the package's documentation.
func NewReceiver(self, incarnation, peer, peerIncarnation, gen, first uint64) *Receiver {
	r := &Receiver{self: self, incarnation: incarnation, peer: peer}
	r.restart(peerIncarnation, gen, first)
	return r
}

// OnDrop has f hear of each frame that is given up after it was [Held]. It must not call
// the receiver.
func (r *Receiver) OnDrop(f func(wire.Frame)) { r.onDrop = f }

func (r *Receiver) restart(peerIncarnation, gen, first uint64) {
	// What the handler has not seen yet of the stream before was acknowledged as
	// received, and stays in front.
	r.formerUnhandled += r.next - r.done
	r.peerIncarnation, r.gen = peerIncarnation, gen
	r.first, r.next, r.done, r.told, r.asked, r.askedNext = first, first, first, first, first, first
	r.round, r.starved = 0, false
	r.dropHeld()
}

// Open takes a request to open. A repeated one changes nothing, a newer one
// replaces the stream, an older one says false: it must not be granted, see
// [Receiver.AppendOlder].
func (r *Receiver) Open(peerIncarnation, gen, first uint64) bool {
	switch {
	case peerIncarnation == r.peerIncarnation && gen == r.gen:
		return true
	case peerIncarnation < r.peerIncarnation || peerIncarnation == r.peerIncarnation && gen < r.gen:
		return false
	}
	r.restart(peerIncarnation, gen, first)
	return true
}

// AppendOpened appends the grant.
func (r *Receiver) AppendOpened(out []byte, window int) []byte {
	if r.cut {
		window = 0
	}
	r.window = window
	return r.appendFrame(out, wire.Opened, r.gen, wire.OpenedBody{
		SourceIncarnation: r.peerIncarnation, SinkIncarnation: r.incarnation, First: r.first, Window: uint32(window),
	}.Append(nil))
}

// AppendOlder answers a request to open that [Receiver.Open] did not take, if it is of an
// earlier life than the one that is remembered: a registry whose clock is behind may have
// given the source that life, and the source has to know. An earlier request of the same
// life is just late and needs no answer.
func (r *Receiver) AppendOlder(out []byte, peerIncarnation, gen uint64) []byte {
	if peerIncarnation >= r.peerIncarnation {
		return out
	}
	return r.appendFrame(out, wire.Refuse, gen, wire.RefuseBody{
		SourceIncarnation: peerIncarnation, Reason: wire.RefuseOlder, Remembered: r.peerIncarnation,
	}.Append(nil))
}

// DataBatch takes, of a stretch of frames of this stream, those at its start that are just
// the next messages, as many as have room, and returns how many bytes they are. It
// is [Receiver.Data] for the usual case, all of them at once.
func (r *Receiver) DataBatch(frames []byte, room int) (n int) {
	if len(r.held) > 0 || r.cut {
		return 0
	}
	next := r.next
	for n < len(frames) {
		f, _ := wire.Next(frames[n:])
		if f.Type() != wire.Data || f.Seq() != next || n+len(f) > room {
			break
		}
		n += len(f)
		next++
	}
	if n > 0 {
		r.inbox.Append(frames[:n])
		r.next, r.starved = next, false
	}
	return n
}

// Data takes a message's frame, of which it keeps a copy, if room bytes are
// enough. hole is true when the source should hear of a new one. What the
// receiver holds may become less as well as more, see [Receiver.Bytes].
func (r *Receiver) Data(f wire.Frame, room int) (v Verdict, hole bool) {
	seq := f.Seq()
	switch ahead := seq - r.next; {
	case r.cut && ahead < maxAhead:
		return Beyond, false
	case ahead == 0:
		if len(f) > room {
			// What is ahead of it waits for this very message, here or in another
			// stream that shares the room, so nothing would ever move. It goes, and
			// does not come back before this message did.
			room += r.heldBytes
			r.dropHeld()
			r.starved = true
			if len(f) > room {
				return Full, false
			}
		}
		r.starved = false
		r.accept(f)
		for len(r.held) > 0 {
			kept, ok := r.held[r.next]
			if !ok {
				break
			}
			delete(r.held, r.next)
			r.heldBytes -= len(kept)
			r.accept(kept)
		}
		if len(r.held) == 0 {
			r.held = nil
		}
		return Accepted, false
	case seq < r.next && seq >= r.first:
		return Duplicate, false
	case ahead >= maxAhead: // also every number below first
		return Stale, false
	}
	if _, ok := r.held[seq]; ok {
		return Duplicate, false
	}
	// What is held must be admitted later without asking for room again, so it
	// counts from now on; but it may not take what the message that fills the
	// hole will need, hence the half.
	if r.starved || len(f) > room/2 {
		return Full, false
	}
	if r.held == nil {
		r.held = make(map[uint64][]byte)
	}
	r.held[seq] = append([]byte(nil), f...)
	r.heldBytes += len(f)
	r.farthest = max(r.farthest, seq)
	return Held, len(r.held) == 1
}

func (r *Receiver) accept(f []byte) {
	copy(r.inbox.Reserve(len(f)), f)
	r.next++
}

// Sync takes the source's question. If it is Stale the answer must be a Reset: a
// sink that came back may have opened this stream anew for a late request to open
// the old one, and the source, which knows only that one, would ask for ever.
func (r *Receiver) Sync(seq uint64, round uint32) Verdict {
	if r.OutsideWindow(seq) {
		return Stale
	}
	if int32(round-r.round) > 0 { // rounds wrap
		r.round = round
	}
	r.askedNext = max(r.askedNext, seq)
	if r.asked <= r.done {
		r.asked = r.askedNext
	}
	return Accepted
}

// OutsideWindow says that a number is not of this stream: it lies before its first, or
// farther from what is expected than anything outstanding can be.
func (r *Receiver) OutsideWindow(seq uint64) bool {
	return seq < r.first || seq < r.done && r.done-seq > maxAhead || seq > r.next && seq-r.next > maxAhead
}

// Take moves all deliveries into a queue of its own, for the handler.
func (r *Receiver) Take() fifo.Queue { return r.inbox.Take() }

// Pending says whether there are deliveries to take.
func (r *Receiver) Pending() bool { return r.inbox.Size() > 0 }

// Handled reports that the handler is done with n more deliveries. It says
// whether the source is waiting to hear that.
func (r *Receiver) Handled(n uint64) (tell bool) {
	old := min(n, r.formerUnhandled)
	r.formerUnhandled -= old
	r.done += n - old
	tell = r.asked > r.told && r.done >= r.asked
	if r.done >= r.asked {
		r.asked = r.askedNext
	}
	return tell
}

// AckAfter is after how many more deliveries the source wants to hear, 0 if it has not said.
// To take more than those at a time would have it wait for handlers that are none of its
// business: of what was sent after what it asked about.
func (r *Receiver) AckAfter() int {
	if r.asked <= r.done {
		return 0
	}
	return int(r.formerUnhandled + r.asked - r.done)
}

// AppendAck appends an acknowledgement that grants window bytes.
func (r *Receiver) AppendAck(out []byte, window int) []byte {
	if r.cut {
		window = 0
	}
	r.window, r.told = window, r.done
	var ranges [wire.MaxRanges]wire.Range
	body := wire.AckBody{Received: uint32(r.next - r.done), Window: uint32(window), Round: r.round}
	return r.appendFrame(out, wire.Ack, r.done, body.Append(nil, r.heldRanges(ranges[:0])))
}

// heldRanges lists what is held in ascending order.
func (r *Receiver) heldRanges(to []wire.Range) []wire.Range {
	for seq := range r.heldNumbers {
		at := uint32(seq - r.next)
		if n := len(to); n > 0 && to[n-1].From+to[n-1].N == at {
			to[n-1].N++
		} else if n == cap(to) {
			break
		} else {
			to = append(to, wire.Range{From: at, N: 1})
		}
	}
	return to
}

// heldNumbers yields the numbers held, ascending. It walks the stretch they lie in
// where that is dense, as after an ordinary loss, and sorts them where it is not: a
// single message far ahead must not make each acknowledgement walk all the way.
func (r *Receiver) heldNumbers(yield func(uint64) bool) {
	if len(r.held) == 0 {
		return
	}
	if r.farthest-r.next > 8*uint64(len(r.held)) {
		for _, seq := range slices.Sorted(maps.Keys(r.held)) {
			if !yield(seq) {
				return
			}
		}
		return
	}
	for seq, left := r.next+1, len(r.held); left > 0; seq++ {
		if _, ok := r.held[seq]; ok {
			left--
			if !yield(seq) {
				return
			}
		}
	}
}

// Close takes the source's wish to end the stream; true means that all of it was
// delivered and it may be forgotten. A [Receiver.OutsideWindow]'s wish is fulfilled
// already, and must be answered so.
func (r *Receiver) Close(seq uint64) bool {
	return seq == r.next && r.done == r.next && r.formerUnhandled == 0 && len(r.held) == 0
}

// PeerLife is the incarnation of the source.
func (r *Receiver) PeerLife() uint64 { return r.peerIncarnation }

// Abandon gives up what is ahead of a hole, because nobody is left to fill it.
func (r *Receiver) Abandon() { r.dropHeld() }

// AppendReset tells the source that the stream ends here. If everything was
// acknowledged then that is an orderly end.
func (r *Receiver) AppendReset(out []byte) []byte {
	return r.appendFrame(out, wire.Reset, r.next, nil)
}

// Window is the latest grant.
func (r *Receiver) Window() int { return r.window }

// Bytes is the memory that messages take: deliveries not taken yet and messages
// ahead of a hole.
func (r *Receiver) Bytes() int { return r.inbox.Size() + r.heldBytes }

// Trim gives up what is ahead of a hole if the hole was there at the last Trim
// already. Call it every few seconds: the source may have died, and what it left
// behind takes the room of others. If it lives it sends all of it again.
func (r *Receiver) Trim() {
	if r.trimmed == r.next {
		r.dropHeld()
	}
	if r.trimmed = 0; len(r.held) > 0 { // no number is 0
		r.trimmed = r.next
	}
}

func (r *Receiver) dropHeld() {
	if r.onDrop != nil {
		for _, f := range r.held {
			r.onDrop(f)
		}
	}
	r.farthest = 0
	r.held = nil // a map that is cleared keeps its memory
	r.heldBytes = 0
}

func (r *Receiver) appendFrame(out []byte, t wire.Type, seq uint64, body []byte) []byte {
	return wire.Append(out, wire.Header{Type: t, Dst: r.peer, Src: r.self, Seq: seq}, body)
}
