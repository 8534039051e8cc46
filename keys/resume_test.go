package keys

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/x/ringdht/internal/ringtest"
)

// slowOwner is an Owner with slow operations. It knows the arcs that it has given and not resumed.
type slowOwner struct {
	Owner
	t    *testing.T
	take bool // Take waits for the end of the life

	mu    sync.Mutex
	given []Arc
}

func (o *slowOwner) Handle(ctx context.Context, m Message) ([]byte, error) {
	o.mu.Lock()
	for _, a := range o.given {
		if a.Has(Point(m.Key)) {
			o.t.Errorf("a message to %s is handled before its Resume has returned", m.Key)
		}
	}
	o.mu.Unlock()
	return o.Owner.Handle(ctx, m)
}

func (o *slowOwner) Give(ctx context.Context, a Arc, w io.Writer) error {
	o.mu.Lock()
	o.given = append(o.given, a)
	o.mu.Unlock()
	return o.Owner.Give(ctx, a, w)
}

func (o *slowOwner) Take(ctx context.Context, a Arc, r io.Reader) error {
	if o.take {
		<-ctx.Done()
	}
	return o.Owner.Take(ctx, a, r)
}

func (o *slowOwner) Resume(a Arc) {
	time.Sleep(100 * time.Millisecond)
	o.mu.Lock()
	var rest []Arc
	for _, g := range o.given {
		if g.Last < a.First || a.Last < g.First {
			rest = append(rest, g)
			continue
		}
		if g.First < a.First {
			rest = append(rest, Arc{g.First, a.First - 1})
		}
		if a.Last < g.Last {
			rest = append(rest, Arc{a.Last + 1, g.Last})
		}
	}
	o.given = rest
	o.mu.Unlock()
	o.Owner.Resume(a)
}

// The receiver of arcs dies before it has taken them. Their giver handles no message to them before
// Resume has returned.
func TestHandlersWaitForResume(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		slow := func(p *member, take bool) *member {
			begin := p.space.begin
			p.space.hub.offers = func() Owner { return &slowOwner{Owner: begin(), t: t, take: take} }
			return p
		}
		giver := r.join(slow(r.make(10, true), false))
		r.Setup(0)
		client := r.join(r.make(5, false))
		var sources []*source
		for _, key := range keysOf(100) {
			s := client.source(key)
			s.call(1)
			sources = append(sources, s)
		}
		receiver := r.join(slow(r.make(20, true), true))
		ringtest.WaitUntil(t, "something is given", func() bool { return giver.space.Counters().Given > 20 })
		for _, s := range sources {
			s.send(2)
		}
		r.die(receiver)
		client.flush()
		for _, s := range sources {
			s.checkExact()
		}
	})
}
