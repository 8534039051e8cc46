package registry

import (
	"context"
	"net"
	"time"

	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/status"
)

// Access to a registry for setup_ready_test.go and suspect_test.go, which programs do not have.

// TakeSetupSlot takes the slot of set-ups, as if one were under way.
func (r *Registry) TakeSetupSlot() { r.setup <- struct{}{} }

// GiveSetupSlot frees the slot of set-ups. It returns false if the slot was free.
func (r *Registry) GiveSetupSlot() bool {
	select {
	case <-r.setup:
		return true
	default:
		return false
	}
}

// StartRunAfresh starts a traffic run even if another is under way.
func (r *Registry) StartRunAfresh(ctx context.Context, t status.Traffic) error {
	r.mu.Lock()
	r.runs.current = nil
	r.mu.Unlock()
	_, err := r.startRun(ctx, t)
	return err
}

// ChangeWith calls f, and wakes the calls that wait for a change.
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

// Readmit admits a member again under its ID, as after its incarnation was declared dead. The
// consequences wait for [Registry.Apply].
func (r *Registry) Readmit(p status.Peer) (ring.Member, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.members.Admit(r.now(), uint64(time.Now().UnixNano()), membership.Request{Addr: p.Addr, Want: true, ID: uint64(p.ID)})
}

// Deregister returns the function that takes a member's request to leave, over its present
// connection.
func (r *Registry) Deregister(of ring.Ref) func(body []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions[of].deregister
}

// Apply does what the membership decides.
func (r *Registry) Apply() {
	r.mu.Lock()
	all := r.members.Take()
	r.mu.Unlock()
	for _, e := range all {
		r.apply(e)
	}
}
