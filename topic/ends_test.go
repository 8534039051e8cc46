package topic

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
)

// While the registry is away messages flow. A newcomer waits.
func TestRegistryIsAway(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(6)
		records := subscribeAll(all)
		r.Registry.Close()
		all[0].publish(5000)
		for _, rec := range records {
			rec.await(all[0].Incarnation(), 5000)
			rec.check(all[0].Incarnation(), 1)
		}
		r.RestartRegistry(ringdht.WithLease(ringtest.Lease))
		late := r.make(35)
		for {
			err := late.Join(r.Ctx(), r.Line())
			if err == nil {
				break
			} else if !ringdht.Retryable(err) {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		rec := late.subscribe()
		all[1].publish(10)
		for _, rec := range append(records, rec) {
			rec.await(all[1].Incarnation(), 10)
			rec.check(all[1].Incarnation(), 1)
		}
	})
}

// The end of a node ends its loops, and what waits.
func TestClose(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(3)
		rec := all[0].subscribe()
		other := all[0].subscribe()
		other.sub.Close()
		<-other.done
		unjoined := r.make(99)
		result := make(chan error, 1)
		go func() { _, err := unjoined.topic.Subscribe(r.Ctx(), "s"); result <- err }()
		synctest.Wait()
		all[0].publish(1)
		life := all[0].Incarnation()
		for _, p := range []*peer{all[0], unjoined} {
			p.Close()
			r.Remove(p.Node)
		}
		<-rec.done
		rec.check(life, 1)
		if err := <-result; !errors.Is(err, ringdht.ErrClosed) {
			t.Errorf("subscribing: %v", err)
		}
		if err := all[0].tryPublish(r.Ctx()); !errors.Is(err, ringdht.ErrClosed) {
			t.Errorf("publishing: %v", err)
		}
	})
}

// A node that leaves before it stands publishes nothing, and leaves.
func TestLeavesBeforeItStands(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(3)
		r.Registry.Close() // nothing is announced any more
		all[0].publish(10)
		late := r.make(35)
		result := make(chan error, 1)
		go func() { result <- late.tryPublish(r.Ctx()) }()
		synctest.Wait()
		late.Leave(r.Ctx())
		if err := <-result; !errors.Is(err, ringdht.ErrNotMember) && !errors.Is(err, ringdht.ErrClosed) {
			t.Errorf("publishing: %v", err)
		}
		r.Remove(late.Node)
	})
}

// Values that are no T, and messages that are too long.
func TestValues(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(1)
		words := make(chan *Topic[string], 1)
		other := r.make(20)
		words <- other.topic.as()
		r.join(other)
		sub, err := all[0].topic.Subscribe(r.Ctx(), "s")
		if err != nil {
			t.Fatal(err)
		}
		if err := (<-words).Publish(r.Ctx(), "s", "no note"); err != nil {
			t.Fatal(err)
		}
		other.publish(1)
		for m := range sub.All(r.Ctx()) {
			if m.Missed != 1 || m.Value.N != 1 {
				t.Errorf("%+v", m)
			}
			break
		}
		long := make([]byte, all[0].MaxPayload())
		if err := other.topic.as().Publish(r.Ctx(), "s", string(long)); !errors.Is(err, ringdht.ErrTooLarge) {
			t.Errorf("a long value: %v", err)
		}
		if err := other.topic.Publish(r.Ctx(), string(long[:256]), note{}); !errors.Is(err, ringdht.ErrTooLarge) {
			t.Errorf("a long subject: %v", err)
		}
		if err := other.topic.as().Publish(r.Ctx(), "s", string(long[:len(long)-maxHeader-32])); err != nil {
			t.Errorf("the longest value: %v", err)
		}
	})
}

// as is the topic with another type of values.
func (t *Topic[T]) as() *Topic[string] { return &Topic[string]{t.hub} }
