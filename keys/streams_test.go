package keys

import (
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/arc"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/keys/internal/channel"
	"github.com/x/ringdht/status"
)

// Streams end all the time though both ends live: what was not acknowledged is sent again, and counts once.
func TestStreamsEnd(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(2)
		client := r.join(r.make(5, false))
		var sources []*source
		for _, key := range keysOf(10) {
			s := client.source(key)
			s.call(1)
			sources = append(sources, s)
		}
		for range 200 {
			for _, s := range sources {
				s.send(1)
			}
			for i, p := range []*member{client, all[0], all[1]} {
				for j, sink := range []ringdht.ID{5, 10, 20} {
					if i != j {
						p.space.hub.undelivered(status.Undelivered{Sink: sink, Service: "counters" + suffix, Err: ringdht.ErrGone})
					}
				}
			}
		}
		client.flush()
		for _, s := range sources {
			s.checkExact()
		}
		if c := client.space.Counters(); c.Repeated+c.Duplicates == 0 || c.Malformed != 0 {
			t.Errorf("%+v", c)
		}
	})
}

// What another node may not say has no effect on this one, but for the life that it says to be.
func TestHostileMember(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(2)
		client := r.join(r.make(5, false))
		s := client.source("a")
		s.call(3)
		h := all[0].space.hub
		self, client1 := all[0].Incarnation(), client.Incarnation()
		say := func(from uint64, frame []byte) bool {
			ch := channel.New(from, self, sink{})
			ch.Send(frame)
			return h.take(20, ch.Take(nil, 1024))
		}
		ask := arc.Frame{Kind: arc.Ask}.Append(nil)
		if h.take(20, []byte("garbage")) || say(client1, ask) {
			t.Error("garbage, or the life of another node, was taken")
		}
		for _, from := range []uint64{arc.Registry, self} {
			if say(from, arc.Frame{Kind: arc.Retired}.Append(nil)) {
				t.Errorf("a frame as if of %#x was taken", from)
			}
		}
		none := client1 + 1<<40 // a life that does not exist
		if !say(none, ask) {
			t.Error("a life that the list does not have was refused")
		}
		ringtest.WaitUntil(t, "the registry says that there is no such life", func() bool {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.life.peers[none] == nil
		})
		say(none+1, []byte{byte(arc.Pull)})
		if got := all[0].space.Counters().Malformed; got != 1 {
			t.Errorf("malformed: %d", got)
		}
		s.call(3)
		s.checkExact()
	})
}

type sink struct{}

func (sink) Deliver([]byte)            {}
func (sink) Admit(uint64, []byte) bool { return true }
