package channel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
)

// world is two lives, a link in each direction, and what happens to them by chance.
type world struct {
	rng    *rand.Rand
	ends   [2]*end
	err    error
	log    func(string, ...any)
	budget struct{ send, cut, ask, foreign int }
	large  int // frames are shorter
	lag    int // of 100 steps so many let a body arrive
	late   int // of 100 ends so many are told late
	totals totals
}

// totals says what worlds had.
type totals struct {
	Frames, Cut, Bodies, Alone, Lost, Ended, Late, Early, Refused, Asked, Foreign, Again, Rests int
	Repeated, Duplicates, Gaps                                                                  uint64
}

func (t *totals) add(o totals) {
	t.Frames, t.Cut, t.Bodies, t.Alone, t.Lost = t.Frames+o.Frames, t.Cut+o.Cut, t.Bodies+o.Bodies, t.Alone+o.Alone, t.Lost+o.Lost
	t.Ended, t.Late, t.Early, t.Refused, t.Asked = t.Ended+o.Ended, t.Late+o.Late, t.Early+o.Early, t.Refused+o.Refused, t.Asked+o.Asked
	t.Foreign, t.Again, t.Rests = t.Foreign+o.Foreign, t.Again+o.Again, t.Rests+o.Rests
	t.Repeated, t.Duplicates, t.Gaps = t.Repeated+o.Repeated, t.Duplicates+o.Duplicates, t.Gaps+o.Gaps
}

// end is one life with its channel, and the link to the other one. It is the channel's output, and judges
// what comes out.
type end struct {
	w    *world
	name string
	c    *Channel
	peer *end

	sent      []uint64 // the size of each frame
	delivered int
	answers   int // frames that deliveries still send

	link   []transit // oldest first
	stream int       // the one that is open
	news   int       // ends of streams that are not told yet

	admitted     uint64 // the frame that has come in part
	silent       int    // frames delivered since a body was taken
	acknowledged uint64 // bytes received when one was taken
	owes         bool   // the peer has asked, or repeated, since
	gap, mustSay bool   // a body shows one; it is to be said
	limit        int    // of the body that arrives
	rewinds      int
	mostHeld     int
	again, ended int
}

// transit is a body on its way.
type transit struct {
	stream, limit int
	body          []byte
}

func (w *world) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

func newWorld(seed uint64) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 29)), log: func(string, ...any) {}}
	for i := range w.ends {
		w.ends[i] = &end{w: w, name: string("AB"[i])}
	}
	a, b := w.ends[0], w.ends[1]
	a.peer, b.peer = b, a
	a.c, b.c = New(1<<63|seed, 2, a), New(2, 1<<63|seed, b)
	w.budget.send = 1 + w.rng.IntN(30)
	if seed%8 == 0 {
		w.budget.send = 400
	}
	for _, b := range []*int{&w.budget.cut, &w.budget.ask, &w.budget.foreign} {
		if w.rng.IntN(3) > 0 {
			*b = w.rng.IntN(8)
		}
	}
	w.large = []int{20, 200, 1000, 20_000, 20_000}[w.rng.IntN(5)]
	if seed%64 == 1 {
		w.large, w.budget.send = 100_000, 8
	}
	w.lag, w.late = 5+w.rng.IntN(60), w.rng.IntN(101)
	return w
}

// frame is frame i of an end: its name, number and size, and bytes that follow from them.
func (e *end) frame(i int) []byte {
	n := int(e.sent[i])
	b := make([]byte, 0, n+8)
	for r := rand.NewPCG(uint64(e.name[0]), uint64(i)); len(b) < n; {
		b = binary.LittleEndian.AppendUint64(b, r.Uint64())
	}
	return b[:n]
}

func (e *end) send() {
	size := uint64(e.w.rng.IntN(e.w.large))
	if e.w.rng.IntN(4) == 0 {
		size = uint64(e.w.rng.IntN(3))
	}
	e.sent = append(e.sent, size)
	e.w.totals.Frames++
	e.w.log("%s sends frame %d of %d bytes", e.name, len(e.sent)-1, size)
	f := e.frame(len(e.sent) - 1)
	e.c.Send(f)
	clear(f) // the channel has a copy
	e.mostHeld = max(e.mostHeld, e.c.Held())
}

// take lets the end transmit some bodies. The stream accepts the first of them only, at times.
func (e *end) take() bool {
	w := e.w
	if !e.c.Pending() {
		return false
	}
	largest := MinBody + w.rng.IntN(3*MinBody)
	if w.rng.IntN(3) == 0 {
		largest = MinBody + w.rng.IntN(8<<10)
	}
	for n := 1 + w.rng.IntN(4); n > 0 && e.c.Pending(); n-- {
		prefix := []byte("prefix")
		b := e.c.Take(prefix, largest)[len(prefix):]
		if len(b) < 19 || len(b) > largest {
			w.fail("%s: a body of %d bytes, at most %d", e.name, len(b), largest)
			return true
		}
		e.silent, e.acknowledged, e.owes = 0, e.c.received, false
		w.totals.Bodies++
		if h, bytes, err := parse(b); err != nil {
			w.fail("%s: its own body: %v", e.name, err)
		} else {
			w.log("%s takes %+v with %d bytes", e.name, h, len(bytes))
			if len(bytes) == 0 {
				w.totals.Alone++
			}
			if h.flags&flagAgain != 0 {
				e.again++
			}
			if e.mustSay != (h.flags&flagAgain != 0) {
				w.fail("%s says again %v, and should %v", e.name, !e.mustSay, e.mustSay)
			}
			e.mustSay = false
		}
		if w.budget.cut > 0 && w.rng.IntN(60) == 0 { // not accepted, nor those behind it
			w.budget.cut--
			w.totals.Refused++
			e.tell()
			return true
		}
		e.link = append(e.link, transit{e.stream, largest, b})
	}
	return true
}

