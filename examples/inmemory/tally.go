// Package inmemory shows how to test a program over the in-memory network, with faults and
// in virtual time. The program is the types Tally and Voter; the test beside it is what to copy.
//
//	go test -v ./examples/inmemory
package inmemory

import (
	"context"
	"maps"
	"sync"

	"github.com/x/ringdht"
)

// service is the service of tallies and voters. Its messages are names.
const service = "votes"

// Tally is a node that counts votes.
type Tally struct {
	*ringdht.Node

	mu    sync.Mutex
	votes map[string]int
}

// NewTally returns a tally that has not joined yet. The options let a test replace the network.
func NewTally(opts ...ringdht.NodeOption) *Tally {
	t := &Tally{Node: ringdht.NewNode(opts...), votes: make(map[string]int)}
	t.Service(service).Handle(t.count)
	return t
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

// Voter is a node that votes.
type Voter struct {
	*ringdht.Node
	votes *ringdht.Service
}

// NewVoter returns a voter that has not joined yet.
func NewVoter(opts ...ringdht.NodeOption) *Voter {
	n := ringdht.NewNode(opts...)
	return &Voter{n, n.Service(service)}
}

// Vote sends votes to a tally, and returns when it has counted them.
func (v *Voter) Vote(ctx context.Context, tally ringdht.ID, names ...string) error {
	for _, name := range names {
		if err := v.votes.Send(ctx, tally, []byte(name)); err != nil {
			return err
		}
	}
	return v.Flush(ctx, tally)
}
