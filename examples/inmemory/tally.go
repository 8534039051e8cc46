// Package inmemory shows how to test a program over the in-memory network, with faults and
// in virtual time. The program is the type Tally; the test beside it is what to copy.
//
//	go test -v ./examples/inmemory
package inmemory

import (
	"context"
	"maps"
	"sync"

	"github.com/x/ringdht"
)

// Tally counts votes. It is the program under test: a node whose messages are names.
type Tally struct {
	Node *ringdht.Node

	mu    sync.Mutex
	votes map[string]int
}

// Open joins the ring of the registry at addr. The options let a test replace the network.
func Open(ctx context.Context, addr string, opts ...ringdht.NodeOption) (*Tally, error) {
	t := &Tally{votes: make(map[string]int)}
	var err error
	t.Node, err = ringdht.Join(ctx, addr, t.count, opts...)
	return t, err
}

func (t *Tally) count(_ context.Context, m ringdht.Message) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.votes[string(m.Body)]++
}

// Votes returns the votes so far.
func (t *Tally) Votes() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.votes)
}

// Vote sends votes to a tally, and returns when it has counted them.
func Vote(ctx context.Context, from *ringdht.Node, tally ringdht.ID, names ...string) error {
	for _, name := range names {
		if err := from.Send(ctx, tally, []byte(name)); err != nil {
			return err
		}
	}
	return from.Flush(ctx, tally)
}
