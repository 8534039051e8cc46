package channel

import (
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"slices"
	"testing"
)

var explored = flag.Int("explore", 0, "so many more ends of streams in the explored worlds")

// small is a world of which all interleavings are explored. It is copied for each step.
type small struct {
	ends [2]smallEnd
	cuts int // streams that may still end
}

// smallEnd is one life. Frame i of its script has that many bytes, each i.
type smallEnd struct {
	c         *Channel
	script    []int
	expects   []int // the script of the other one
	sent      int
	delivered int
	asked     bool
	link      []transit
	stream    int
	news      int
	judge     *explorer
}

// explorer visits each state once.
type explorer struct {
	seen  map[[16]byte]bool // true: on the way to the present one
	steps []string
	rests int
	err   error
}

func (e *smallEnd) Deliver(frame []byte) {
	i := e.delivered
	e.delivered++
	if i >= len(e.expects) || len(frame) != e.expects[i] || slices.ContainsFunc(frame, func(b byte) bool { return b != byte(i) }) {
		e.judge.fail("frame %d is delivered with %d bytes", i, len(frame))
	}
}

func (e *smallEnd) Admit(uint64, []byte) bool { return true }

func (x *explorer) fail(format string, args ...any) {
	if x.err == nil {
		x.err = fmt.Errorf("%s, after %q", fmt.Sprintf(format, args...), x.steps)
	}
}

// clone copies a state.
func (s *small) clone() *small {
	n := *s
	for i := range n.ends {
		e := &n.ends[i]
		c := *e.c
		c.buf, c.part, c.out = slices.Clone(c.buf), slices.Clone(c.part), e
		e.c, e.link = &c, slices.Clone(e.link)
	}
	return &n
}

// key identifies a state: all that can make a difference later.
func (s *small) key() [16]byte {
	b := []byte{byte(s.cuts)}
	for i := range s.ends {
		e := &s.ends[i]
		c := e.c
		b = fmt.Appendf(b, "|%d %d %v %d %d %d %d %d %v %d %d %d|%d %d %d %d %v", e.sent, e.delivered, e.asked, e.news,
			c.acked, c.next, c.high, c.asked, c.ask, c.ackedRest, c.nextRest, c.frames,
			c.received, len(c.part), c.total, c.gap, c.ackDue)
		for _, t := range e.link {
			h, bytes, _ := parse(t.body)
			b = append(b, h.flags, byte(len(bytes)))
			b = binary.AppendUvarint(binary.AppendUvarint(b, h.ack), h.offset)
			if t.stream != e.stream {
				b = append(b, 'e')
			}
		}
	}
	sum := sha256.Sum256(b)
	return [16]byte(sum[:16])
}

// visit explores what may follow a state. It fails if a state comes back: then something goes on for ever.
func (x *explorer) visit(s *small) {
	key := s.key()
	if open, known := x.seen[key]; known {
		if open {
			x.fail("this goes on for ever")
		}
		return
	}
	x.seen[key] = true
	followed := false
	step := func(name string, do func(s *small)) {
		if x.err != nil {
			return
		}
		followed = true
		x.steps = append(x.steps, name)
		n := s.clone()
		do(n)
		x.check(n)
		x.visit(n)
		x.steps = x.steps[:len(x.steps)-1]
	}
	for i := range s.ends {
		x.follow(s, i, step)
	}
	if !followed {
		x.rest(s)
	}
	x.seen[key] = false
}

// follow does each step that one end may do.
func (x *explorer) follow(s *small, i int, step func(string, func(*small))) {
	e, name := &s.ends[i], string("AB"[i])
	if e.sent < len(e.script) {
		step(name+" sends", func(s *small) {
			e := &s.ends[i]
			e.c.Send(slices.Repeat([]byte{byte(e.sent)}, e.script[e.sent]))
			e.sent++
		})
	} else if !e.asked {
		step(name+" asks", func(s *small) {
			s.ends[i].asked = true
			s.ends[i].c.Ask()
		})
	}
	if e.c.Pending() {
		step(name+" takes", func(s *small) {
			e := &s.ends[i]
			e.link = append(e.link, transit{e.stream, 0, e.c.Take(nil, MinBody)})
		})
	}
	if len(e.link) > 0 {
		step(name+"'s body arrives", func(s *small) {
			e := &s.ends[i]
			b := e.link[0].body
			e.link = slices.Clone(e.link[1:])
			if err := s.ends[1-i].c.Receive(b); err != nil {
				x.fail("%v", err)
			}
		})
	}
	if e.news > 0 {
		step(name+" is told", func(s *small) {
			s.ends[i].news--
			s.ends[i].c.StreamEnded()
		})
	}
	if s.cuts == 0 {
		return
	}
	for lost := 1; lost <= len(e.link) && e.link[len(e.link)-lost].stream == e.stream; lost++ {
		step(fmt.Sprintf("%s loses %d bodies", name, lost), func(s *small) {
			e := &s.ends[i]
			s.cuts--
			e.link = e.link[:len(e.link)-lost]
			e.stream++
			e.news++
		})
	}
}

// check judges a state.
func (x *explorer) check(s *small) {
	for i := range s.ends {
		e, p := &s.ends[i], &s.ends[1-i]
		if done := e.sent - e.c.Unacknowledged(); done > p.delivered {
			x.fail("%d frames are taken for delivered, %d are", done, p.delivered)
		}
	}
}

// rest judges a state after which nothing happens.
func (x *explorer) rest(s *small) {
	x.rests++
	for i := range s.ends {
		e, p := &s.ends[i], &s.ends[1-i]
		if p.delivered != len(e.script) || e.c.Unacknowledged() != 0 || e.c.Held() != 0 {
			x.fail("at rest %d of %d frames are delivered, and %d unacknowledged", p.delivered, len(e.script), e.c.Unacknowledged())
		}
	}
}

// All interleavings of a few frames with a few ends of streams, each told at any time after it.
func TestExploration(t *testing.T) {
	for _, world := range []struct {
		scripts [2][]int
		cuts    int
	}{
		{[2][]int{{150, 1}, {}}, 2},
		{[2][]int{{3}, {150}}, 1},
		{[2][]int{{1}, {}}, 4},
		{[2][]int{{3}, {1}}, 2},
	} {
		x := &explorer{seen: make(map[[16]byte]bool)}
		s := &small{cuts: world.cuts + *explored}
		for i := range s.ends {
			s.ends[i] = smallEnd{c: New(uint64(i+1), uint64(2-i), nil), script: world.scripts[i], expects: world.scripts[1-i], judge: x}
		}
		x.visit(s)
		if x.err != nil {
			t.Error(x.err)
		}
		t.Logf("frames %v, %d ends of streams: %d states, %d of them at rest", world.scripts, s.cuts, len(x.seen), x.rests)
	}
}