// tell tells the end that its stream has ended.
func (e *end) tell() {
	e.w.log("%s hears of a stream's end", e.name)
	e.rewinds++
	e.c.StreamEnded()
	e.mustSay = e.gap
	if e.w.rng.IntN(4) == 0 {
		e.c.StreamEnded() // and of another one that lost nothing
	}
}

// cutStream ends the stream: some of its last bodies are lost.
func (e *end) cutStream() {
	first := len(e.link)
	for first > 0 && e.link[first-1].stream == e.stream {
		first--
	}
	lost := e.w.rng.IntN(len(e.link) - first + 1)
	e.link = e.link[:len(e.link)-lost]
	e.stream++
	e.ended++
	e.w.totals.Ended++
	e.w.totals.Lost += lost
	e.w.log("the stream of %s ends, %d bodies are lost", e.name, lost)
	if e.w.rng.IntN(100) >= e.w.late {
		e.w.totals.Early++
		e.tell()
	} else {
		e.w.totals.Late++
		e.news++
	}
}

// arrive lets the oldest body arrive at the peer.
func (e *end) arrive() bool {
	if len(e.link) == 0 {
		return false
	}
	b, p := e.link[0].body, e.peer
	p.limit = e.link[0].limit
	e.link = e.link[1:]
	h, bytes, _ := parse(b)
	e.w.log("%s takes a body of %s: %+v with %d bytes", p.name, e.name, h, len(bytes))
	p.owes = p.owes || h.flags&flagAsk != 0 || h.offset < p.c.received && len(bytes) > 0
	behind := h.offset > p.c.received
	p.mustSay = behind && (p.mustSay || !p.gap)
	p.gap = behind
	if h.flags&flagAgain != 0 {
		p.rewinds++
	}
	if err := p.c.Receive(b); err != nil {
		e.w.fail("%s receives: %v", p.name, err)
	}
	if c := p.c; c.acked < h.ack || h.flags&flagAgain != 0 && c.next != c.acked {
		e.w.fail("%s has taken %+v, and is at %d, %d", p.name, h, c.acked, c.next)
	}
	for i := range b {
		b[i] = 0xff // nothing of it was kept
	}
	return true
}

// foreign gives the end bodies of and for other lives.
func (e *end) foreign() {
	e.w.totals.Foreign++
	c := e.c
	for _, lives := range [][2]uint64{{c.peer + 1, c.self}, {c.peer, c.self + 1}, {c.self, c.peer}} {
		b := header{flags: flagAgain, from: lives[0], to: lives[1], ack: 1 << 40}.append(nil)
		before := *c
		if err := c.Receive(append(b, 5)); !errors.Is(err, ErrLives) {
			e.w.fail("%s: a body of other lives: %v", e.name, err)
		}
		if !reflect.DeepEqual(before, *c) {
			e.w.fail("%s: a body of other lives changes %+v to %+v", e.name, before, *c)
		}
	}
}

// Deliver is [Output.Deliver].
func (e *end) Deliver(frame []byte) {
	w := e.w
	i := e.delivered
	e.delivered++
	switch {
	case i >= len(e.peer.sent):
		w.fail("%s delivers frame %d of %d", e.name, i, len(e.peer.sent))
		return
	case string(frame) != string(e.peer.frame(i)):
		w.fail("%s delivers %d bytes for frame %d, which has %d", e.name, len(frame), i, e.peer.sent[i])
	case e.admitted != 0 && e.admitted != e.peer.sent[i]:
		w.fail("%s: frame %d of %d bytes was admitted as one of %d", e.name, i, e.peer.sent[i], e.admitted)
	}
	e.admitted = 0
	e.silent++
	if e.answers > 0 && w.rng.IntN(2) == 0 {
		e.answers--
		e.send()
	}
}

// Admit is [Output.Admit].
func (e *end) Admit(total uint64, head []byte) bool {
	if e.delivered >= len(e.peer.sent) || int(total)+lengthOf(int(total)) <= e.limit-maxHeader {
		e.w.fail("%s: a frame of %d bytes begins in a body of at most %d", e.name, total, e.limit)
		return false
	}
	if want := e.peer.sent[e.delivered]; total != want || len(head) < minHead || uint64(len(head)) >= total || e.admitted != 0 {
		e.w.fail("%s: frame %d of %d bytes begins as one of %d with %d, admitted %d", e.name, e.delivered, want, total, len(head), e.admitted)
	}
	e.w.totals.Cut++
	e.admitted = total
	return true
}
