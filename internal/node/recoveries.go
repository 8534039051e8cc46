package node

import (
	"github.com/x/ringdht/internal/control"
)

// recoveries is what a node with keys knows of the recoveries of registries, for the next one. It is owned
// by the goroutine that reads from the registry: that of Join, and then controlLoop.
//
// A life with keys that has missed a recovery must not come back: others hold what it held. See
// membership.Recoveries.
type recoveries struct {
	registry uint64 // of the present connection
	recovery uint64 // of the latest manifest that had one
	toldBy   uint64 // the registry that has sent it
	backWith uint64 // the first registry that has taken the life in since
}

// say adds it to the Register of an incarnation that goes on.
func (r *recoveries) say(req *control.Register) {
	req.Recovery, req.ToldBy, req.BackWith = r.recovery, r.toldBy, r.backWith
}

// registered notes the registry that has taken the life in.
func (r *recoveries) registered(registry uint64) {
	if r.registry = registry; r.backWith == 0 && registry != r.toldBy {
		r.backWith = registry
	}
}

// manifest notes that the registry has told the outcome of its recovery.
func (r *recoveries) manifest(recovery uint64) {
	if recovery != 0 {
		*r = recoveries{registry: r.registry, recovery: recovery, toldBy: r.registry}
	}
}
