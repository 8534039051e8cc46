package keys

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/arc"
)

// The guess of a node is the owner by position of those that are on the list, also if owners come and go
// between two guesses. It places none before it guesses.
func TestGuess(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 20))
	var r roll
	r.init()
	var listed []arc.Member
	for life := uint64(1); life <= 2000; life++ {
		id, owner := ringdht.ID(rng.Uint64()), rng.IntN(4) > 0
		r.list(life, id, owner)
		if owner {
			listed = append(listed, arc.Member{Life: life, Positions: arc.Positions(arc.NodePoint(uint64(id)), arc.DefaultPositions)})
		}
		if n := len(listed); n > 20 || n > 0 && rng.IntN(3) == 0 {
			i := rng.IntN(n)
			r.unlist(listed[i].Life)
			listed = slices.Delete(listed, i, i+1)
		}
		if rng.IntN(3) > 0 {
			continue
		}
		var want arc.Placement
		want.Add(listed...)
		for range 10 {
			point := rng.Uint64()
			if got := r.guess(point); got != want.At(point) {
				t.Fatalf("after %d lives: %x belongs to %d, want %d", life, point, got, want.At(point))
			}
		}
	}

	r = roll{}
	r.init()
	for life := range uint64(100) {
		r.list(life+1, ringdht.ID(life), true)
	}
	if at := r.owners.At(0); at != 0 || len(r.fresh) != 100 {
		t.Errorf("a node that has not guessed has placed owner %d, and has %d to place", at, len(r.fresh))
	}
}
