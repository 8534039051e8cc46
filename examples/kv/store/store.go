// Package store is a replicated key-value store over keys: see README.md of examples/kv.
package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/keys"
)

const (
	do     = keys.Method[Entry, Request, Answer]("do")  // in zone 0
	follow = keys.Method[Entry, Order, Entry]("follow") // in zones 1 and 2
	most   = 10 * time.Second                           // for a request
)

// Store is a node's end of the store. Its methods are safe for concurrent use.
type Store struct {
	node  *ringdht.Node
	zone  int
	zones [3]*keys.Space[Entry]
}

// New makes the node an owner of keys in a zone, 0 to 2, or with another number a client. Call it before
// Join. An owner must run Guard.
func New(n *ringdht.Node, zone int) *Store {
	s := &Store{node: n, zone: zone}
	for z := range s.zones {
		s.zones[z] = keys.New[Entry](n, fmt.Sprint("kv.", z))
	}
	switch zone {
	case 0:
		do.Handle(s.zones[0], func(ctx context.Context, key string, e *Entry, r Request) (Answer, error) {
			return Primary{func(ctx context.Context, replica int, o Order) (Entry, error) {
				return follow.Call(ctx, s.zones[1+replica], key, o)
			}, s.alive}.Do(ctx, keys.Term(ctx), e, r)
		})
	case 1, 2:
		follow.Handle(s.zones[zone], func(ctx context.Context, _ string, e *Entry, o Order) (Entry, error) {
			return Follow(ctx, s.alive, keys.Term(ctx), e, o)
		})
	}
	return s
}

// alive is [Alive], in a handler. The registry answers a question for a name that no node has, unless it has
// declared this life dead. The next life's questions are none of this context's, which ends before.
func (s *Store) alive(ctx context.Context) error {
	_, err := s.node.Lookup(ctx, fmt.Sprintf("kv-%x", rand.Uint64()))
	if errors.Is(err, ringdht.ErrNoSuchNode) {
		return ctx.Err()
	}
	return errors.Join(ErrNotDone, err)
}

// Do does a request for a key, whose value is empty at first. If the error matches keys.ErrUnknown, the
// value may have been written, or may be later; else it was not.
func (s *Store) Do(ctx context.Context, key string, r Request) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for {
		a, err := do.Call(ctx, s.zones[0], key, r)
		switch {
		case ctx.Err() == nil && (errors.Is(err, ErrDeposed) || r.Kind == Get && errors.Is(err, keys.ErrUnknown)):
			time.Sleep(again) // the next primary is not heard of yet
		case err == nil, errors.Is(err, ErrDeposed), errors.Is(err, ErrNotDone), errors.Is(err, keys.ErrNotHandled), errors.Is(err, keys.ErrUnknown):
			return a, err
		default: // ErrHalf, or a panic
			return a, fmt.Errorf("%w: %w", keys.ErrUnknown, err)
		}
	}
}

// Guard sees to it that the keys of this node are in all zones: when an owner has died or left, and once a
// minute. It tells how many keys there are, and how many are perhaps not. It returns when ctx ends.
func (s *Store) Guard(ctx context.Context, tell func(here, lack int)) {
	changed := make(chan bool, len(s.zones)) // so that all can find it empty
	for _, z := range s.zones {
		go func() {
			for ev := range z.Service().Watch(ctx) {
				if ev.Change.Over() && len(changed) == 0 {
					changed <- true
				}
			}
		}()
	}
	for change := true; ctx.Err() == nil; {
		here, lack := s.refresh(ctx)
		if change || lack > 0 {
			tell(here, lack)
		}
		pause := time.Minute
		if lack > 0 {
			pause = time.Second
		}
		select {
		case change = <-changed:
		case <-time.After(pause):
			change = false
		case <-ctx.Done():
		}
	}
}

// refresh is a round of Guard. Without an owner in a zone it does nothing: requests would wait for one, and
// those of clients behind them.
func (s *Store) refresh(ctx context.Context) (here, lack int) {
	all := slices.Collect(s.zones[s.zone].Here())
	for _, z := range s.zones {
		if owners, _ := z.Service().Members(); len(owners) == 0 {
			return len(all), len(all)
		}
	}
	var failed atomic.Int64
	var requests sync.WaitGroup
	slots := make(chan struct{}, 16)
	for _, key := range all {
		slots <- struct{}{}
		requests.Go(func() {
			if _, err := s.Do(ctx, key, Request{Kind: Refresh}); err != nil {
				failed.Add(1)
			}
			<-slots
		})
	}
	requests.Wait()
	return len(all), int(failed.Load())
}
