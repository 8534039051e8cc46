package stream

import (
	"time"

	"github.com/x/ringdht/internal/wire"
)

// sinkNode is the process that receives. Its streams share budget bytes.
type sinkNode struct {
	w       *world
	inc     uint64
	budget  int
	in      map[uint64]*inboundSim
	window  func() int
	trimmed Time
	leaving Time // since when, 0 if it does not
	bid     Time // when it last sent Farewell to all
}

type inboundSim struct {
	r       *Receiver
	taken   []delivery
	running []*streamLog // started by the handler, not reported yet
	bytes   int          // of those
	last    *streamLog
	unsaid  int
	over    bool // its source has ended it
}

func (k *sinkNode) used() int {
	n := 0
	for _, in := range k.in {
		n += in.r.Bytes() + in.bytes
		for _, d := range in.taken {
			n += d.bytes
		}
	}
	return n
}

func (k *sinkNode) draw() uint64 {
	n := 1 + k.w.rng.Uint64N(1<<62)
	k.w.ledger.drawn[n] = k.inc
	return n
}

func (k *sinkNode) answer(t wire.Type, f wire.Frame, body []byte) {
	k.w.send(wire.Append(nil, wire.Header{Type: t, Dst: f.Src(), Src: sinkID, Seq: f.Seq()}, body))
}

func (k *sinkNode) receive(f wire.Frame) {
	w := k.w
	in := k.in[f.Src()]
	if in == nil && f.Type() != wire.Open {
		if f.Type() == wire.Close {
			k.answer(wire.Closed, f, nil)
		} else {
			k.answer(wire.Reset, f, nil)
		}
		return
	}
	switch f.Type() {
	case wire.Open:
		b, err := wire.ParseOpen(f.Port(), f.Body())
		if err != nil {
			w.ledger.fail("the sink cannot read an open: %v", err)
		}
		if k.leaving > 0 && k.refuse(in, f, b) {
			return
		}
		if in == nil {
			if w.wild && w.chance(w.refuse) {
				k.answer(wire.Refuse, f, wire.RefuseBody{SourceIncarnation: b.Incarnation, Reason: wire.RefuseStreams}.Append(nil))
				return
			}
			in = &inboundSim{r: NewReceiver(sinkID, k.inc, f.Src(), b.Incarnation, f.Seq(), k.draw())}
			k.in[f.Src()] = in
		}
		if in.r.Open(b.Incarnation, f.Seq(), k.draw()) {
			opened := wire.Frame(in.r.AppendOpened(nil, k.window()))
			if !w.grants { // a program that knows no bundles
				opened[7] = 0
			}
			w.send(opened)
		} else {
			w.send(in.r.AppendOlder(nil, f.Port(), b.Incarnation, f.Seq()))
		}
	case wire.Data:
		if !w.grants && f.Messages() > 1 {
			w.ledger.fail("a bundle for a sink that takes none")
		}
		room := k.budget - k.used()
		if w.wild && w.chance(w.squeeze) {
			room = min(room, w.rng.IntN(k.budget))
		}
		v, hole := in.r.Data(f, room)
		if hole {
			w.send(in.r.AppendAck(nil, k.window()))
		}
		if v == Beyond && in.r.Drained() {
			w.send(in.r.AppendFarewell(nil))
		}
	case wire.Sync:
		round, err := wire.ParseRound(f.Body())
		if err != nil {
			w.ledger.fail("the sink cannot read a sync: %v", err)
		}
		if in.r.Sync(f.Seq(), round) == Stale {
			k.stranger(wire.Reset, f)
			return
		}
		if in.r.Drained() {
			w.send(in.r.AppendFarewell(nil))
			return
		}
		w.send(in.r.AppendAck(nil, k.window()))
	case wire.Close:
		switch {
		case in.r.OutsideWindow(f.Seq()):
			k.stranger(wire.Closed, f)
		case len(in.taken) > 0 || len(in.running) > 0 || !in.r.Close(f.Seq()):
			if in.r.Drained() {
				w.send(in.r.AppendFarewell(nil))
			} else {
				w.send(in.r.AppendAck(nil, k.window()))
			}
		default:
			if in.r.Bytes() != 0 {
				w.ledger.fail("a stream was forgotten that held %d bytes", in.r.Bytes())
			}
			delete(k.in, f.Src())
			k.answer(wire.Closed, f, nil)
		}
	}
}

