package keys

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/x/ringdht"
)

// Space is a set of keys with states of type S, of which each is at one node, its owner. Its methods are
// safe for concurrent use, but those before Join are not.
//
// S is encoded by the codec of the ring when a key moves. So its fields must be exported, and what does
// not travel (a file, a lock) does not belong into it.
type Space[S any] struct {
	hub     *hub
	methods map[string]func(ctx context.Context, s *states[S], m Message) ([]byte, error)
	load    func(ctx context.Context, key string) (S, error)
	save    func(ctx context.Context, key string, state *S) error
	here    atomic.Pointer[states[S]] // of the latest life
}

// New returns the Space of a service. Call New, [Method.Handle], OnLoad and OnSave before Join, in all
// programs with the same service. A node that handles no method sends messages, and owns no keys.
//
// New registers two services: one of this name, which the owners handle, and one with "~keys" behind
// it. It panics if the node has such a service, or has joined, see ringdht.Node.Service.
//
// When the node leaves, it gives its keys to other owners, and waits until its messages have their
// outcomes. If it is the last owner, OnSave gets the states, and they are lost here.
func New[S any](n *ringdht.Node, service string, opts ...Option) *Space[S] {
	return &Space[S]{hub: newHub(n, service, opts), methods: make(map[string]func(context.Context, *states[S], Message) ([]byte, error))}
}

// OnLoad sets the function that makes the state of a key which no other owner hands over: the key is
// new, or its owner died. Without it the state is the zero S. f is called when the first message comes,
// which waits for it. If it returns an error, the message gets that as its answer, and the next message
// calls f again. ctx is that of the message's handler.
func (s *Space[S]) OnLoad(f func(ctx context.Context, key string) (S, error)) { s.load = f }

// OnSave sets a function that is called when a state is about to leave this node: before it goes to
// another owner, or when it is lost since the last owner leaves. It is not called when the node dies
// or closes. It must not change the state. After an error the move waits, and f is called again, with all
// states of an arc; for a state that is lost the error is logged. The next owner does not call OnLoad.
func (s *Space[S]) OnSave(f func(ctx context.Context, key string, state *S) error) { s.save = f }

// Here yields the keys with a state at this node, in no order. A key that moves is at both nodes for a
// while.
func (s *Space[S]) Here() iter.Seq[string] {
	return func(yield func(string) bool) {
		if here := s.here.Load(); here != nil {
			here.keys(yield)
		}
	}
}

// Owner returns the ID of the node that owns a key. It may be another one when Owner returns. The
// question waits for messages of this node to the key, as these do for each other.
func (s *Space[S]) Owner(ctx context.Context, key string) (ringdht.ID, error) {
	return s.hub.owner(ctx, key)
}

// Flush waits until all messages that were accepted before the call have their outcomes. Its error
// matches [ErrUnknown] if the outcomes of some are not known, or the cause of ctx.
func (s *Space[S]) Flush(ctx context.Context) error { return s.hub.flush(ctx) }

// Service returns the service whose members are the owners. It must not be used otherwise.
func (s *Space[S]) Service() *ringdht.Service { return s.hub.service }

// Counters returns the counters of the node, over all its lives. They are of one instant.
func (s *Space[S]) Counters() Counters { return s.hub.counters() }

// begin makes the states of a life.
func (s *Space[S]) begin() Owner {
	all := &states[S]{space: s}
	s.here.Store(all)
	return all
}

// buckets divide the states by the first bits of their points, so that those of an arc are found
// without looking at all.
const buckets = 1 << 10

// states are the states of one life. It is the [Owner] of a Space.
type states[S any] struct {
	space *Space[S]

	mu  sync.Mutex
	all [buckets]map[string]*entry[S]
	// The entries themselves belong to the handler of their point, or to the operation on their arc.
}

// entry is the state of a key: decoded, or as another owner has encoded it.
type entry[S any] struct {
	point   uint64
	state   S
	encoded []byte // nil: state counts
	term    uint64 // of the latest message
}

func bucket(point uint64) int { return int(point >> 54) }

// get returns the entry of a key, or nil.
func (s *states[S]) get(key string, point uint64) *entry[S] {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[bucket(point)][key]
}

func (s *states[S]) put(key string, e *entry[S]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &s.all[bucket(e.point)]
	if *b == nil {
		*b = make(map[string]*entry[S])
	}
	(*b)[key] = e
}

// within returns the entries of an arc.
func (s *states[S]) within(a Arc) map[string]*entry[S] {
	found := make(map[string]*entry[S])
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.all[bucket(a.First) : bucket(a.Last)+1] {
		for key, e := range b {
			if a.Has(e.point) {
				found[key] = e
			}
		}
	}
	return found
}

// remove forgets the entries of an arc.
func (s *states[S]) remove(a Arc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := bucket(a.First); i <= bucket(a.Last); i++ {
		for key, e := range s.all[i] {
			if a.Has(e.point) {
				delete(s.all[i], key)
			}
		}
		if len(s.all[i]) == 0 {
			s.all[i] = nil
		}
	}
}

func (s *states[S]) keys(yield func(string) bool) {
	for i := range s.all {
		s.mu.Lock()
		keys := sortedKeys(s.all[i])
		s.mu.Unlock()
		for _, key := range keys {
			if !yield(key) {
				return
			}
		}
	}
}
