package registry

import (
	"context"
	"net"
	"time"

	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/status"
)

// What the tests in setup_ready_test.go and out_of_sight_test.go do to a registry that no
// program can.

// TakeSetupSlot takes the slot of a set-up, as if one were under way.
func (r *Registry) TakeSetupSlot() { r.setup <- struct{}{} }

// GiveSetupSlot gives it back, and says whether it was taken.
func (r *Registry) GiveSetupSlot() bool {
	select {
	case <-r.setup:
		return true
	default:
		return false
	}
}

// StartRunAfresh starts a traffic run whether or not there is another.
func (r *Registry) StartRunAfresh(ctx context.Context, t Traffic) error {
	r.mu.Lock()
	r.runs.current = nil
	r.mu.Unlock()
	_, err := r.startRun(ctx, t)
	return err
}

// ChangeWith wakes those who wait for a change, which f makes.
func (r *Registry) ChangeWith(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	r.change()
}

// HangUpOnHost ends the connections that come from a host.
func (r *Registry) HangUpOnHost(host string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		if from, _, _ := net.SplitHostPort((*c).RemoteAddr().String()); from == host {
			(*c).Close()
		}
	}
}

// Readmit admits a member once more, under its ID, as when its incarnation has been declared
// dead. What follows from that is left to [Registry.Apply].
func (r *Registry) Readmit(p status.Peer) (ring.Member, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.members.Admit(r.now(), uint64(time.Now().UnixNano()), membership.Request{Addr: p.Addr, Want: true, ID: uint64(p.ID)})
}

// Deregister returns what takes a member's wish to leave, over the connection that it has now.
func (r *Registry) Deregister(of ring.Ref) func(body []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions[of].deregister
}

// Apply does what the membership asks for.
func (r *Registry) Apply() {
	r.mu.Lock()
	all := r.members.Take()
	r.mu.Unlock()
	for _, e := range all {
		r.apply(e)
	}
}