// stranger answers a frame of another stream than the present one.
func (k *sinkNode) stranger(t wire.Type, f wire.Frame) {
	k.answer(t, f, nil)
}

func (k *sinkNode) act() {
	w := k.w
	if w.wild && w.chance(w.restartSink) {
		k.inc++
		k.leaving = 0
		clear(k.in)
	}
	k.leave()
	trim := w.now-k.trimmed > time.Second
	if trim {
		k.trimmed = w.now
	}
	for _, c := range w.sources { // in a fixed order, for the seed's sake
		if in := k.in[c.id]; in != nil && trim {
			in.r.Trim()
		}
		in := k.in[c.id]
		if in != nil && in.over && len(in.taken)+len(in.running) == 0 && !in.r.Pending() {
			delete(k.in, c.id)
			continue
		}
		if in == nil || w.wild && !w.chance(w.handle) {
			continue
		}
		if n := len(in.running); n > 0 {
			for _, s := range in.running {
				s.done++
			}
			in.unsaid += in.bytes
			in.running, in.bytes = in.running[:0], 0
			tell := in.r.Handled(uint64(n))
			if in.r.Drained() {
				w.send(in.r.AppendFarewell(nil))
			} else if tell || in.unsaid >= max(in.r.Window(), 500)/4 {
				in.unsaid = 0
				w.send(in.r.AppendAck(nil, k.window()))
			}
		}
		if len(in.taken) == 0 && in.r.Pending() {
			in.taken = deliveries(in.r)
		}
		for n := 1 + w.rng.IntN(w.maxBatch); n > 0 && len(in.taken) > 0; n-- {
			d := in.taken[0]
			if in.last = w.ledger.handle(k.inc, d, in.last); in.last == nil {
				return
			}
			in.running = append(in.running, in.last)
			in.bytes += d.bytes
			in.taken = in.taken[1:]
		}
	}
}

// leaseSim is how long a sink that leaves waits for sources that do not confirm.
const leaseSim = 30 * time.Second

// leave now and then ends an incarnation of the sink in good order. The next begins when all
// sources have confirmed.
func (k *sinkNode) leave() {
	w := k.w
	if k.leaving == 0 {
		if w.wild && w.chance(w.leave) {
			k.leaving, k.bid = w.now, w.now
			for _, c := range w.sources {
				if in := k.in[c.id]; in != nil {
					in.r.Cut()
				}
			}
		}
		return
	}
	waits := false
	for _, in := range k.in {
		waits = waits || !in.over || in.r.Bytes() > 0 || len(in.taken)+len(in.running) > 0
	}
	switch {
	case !waits || w.now-k.leaving > leaseSim:
		k.inc++
		k.leaving = 0
		clear(k.in)
	case w.now-k.bid >= MinRTO:
		k.bid = w.now
		for _, c := range w.sources {
			if in := k.in[c.id]; in != nil && in.r.Drained() && !in.over {
				w.send(in.r.AppendFarewell(nil))
			}
		}
	}
}

// refuse answers a request to open at a sink that leaves, unless it is for the present stream.
func (k *sinkNode) refuse(in *inboundSim, f wire.Frame, b wire.OpenBody) bool {
	if in != nil {
		switch later := in.r.CompareOpen(b.Incarnation, f.Seq()); {
		case later <= 0:
			return false
		case later > 0:
			in.over = true
		}
	}
	k.answer(wire.Refuse, f, wire.RefuseBody{SourceIncarnation: b.Incarnation, Reason: wire.RefuseLeaving}.Append(nil))
	return true
}
