package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
)

// Why a source gives up a stream.
var (
	errGone = errors.New("the registry says that the incarnation is over")
	errLife = errors.New("the source's own incarnation is over")
	// errOutlived is for a node that is about to leave.
	errOutlived = stream.ErrStaleIncarnation
)

// outStream is the source's half of a stream, and the judge's account of it.
type outStream struct {
	n    *node
	s    *stream.Sender
	no   int // among all streams of the world
	sink uint64
	port uint8

	began   Time
	opened  bool
	sinkInc uint64
	stuckAt Time   // when it was reported to be stuck last, 0 while it is not
	pushed  []Time // when each message was accepted
	got     int    // by the handler
	acked   uint64
	waiting int         // bytes that were admitted and have not left
	from    fifo.Cursor // where they begin
	over    bool
	back    int // once over: the source knows that messages from this one on were not handled
}

// talk is a timer that sends messages.
func (n *node) talk() {
	w := n.w
	n.after(w.pace/2+w.jitter(w.pace), n.talk)
	if w.quiet || n.departing || !n.ready {
		return
	}
	r := w.talkers
	var sink uint64
	switch x := r.Float64(); {
	case x < w.strange:
		sink = r.Uint64() & n.router.Mask
	case x < 2*w.strange && len(w.judge.all) > 0:
		sink = w.judge.all[r.IntN(len(w.judge.all))].ref.ID
	case n.local.Others.Len() > 0:
		sink = n.local.Others.At(r.IntN(n.local.Others.Len())).ID
	default:
		return
	}
	if n.use.Epoch == 0 {
		return
	}
	n.talks++
	port := uint8(n.talks % ports)
	o := n.outTo(sink, port)
	if o == nil {
		o = n.openTo(sink, port)
	}
	for range 1 + r.IntN(w.burst) {
		if o.over || o.s.Bytes() > 4*window {
			break
		}
		o.push()
	}
	o.sendAdmitted()
	if w.chance(r, 0.5) {
		o.send(o.s.Flush(w.now, nil))
	}
	if w.chance(r, 0.1) && len(n.outs) > 0 {
		x := n.outs[r.IntN(len(n.outs))]
		x.send(x.s.Close(w.now, nil))
	}
}

func (n *node) outTo(sink uint64, port uint8) *outStream {
	for _, o := range n.outs {
		if o.sink == sink && o.port == port {
			return o
		}
	}
	return nil
}

// serviceName is the name of the service with a port.
func serviceName(port uint8) string {
	if port == 0 {
		return ""
	}
	return fmt.Sprint("service ", port)
}

func (n *node) openTo(sink uint64, port uint8) *outStream {
	n.gen++
	o := &outStream{n: n, s: stream.NewSender(n.ref.ID, n.ref.Incarnation, sink, n.gen), no: len(n.w.judge.streams), sink: sink, port: port, began: n.w.now}
	o.s.For(port, serviceName(port))
	n.w.judge.streams = append(n.w.judge.streams, o)
	n.outs = append(n.outs, o)
	o.send(o.s.Start(n.w.now, nil))
	n.tick()
	return o
}

// push accepts one message, which has the number of its stream and its own number.
func (o *outStream) push() {
	if s := o.s.State(); o.over || s != stream.Open && s != stream.Opening {
		return
	}
	body := binary.BigEndian.AppendUint64(nil, uint64(o.no))
	body = binary.BigEndian.AppendUint64(body, uint64(len(o.pushed)))
	o.pushed = append(o.pushed, o.n.w.now)
	o.n.w.count.accepted++
	if n := o.s.Push(o.port, body); n > 0 {
		if o.waiting == 0 {
			o.from = o.s.Last(n)
		}
		o.waiting += n
	}
	o.n.tick()
}

// sendAdmitted sends what was admitted, several messages in a frame where they fit.
func (o *outStream) sendAdmitted() {
	if o.waiting == 0 {
		return
	}
	var q fifo.Queue
	o.s.Copy(o.from, o.waiting, &q)
	o.waiting = 0
	for chunk := range q.Chunks() {
		for rest := chunk; len(rest) > 0; {
			var f wire.Frame
			f, rest = wire.Next(rest)
			if n := f.Messages(); n > 1 {
				o.n.w.count.bundled += n
			}
		}
		o.send(chunk)
	}
}

// send sends frames of the stream, and ends it if the sink does not exist.
func (o *outStream) send(frames []byte) {
	if o.over {
		return
	}
	if !o.n.send(frames) {
		o.fail(stream.ErrNoSuchNode)
	}
}

// fail ends the stream from this side.
func (o *outStream) fail(err error) {
	if !o.over {
		o.n.w.judge.ended(o, err)
		o.s.Fail(err)
		o.gone()
	}
}

func (o *outStream) gone() {
	o.n.outs = slices.DeleteFunc(o.n.outs, func(x *outStream) bool { return x == o })
}

// tick is the timer of the streams that wait.
func (n *node) tick() {
	if n.ticking {
		return
	}
	n.ticking = true
	n.after(stream.MinRTO/2, func() {
		n.ticking = false
		waiting := false
		for _, o := range slices.Clone(n.outs) {
			if o.s.Waiting() {
				o.send(o.s.Tick(n.w.now, nil))
				waiting = true
			}
			o.reportStuck()
		}
		if waiting {
			n.tick()
		}
	})
}

// answered handles a frame of the sink, or of a relay.
func (o *outStream) answered(f wire.Frame) {
	w := o.n.w
	pending := o.s.Pending()
	var out []byte
	switch f.Type() {
	case wire.Ack:
		var err error
		if out, _, err = o.s.Ack(w.now, f.Seq(), f.Body(), nil); err != nil {
			w.judge.fail("%v", err)
		}
		o.n.tick()
	case wire.Opened:
		b, err := wire.ParseOpened(f.Body())
		if err != nil {
			w.judge.fail("%v", err)
		}
		was := o.s.State()
		bundle := 0
		if f.Bundles() && o.no%4 > 0 { // some sources bundle nothing
			bundle = wire.MaxBundle
		}
		out = o.s.Opened(w.now, f.Seq(), b, bundle, nil)
		if was == stream.Opening && o.s.State() == stream.Open {
			o.opened, o.sinkInc = true, b.SinkIncarnation
			w.judge.opened(o)
		}
	case wire.Refuse:
		b, err := wire.ParseRefuse(f.Body())
		if err != nil {
			w.judge.fail("%v", err)
		}
		if o.s.Refused(f.Seq(), b); o.s.NewerIncarnation() > 0 {
			o.refusedFor(o.s.NewerIncarnation())
			return
		}
	case wire.Reset:
		o.s.Reset(f.Seq())
	case wire.Farewell:
		if o.s.Farewell(w.now, f.Seq()) {
			pending = o.s.Pending()
			o.n.answer(wire.Close, f, nil)
		}
	case wire.Closed:
		o.s.Closed(f.Seq())
	case wire.NoRoute:
		b, err := wire.ParseNoRoute(f.Body())
		if err != nil {
			w.judge.fail("%v", err)
		}
		o.s.NoRoute(f.Seq(), b)
	}
	if o.s.State() == stream.Ended {
		w.judge.endedWith(o, o.s.Err(), pending)
		o.gone()
		return
	}
	_, o.acked = o.s.Progress()
	w.judge.acked(o)
	o.send(out)
}
