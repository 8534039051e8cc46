package plane

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/x/ringdht/internal/wire"
)

// A source that asks is answered when all before the question is handled, even if the handler is
// busy with what was sent after it, and after another question.
func TestQuestionsAreAnsweredOneByOne(t *testing.T) {
	var handled chan byte
	more := false // of the message at the handler
	deliver := func(ctx context.Context, d *Delivery) {
		more = d.More
		select {
		case handled <- d.Body[0]:
		case <-ctx.Done():
		}
	}
	withRig(t, func(t *testing.T, r *rig) {
		r.link(30)
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30}, Authoritative: true, Successor: 30})
		r.offer(10, 1, 1)
		var first uint64
		r.mu.Lock()
		for _, f := range r.got[30] {
			if f.Type() == wire.Opened {
				b, _ := wire.ParseOpened(f.Body())
				first = b.First
			}
		}
		clear(r.got)
		r.mu.Unlock()
		data := func(n uint64) wire.Frame {
			return wire.Append(nil, wire.Header{Type: wire.Data, Dst: 20, Src: 10, Seq: first + n}, []byte{byte(n)})
		}
		question := func(n uint64, round uint32) wire.Frame {
			return wire.Append(nil, wire.Header{Type: wire.Sync, Dst: 20, Src: 10, Seq: first + n}, wire.AppendRound(nil, round))
		}
		done := func() uint64 { // as the latest answer says
			synctest.Wait()
			r.mu.Lock()
			defer r.mu.Unlock()
			got := r.got[30]
			if len(got) == 0 {
				return 0
			}
			return got[len(got)-1].Seq() - first
		}
		r.feed(data(0), data(1), question(2, 1), data(2), data(3), question(4, 2), data(4), data(5))
		for n, want := range []uint64{0, 0, 2, 2, 4, 4} {
			if got := done(); got != want {
				t.Errorf("with message %d at the handler %d are said to be done, want %d", n, got, want)
			}
			if more && n%2 == 1 {
				t.Errorf("after message %d the source hears, though more was promised before that", n)
			}
			if got := <-handled; got != byte(n) {
				t.Errorf("message %d is handled, want %d", got, n)
			}
		}
	}, func(c *Config) { handled, c.Deliver = make(chan byte), deliver })
}
