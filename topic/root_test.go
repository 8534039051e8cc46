package topic

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/status"
)

// What the hub takes for granted: when the end of a member is told, streams to that incarnation have ended,
// and the callback gets what they left, or has had it. The next incarnation of the ID is another one.
func TestStreamsEndBeforeTheirSinksEndIsTold(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		var services []*ringdht.Service
		var got [][]byte
		told := make(chan bool, 1)
		var all []*peer
		for i := range 4 {
			p := r.make(ringdht.ID(10 * (i + 1)))
			s := p.Node.Node.Service("x")
			s.Handle(func(ctx context.Context, _ ringdht.Message) { <-ctx.Done() })
			s.OnUndelivered(func(u status.Undelivered) {
				if u.Sink == 30 {
					got = append(got, u.Bodies...)
					told <- true
				}
			})
			services, all = append(services, s), append(all, r.join(p))
		}
		r.Setup(0)
		var sent [][]byte
		for i := range 5 {
			sent = append(sent, []byte{byte(i)})
			if err := services[0].Send(r.Ctx(), 30, sent[i]); err != nil {
				t.Fatal(err)
			}
		}
		old := all[2].Incarnation()
		r.net.Partition([]string{all[2].host}, []string{"n0", "n1", "n3", "registry"})
		ended, cancel := context.WithCancel(r.Ctx())
		cancel()
		for e := range services[0].Watch(r.Ctx()) {
			if e.ID == 30 && e.Change.Over() {
				<-told // or Flush would wait for the callback
				if err := services[0].Flush(ended, 30); err != nil {
					t.Errorf("a stream to %v is open: %v", e, err)
				}
				if e.Incarnation != old || !slices.EqualFunc(got, sent, slices.Equal) {
					t.Errorf("%v: came back %q, sent %q", e, got, sent)
				}
				r.net.Heal()
			} else if e.ID == 30 && e.Change == status.MemberJoined {
				if e.Incarnation == old {
					t.Errorf("%v is on the list again", e)
				}
				break
			}
		}
		for all[2].ReadyNow() != nil {
			time.Sleep(time.Millisecond)
		}
	})
}
