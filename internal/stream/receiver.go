package stream

import (
	"maps"
	"slices"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/wire"
)

// Verdict is the result of taking a frame: all of its messages, or none.
type Verdict uint8

const (
	Accepted  Verdict = iota // the next in order: in the inbox now, with held messages that follow it
	Held                     // ahead of a hole, kept
	Duplicate                // was taken before
	Stale                    // of another incarnation
	Full                     // no room; the source will send it again
	Beyond                   // behind the cut, will never be taken
	Unsound                  // a bundle whose lengths do not add up
)

// Receiver is the sink's half of one stream.
type Receiver struct {
	self, incarnation     uint64
	peer, peerIncarnation uint64
	gen                   uint64
	port                  uint8 // of the stream

	first, next     uint64 // numbers of the first message and of the next in order
	done            uint64 // the handler is done with all below
	formerUnhandled uint64 // messages of the previous stream that the handler still has
	inbox           fifo.Queue
	held            map[uint64]wire.Frame // ahead of a hole, by the number of the first message
	heldBytes       int
	farthest        uint64 // the highest number ever held: tells whether held is dense
	starved         bool   // there was no room for the next message in order
	trimmed         uint64 // next at the last Trim, 0 if there was no hole
	cut             bool   // nothing is taken from next on, see Cut
	onDrop          func(wire.Frame)

	round     uint32 // latest Sync
	asked     uint64 // the source wants an Ack when done reaches this
	askedNext uint64 // and then when it reaches this; asked if that is all
	told      uint64 // the largest done in an Ack
	window    int    // the latest grant
}

// NewReceiver returns the sink's half of a stream that peer, in peerIncarnation, asked to
// open. first must be random, see the package documentation.
func NewReceiver(self, incarnation, peer, peerIncarnation, gen, first uint64) *Receiver {
	r := &Receiver{self: self, incarnation: incarnation, peer: peer}
	r.restart(peerIncarnation, gen, first)
	return r
}

// SetPort sets the port of the stream. Later streams of the source may have another one.
func (r *Receiver) SetPort(port uint8) { r.port = port }

// OnDrop makes the receiver call f for each frame that it drops after it was [Held]. f must
// not call the receiver.
func (r *Receiver) OnDrop(f func(wire.Frame)) { r.onDrop = f }

func (r *Receiver) restart(peerIncarnation, gen, first uint64) {
	// Deliveries of the previous stream that are not handled yet were acknowledged as
	// received. They stay in front.
	r.formerUnhandled += r.next - r.done
	r.peerIncarnation, r.gen = peerIncarnation, gen
	r.first, r.next, r.done, r.told, r.asked, r.askedNext = first, first, first, first, first, first
	r.round, r.starved = 0, false
	r.dropHeld()
}

// Open handles a request to open. A repeated request changes nothing; a newer one replaces the
// stream. For an older one Open returns false: do not grant it, see [Receiver.AppendOlder].
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

// AppendOpened appends an Opened frame, which grants window bytes, and bundles.
func (r *Receiver) AppendOpened(out []byte, window int) []byte {
	if r.cut {
		window = 0
	}
	r.window = window
	at := len(out)
	out = r.appendFrame(out, wire.Opened, r.gen, wire.OpenedBody{
		SourceIncarnation: r.peerIncarnation, SinkIncarnation: r.incarnation, First: r.first, Window: uint32(window),
	}.Append(nil))
	wire.Frame(out[at:]).SetBundle()
	return out
}

// AppendOlder answers a request that [Receiver.Open] refused, if it is of an earlier
// incarnation than the remembered one. A registry whose clock is behind may have given the
// source that incarnation, and the source has to know. An older request of the same
// incarnation is only late and needs no answer. port is that of the request.
func (r *Receiver) AppendOlder(out []byte, port uint8, peerIncarnation, gen uint64) []byte {
	if peerIncarnation >= r.peerIncarnation {
		return out
	}
	return wire.Append(out, wire.Header{Type: wire.Refuse, Port: port, Dst: r.peer, Src: r.self, Seq: gen}, wire.RefuseBody{
		SourceIncarnation: peerIncarnation, Reason: wire.RefuseOlder, Remembered: r.peerIncarnation,
	}.Append(nil))
}

// DataBatch takes messages from the start of frames, as long as they are the next in order and
// have room. It returns how many bytes they have. It is [Receiver.Data] for the usual case,
// for many frames at once.
func (r *Receiver) DataBatch(frames []byte, room int) (n int) {
	if len(r.held) > 0 || r.cut {
		return 0
	}
	next := r.next
	for n < len(frames) {
		f, _ := wire.Next(frames[n:])
		if f.Type() != wire.Data || f.Seq() != next || n+len(f) > room || !f.Sound() {
			break
		}
		n += len(f)
		next += uint64(f.Messages())
	}
	if n > 0 {
		r.inbox.Append(frames[:n])
		r.next, r.starved = next, false
	}
	return n
}

