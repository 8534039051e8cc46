package plane

import (
	"iter"
	"net"

	"github.com/x/ringdht/internal/ring"
)

// Conns returns the connections with peers, each with the incarnation at its other end. One that
// comes meanwhile may be missing: see the argument over of [Plane.Receive].
func (p *Plane) Conns() iter.Seq2[ring.Ref, net.Conn] {
	return func(yield func(ring.Ref, net.Conn) bool) {
		p.mu.RLock()
		all := make([]*conn, 0, len(p.conns))
		for c := range p.conns {
			all = append(all, c)
		}
		p.mu.RUnlock()
		for _, c := range all {
			if c.id != p.Self && !yield(ring.Ref{ID: c.id, Incarnation: c.inc}, c.nc) {
				return
			}
		}
	}
}
