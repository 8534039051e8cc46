package node

import (
	"context"
	"errors"
	"iter"

	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/notify"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/status"
)

// Watch yields the members present, and then those that come and go, until ctx or the node ends or
// is expelled. It runs on the caller's goroutine, and looks at what the node knows when the caller asks for the next
// event. So a slow loop costs the node nothing.
//
// Rejected: a queue for each loop, which would need a bound, and a rule for what is lost beyond it.
func (n *Node) Watch(ctx context.Context) iter.Seq[status.MemberEvent] {
	return n.watch(ctx, "", func(inc *incarnation) membership.Sight {
		return inc.local.Load().Sight(inc.info, inc.ctx.Err() != nil)
	})
}

// watch is Watch for the members that handle a service, or for all. sight is what an incarnation knows
// of them now.
func (n *Node) watch(ctx context.Context, service string, sight func(*incarnation) membership.Sight) iter.Seq[status.MemberEvent] {
	return func(yield func(status.MemberEvent) bool) {
		f := membership.Follower{HowEnded: n.howEnded, Service: service}
		for ctx.Err() == nil {
			changed := n.members.Next()
			inc := n.inc.Load()
			now := sight(inc)
			if n.ctx.Err() != nil || errors.Is(context.Cause(inc.ctx), errs.ErrClosed) {
				return
			}
			var e status.MemberEvent
			ok := now.Self.Incarnation != 0 // it has joined
			if ok {
				e, ok = f.Next(now)
			}
			switch {
			case ok && !yield(e):
				return
			case !ok && inc.ctx.Err() != nil && n.expelled.Load(): // no other incarnation comes
				return
			case !ok && notify.Wait(ctx, n.ctx, changed, nil) != nil:
				return
			}
		}
	}
}

// howEnded says how an incarnation of another node has ended, false if the node was told of no
// end. Of each ID it knows the latest that has died and the latest that has left, or is about to.
func (n *Node) howEnded(ref ring.Ref) (status.MemberChange, bool) {
	n.mu.Lock()
	died, left := n.dead.latest[ref.ID], max(n.departed.latest[ref.ID], n.parting.latest[ref.ID])
	n.mu.Unlock()
	switch inc := ref.Incarnation; {
	case inc > max(died, left):
		return "", false
	case inc == died || inc > left:
		return status.MemberDied, true
	case inc == left || inc > died:
		return status.MemberLeft, true
	}
	return status.MemberEnded, true
}
