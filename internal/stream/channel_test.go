package stream

import (
	"math/rand/v2"
	"slices"

	"github.com/x/ringdht/internal/wire"
)

// channel carries frames in virtual time. It may lose them, deliver them twice,
// late and in another order, as the paths of a ring do in the worst case.
type channel struct {
	rng        *rand.Rand
	drop, dup  float64
	late       float64 // share of frames that take up to maxLate longer
	base       Time
	jitter     Time
	ordered    bool
	last       [2]Time // arrival of the latest frame to the sink, to the sources
	queue      []flying
	sent, lost int
}

const maxLate = 5 * Time(1e9)

type flying struct {
	at Time
	n  int // breaks ties in the order sent
	f  wire.Frame
}

func (x flying) before(y flying) bool { return x.at < y.at || x.at == y.at && x.n < y.n }

// calm ends all faults; frames under way stay.
func (c *channel) calm() { c.drop, c.dup, c.late = 0, 0, 0 }

func (c *channel) send(now Time, f wire.Frame) {
	f = slices.Clone(f)
	for copies := 1; copies > 0; copies-- {
		if c.rng.Float64() < c.dup {
			copies++
		}
		c.sent++
		if c.rng.Float64() < c.drop {
			c.lost++
			continue
		}
		at := now + c.base
		if c.jitter > 0 {
			at += Time(c.rng.Int64N(int64(c.jitter)))
		}
		if c.rng.Float64() < c.late {
			at += Time(c.rng.Int64N(int64(maxLate)))
		} else if c.ordered {
			d := 0
			if f.Dst() != sinkID {
				d = 1
			}
			at = max(at, c.last[d])
			c.last[d] = at
		}
		c.push(flying{at, c.sent, f})
	}
}

func (c *channel) push(x flying) {
	c.queue = append(c.queue, x)
	for i := len(c.queue) - 1; i > 0; {
		up := (i - 1) / 2
		if !c.queue[i].before(c.queue[up]) {
			break
		}
		c.queue[i], c.queue[up] = c.queue[up], c.queue[i]
		i = up
	}
}

// next returns the next frame that has arrived by now, nil if none has.
func (c *channel) next(now Time) wire.Frame {
	if len(c.queue) == 0 || c.queue[0].at > now {
		return nil
	}
	f := c.queue[0].f
	n := len(c.queue) - 1
	c.queue[0] = c.queue[n]
	c.queue = c.queue[:n]
	for i := 0; ; {
		least := i
		for down := 2*i + 1; down <= 2*i+2 && down < n; down++ {
			if c.queue[down].before(c.queue[least]) {
				least = down
			}
		}
		if least == i {
			return f
		}
		c.queue[i], c.queue[least] = c.queue[least], c.queue[i]
		i = least
	}
}
