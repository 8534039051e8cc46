package plane

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht/internal/peers"
)

// Two connections that both nodes have dialled become one, in whatever order, and no message is
// lost.
func TestConverge(t *testing.T) {
	for name, pipe := range map[string]func(testing.TB) (net.Conn, net.Conn){"memory": memory, "tcp": tcp} {
		t.Run(name, func(t *testing.T) {
			c := newCouple(t)
			var wg sync.WaitGroup
			wg.Go(func() { dialOver(t, pipe, c.a, c.b) })
			wg.Go(func() { dialOver(t, pipe, c.b, c.a) })
			wg.Go(func() { c.exchange(2000) })
			wg.Wait()
			eventually(t, "one connection", c.shared)
			c.exchange(100)
			c.quiet()
		})
	}
}

// While tables change meanwhile nothing is lost either, and one connection is left in the end.
func TestConvergeInAStorm(t *testing.T) {
	c := newCouple(t)
	var over atomic.Bool
	var wg sync.WaitGroup
	for i, p := range c.planes {
		to := c.planes[1-i]
		wg.Go(func() {
			for epoch := uint64(2); ; epoch += 2 {
				last := over.Load()
				p.SetRoutes(Routes{Epoch: epoch, Successor: to.Self}) // it has no entry, and the link is retired
				p.SetRoutes(table(p, epoch+1, to.Self))
				if p.Ask(to.Self, to.Incarnation) {
					ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
					p.AwaitLink(ctx, to.Self, to.Incarnation)
					cancel()
				}
				if !p.HasLink(to.Self, to.Incarnation) {
					c.dial(p, to)
				}
				if last {
					return
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	c.exchange(3000)
	over.Store(true)
	wg.Wait()
	eventually(t, "one connection", c.shared)
	c.exchange(100)
	// Both dial more often than they can end connections. The oldest of three makes way, and its
	// other end sees no more than that it was closed.
	var closed int64
	all := slices.DeleteFunc(c.logs.all(), func(line string) bool {
		if strings.Contains(line, `msg="link ended"`) && (!strings.Contains(line, "err=") || strings.Contains(line, io.ErrUnexpectedEOF.Error())) {
			closed++
			return true
		}
		return strings.Contains(line, peers.ErrCrowded.Error()) || strings.Contains(line, "broken pipe")
	})
	if shed := c.a.Counters().LinksShed + c.b.Counters().LinksShed; closed > shed {
		t.Errorf("%d links were closed by the other end, %d had to make way", closed, shed)
	}
	if len(all) > 0 {
		t.Error("logged:", all)
	}
}
