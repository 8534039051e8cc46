package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/dial"
	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/status"
)

// maxLookups bounds the questions for a name that are under way. Others wait.
const maxLookups = 256

// lookups are the questions for names that the registry has not answered.
type lookups struct {
	slots chan struct{} // one for each question under way

	mu    sync.Mutex // a leaf; guards what follows
	asked uint64
	open  map[uint64]chan<- control.Found // by number; each has room for the answer
}

func newLookups() *lookups {
	return &lookups{slots: make(chan struct{}, maxLookups), open: make(map[uint64]chan<- control.Found)}
}

func (l *lookups) begin() (number uint64, answer <-chan control.Found) {
	found := make(chan control.Found, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	l.open[l.asked] = found
	return l.asked, found
}

// take ends a question. It returns nil if it has ended before.
func (l *lookups) take(number uint64) chan<- control.Found {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := l.open[number]
	delete(l.open, number)
	return found
}

// Lookup finds the member that holds a name: by the node's own list, or else by asking the registry.
func (n *Node) Lookup(ctx context.Context, name string) (status.MemberInfo, error) {
	m, err := n.lookup(ctx, name)
	if err != nil {
		return status.MemberInfo{}, fmt.Errorf("ringdht: node %d: looking up the name %.70q: %w", n.ID(), name, err)
	}
	return m, nil
}

func (n *Node) lookup(ctx context.Context, name string) (status.MemberInfo, error) {
	inc := n.inc.Load()
	switch {
	case name == "" || control.CheckName(name) != nil:
		return status.MemberInfo{}, fmt.Errorf("%w: it is no name of a member", stream.ErrNoSuchNode)
	case inc.ctx.Err() == nil && inc.info.NameOf() == name:
		return inc.described(), nil
	}
	local := inc.local.Load()
	for m := range local.Others.All() {
		if m.Info.NameOf() == name && local.Serves(m.Ref) {
			return local.Describe(m.Ref, m.Info), nil
		}
	}
	return n.ask(ctx, name)
}

// ask asks the registry for a name.
func (n *Node) ask(ctx context.Context, name string) (m status.MemberInfo, err error) {
	select {
	case n.lookups.slots <- struct{}{}:
		defer func() { <-n.lookups.slots }()
	case <-ctx.Done():
		return m, context.Cause(ctx)
	case <-n.ctx.Done():
		return m, context.Cause(n.ctx)
	}
	n.mu.Lock()
	ctl, lost := n.ctl.Load(), n.disconnected
	n.mu.Unlock()
	select {
	case <-lost:
		return m, n.outageError()
	default:
	}
	number, answer := n.lookups.begin()
	defer n.lookups.take(number)
	if err := ctl.Send(control.TypeLookup, control.Lookup{Ask: number, Name: name}); err != nil {
		return m, fmt.Errorf("%w: %w", errs.ErrRegistryLost, err)
	}
	late := time.NewTimer(2 * n.cfg.Timeout)
	defer late.Stop()
	select {
	case f := <-answer:
		if !f.Here {
			return m, fmt.Errorf("%w: no member has it now", stream.ErrNoSuchNode)
		}
		info := ring.NewInfo(name, f.Tags, f.Services)
		return new(membership.Describer).Describe(ring.Ref{ID: f.ID, Incarnation: f.Incarnation}, f.Addr, info), nil
	case <-lost:
		return m, fmt.Errorf("%w: it was lost before the answer came: try again", errs.ErrRegistryLost)
	case <-late.C:
		return m, fmt.Errorf("%w: no answer for %v: it may be of a version that knows no names", errs.ErrRegistryLost, 2*n.cfg.Timeout)
	case <-ctx.Done():
		return m, context.Cause(ctx)
	case <-n.ctx.Done():
		return m, context.Cause(n.ctx)
	}
}

// handleFound takes an answer of the registry.
func (n *Node) handleFound(ctl *control.Conn, body []byte) error {
	var f control.Found
	if err := ctl.Decode(body, &f); err != nil {
		return err
	}
	if err := control.CheckInfo("", f.Tags, f.Services); err != nil {
		return err
	}
	if !dial.Printable(f.Addr) || len(f.Addr) > 300 {
		return fmt.Errorf("the address %.300q of node %d has characters that cannot be printed", f.Addr, f.ID)
	}
	if found := n.lookups.take(f.Ask); found != nil {
		found <- f
	}
	return nil
}