// Data takes a frame of messages, and keeps a copy of it if room bytes are enough. hole
// is true if there is a new hole that the source should be told of. [Receiver.Bytes] may
// shrink as well as grow.
func (r *Receiver) Data(f wire.Frame, room int) (v Verdict, hole bool) {
	seq, n := f.Seq(), uint64(f.Messages())
	switch ahead := seq - r.next; {
	case !f.Sound():
		return Unsound, false
	case r.cut && ahead < maxAhead:
		return Beyond, false
	case ahead == 0:
		if len(f) > room {
			// Held messages wait for this one, and take its room, here or in another
			// stream with the same budget: nothing would ever move. So drop them, and
			// hold none before this message is taken.
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
			r.unhold(r.next, kept)
			r.accept(kept)
		}
		if len(r.held) == 0 {
			r.held = nil
		}
		return Accepted, false
	case seq < r.next && seq >= r.first && seq+n <= r.next:
		return Duplicate, false
	case ahead >= maxAhead: // also every number below first, and a bundle that contradicts an earlier one
		return Stale, false
	}
	if _, ok := r.held[seq]; ok {
		return Duplicate, false
	}
	// A held message counts from now on, since it is admitted later without another check
	// for room. It must leave room for the message that fills the hole, hence the half.
	if r.starved || len(f) > room/2 {
		return Full, false
	}
	if r.held == nil {
		r.held = make(map[uint64]wire.Frame)
	}
	r.held[seq] = append(wire.Frame(nil), f...)
	r.heldBytes += len(f)
	r.farthest = max(r.farthest, seq)
	return Held, len(r.held) == 1
}

// accept takes the next frame in order.
func (r *Receiver) accept(f wire.Frame) {
	copy(r.inbox.Reserve(len(f)), f)
	end := r.next + uint64(f.Messages())
	for seq := r.next + 1; seq < end && len(r.held) > 0; seq++ {
		if kept, ok := r.held[seq]; ok { // an honest source puts no message into two frames
			r.unhold(seq, kept)
		}
	}
	r.next = end
}

// unhold takes a frame out of those held.
func (r *Receiver) unhold(seq uint64, f wire.Frame) {
	delete(r.held, seq)
	r.heldBytes -= len(f)
}

// Sync handles a question. The answer to a Stale one must be a Reset: a restarted sink may have
// opened this stream for a late request to open the old one. The source knows only the old one
// and would ask for ever.
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

// OutsideWindow reports whether a number cannot be of this stream: it lies before the first, or
// farther from the expected ones than any outstanding message.
func (r *Receiver) OutsideWindow(seq uint64) bool {
	return seq < r.first || seq < r.done && r.done-seq > maxAhead || seq > r.next && seq-r.next > maxAhead
}

// Take moves all deliveries into a new queue, for the handler.
func (r *Receiver) Take() fifo.Queue { return r.inbox.Take() }

// Pending reports whether there are deliveries to take.
func (r *Receiver) Pending() bool { return r.inbox.Size() > 0 }

// Handled notes that the handler is done with n more deliveries. tell is true if the source
// waits for an acknowledgement of that.
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

// AckAfter returns after how many more deliveries the source wants an acknowledgement, 0 if it
// has not asked. Do not hand more than that to the handler at a time: the source would wait
// for the handling of messages that it did not ask about.
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

// heldRanges appends the ranges of held messages, ascending.
func (r *Receiver) heldRanges(to []wire.Range) []wire.Range {
	for seq := range r.heldNumbers {
		at, many := uint32(seq-r.next), uint32(r.held[seq].Messages())
		if n := len(to); n > 0 && to[n-1].From+to[n-1].N == at {
			to[n-1].N += many
		} else if n == cap(to) {
			break
		} else {
			to = append(to, wire.Range{From: at, N: many})
		}
	}
	return to
}

// heldNumbers yields the numbers of the held frames, ascending. Where they are dense, as after an ordinary
// loss, it walks their interval. Else it sorts them: a single message far ahead must not make
// each acknowledgement walk all the way. Of frames that overlap, which no honest source sends, it
// yields the first.
func (r *Receiver) heldNumbers(yield func(uint64) bool) {
	if len(r.held) == 0 {
		return
	}
	if r.farthest-r.next > 8*uint64(len(r.held)) {
		end := r.next
		for _, seq := range slices.Sorted(maps.Keys(r.held)) {
			if seq < end {
				continue
			}
			if !yield(seq) {
				return
			}
			end = seq + uint64(r.held[seq].Messages())
		}
		return
	}
	for seq := r.next + 1; seq <= r.farthest; {
		f, ok := r.held[seq]
		if !ok {
			seq++
			continue
		}
		if !yield(seq) {
			return
		}
		seq += uint64(f.Messages())
	}
}

// Close handles the source's request to end the stream. It returns true if everything was
// delivered: the stream may be forgotten. Answer Closed also to a number that is
// [Receiver.OutsideWindow]: that stream is forgotten already.
func (r *Receiver) Close(seq uint64) bool {
	return seq == r.next && r.done == r.next && r.formerUnhandled == 0 && len(r.held) == 0
}

// First returns the number of the first message.
func (r *Receiver) First() uint64 { return r.first }

// PeerIncarnation returns the incarnation of the source.
func (r *Receiver) PeerIncarnation() uint64 { return r.peerIncarnation }

// Abandon drops the messages ahead of a hole, since the source is gone and cannot fill it.
func (r *Receiver) Abandon() { r.dropHeld() }

// AppendReset tells the source that the stream ends here. If everything was acknowledged, that
// is an orderly end.
func (r *Receiver) AppendReset(out []byte) []byte {
	return r.appendFrame(out, wire.Reset, r.next, nil)
}

// Window returns the latest grant, in bytes.
func (r *Receiver) Window() int { return r.window }

// Bytes returns the memory of the messages: deliveries to take, and those ahead of a hole.
func (r *Receiver) Bytes() int { return r.inbox.Size() + r.heldBytes }

// Trim drops the messages ahead of a hole if the hole was there at the last Trim. Call it every
// few seconds: the source may have died, and its messages take the room of others. A source
// that is alive sends them again.
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
	r.held = nil // clearing the map would keep its memory
	r.heldBytes = 0
}

func (r *Receiver) appendFrame(out []byte, t wire.Type, seq uint64, body []byte) []byte {
	return wire.Append(out, wire.Header{Type: t, Port: r.port, Dst: r.peer, Src: r.self, Seq: seq}, body)
}
