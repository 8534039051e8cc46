package inmemory

import (
	"context"
	"errors"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// open starts a ring of a voter and a tally on two hosts of an in-memory network.
func open(t *testing.T) (*memnet.Network, *Voter, *Tally) {
	t.Helper()
	ctx := context.Background()
	network := memnet.New(1) // the seed decides which writes are lost
	registry, err := ringdht.NewRegistry(ringdht.WithTransport(network.Host("registry")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { registry.Close() })
	if _, err := registry.Listen(ctx, "registry:1"); err != nil {
		t.Fatal(err)
	}
	voter, tally := NewVoter(ringdht.WithTransport(network.Host("voter"))), NewTally(ringdht.WithTransport(network.Host("tally")))
	for _, n := range []*ringdht.Node{voter.Node, tally.Node} {
		t.Cleanup(func() { n.Close() })
		if err := n.Join(ctx, "registry:1"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := registry.Setup(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if err := voter.Ready(ctx); err != nil { // it knows the tally
		t.Fatal(err)
	}
	return network, voter, tally
}

// Each vote counts once, though a fifth of all writes is lost.
func TestVotesOverALossyNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // virtual time: the waits of the ring take none
		network, voter, tally := open(t)
		network.Drop("voter", "tally", 0.2)
		for range 50 {
			if err := voter.Vote(t.Context(), tally.ID(), "ann", "bob", "ann"); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := tally.Votes(), map[string]int{"ann": 100, "bob": 50}; !maps.Equal(got, want) {
			t.Errorf("the votes are %v, want %v", got, want)
		}
	})
}

// A voter whose tally is cut off is told which votes may be lost.
func TestVotesForATallyThatIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, voter, tally := open(t)
		network.Cut("tally", "") // from every other host
		start := time.Now()
		err := voter.Vote(t.Context(), tally.ID(), "ann")
		lost, ok := errors.AsType[*status.UndeliveredError](err)
		if !ok || len(lost.Streams) != 1 || string(lost.Streams[0].Bodies[0]) != "ann" {
			t.Fatalf("Vote: %v", err)
		}
		t.Logf("told after %v of virtual time: %v", time.Since(start), err)
	})
}
