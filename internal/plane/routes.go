package plane

import (
	"errors"
	"io"
	"net"
	"slices"
	"time"

	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/memnet"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
)

// outLink is the link to one entry.
type outLink struct {
	*link.Writer
	id, life uint64
	conn     net.Conn
}

// routes is an immutable snapshot: the entries in clockwise order and the link
// to each. One atomic load serves a whole batch of frames.
type routes struct {
	epoch uint64
	ids   []uint64
	links []*outLink
}

// HasLink says whether there is a working link to this life of a node.
func (p *Plane) HasLink(id, life uint64) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	l, ok := p.links[id]
	return ok && l.life == life
}

// AddLink takes over a connection to an entry, whose handshake is done. It is
// used from the next [Plane.Use] on.
func (p *Plane) AddLink(id, life uint64, conn net.Conn) {
	l := &outLink{link.NewWriter(conn, p.LinkQueue, p.LinkLow), id, life, conn}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		conn.Close()
		return
	}
	old := p.links[id]
	if old != nil {
		p.retired[old] = struct{}{}
	}
	p.links[id] = l
	p.wg.Go(func() { p.watch(l) })
	p.mu.Unlock()
	if old != nil {
		old.conn.SetWriteDeadline(time.Now().Add(retireTimeout))
		old.Retire()
	}
}

// watch reads from a link, on which nothing ever comes, to learn that it ended.
func (p *Plane) watch(l *outLink) {
	var b [1]byte
	_, err := l.conn.Read(b[:])
	if err == nil {
		err = errors.New("the peer sent data on a one-way link")
	}
	l.Fail(err)
	l.Close()
	bytes, writes := l.Stats()
	p.counters.bytesOut.Add(bytes)
	p.counters.writes.Add(writes)
	p.mu.Lock()
	if p.links[l.id] == l {
		delete(p.links, l.id)
		select {
		case p.Broken <- struct{}{}:
		default:
		}
	}
	delete(p.retired, l)
	closed := p.closed
	p.mu.Unlock()
	switch {
	case closed || errors.Is(err, net.ErrClosed):
	case err == io.EOF: // the peer has left
		p.Log.Info("link ended", "peer", l.id)
	default:
		p.Log.Warn("link ended", "peer", l.id, "err", err)
	}
}

// retireTimeout is how long a link that is not used any more may take to write what
// it holds: a peer that does not read must not keep it for ever.
const retireTimeout = 10 * time.Second

// Know says which nodes exist and can be reached: everybody's tables lead to them.
func (p *Plane) Know(members []uint64) {
	sorted := slices.Sorted(slices.Values(members))
	p.members.Store(&sorted)
}

// known says whether a node is known to exist.
func (p *Plane) known(id uint64) bool {
	members := p.members.Load()
	if members == nil {
		return false
	}
	_, ok := slices.BinarySearch(*members, id)
	return ok
}

// Use makes the entries with these IDs, in clockwise order, the table of an
// epoch. Links that it does not name write what they hold and end. It returns the
// entries whose link has ended already: frames for them are dropped and counted.
func (p *Plane) Use(epoch uint64, ids []uint64) (missing []uint64) {
	var old []*outLink
	p.mu.Lock()
	rt := &routes{epoch: epoch, ids: slices.Clone(ids), links: make([]*outLink, len(ids))}
	for i, id := range ids {
		if rt.links[i] = p.links[id]; rt.links[i] == nil {
			missing = append(missing, id)
		}
	}
	p.routes.Store(rt)
	for id, l := range p.links {
		if !slices.Contains(ids, id) {
			delete(p.links, id)
			p.retired[l] = struct{}{}
			old = append(old, l)
		}
	}
	p.mu.Unlock()
	for _, l := range old {
		l.conn.SetWriteDeadline(time.Now().Add(retireTimeout))
		l.Retire()
	}
	return missing
}

// Epoch is the epoch of the table in use, 0 before the first.
func (p *Plane) Epoch() uint64 { return p.routes.Load().epoch }

// next is the link towards dst. It is nil without an error when the entry is
// known and its link is not up.
func (p *Plane) next(rt *routes, dst uint64) (*outLink, error) {
	i := ring.ClosestPreceding(p.mask, p.Self, dst, rt.ids)
	if i < 0 {
		return nil, stream.ErrNoSuchNode
	}
	return rt.links[i], nil
}

// emit sends frames of this node's own, all with the same dst. The only error is
// [stream.ErrNoSuchNode], which a relay would have sent back; frames that find
// their queue full or their link gone are counted and left to their stream. The
// link is returned so that a source can wait for room on it.
func (p *Plane) emit(dst uint64, frames []byte) (l *outLink, queued int, err error) {
	if len(frames) == 0 {
		return nil, 0, nil
	}
	if dst == p.Self {
		l = p.loopback()
	} else if l, err = p.next(p.routes.Load(), dst); err != nil {
		p.counters.noRoute.Add(int64(wire.Count(frames)))
		return nil, 0, err
	}
	if l == nil {
		p.counters.linkDown.Add(int64(wire.Count(frames)))
		return nil, 0, nil
	}
	queued, appendErr := l.Append(frames)
	if appendErr != nil && !errors.Is(appendErr, link.ErrFull) && dst != p.Self {
		// The table may have changed and this link been retired in between.
		if again, _ := p.next(p.routes.Load(), dst); again != nil && again != l {
			l = again
			queued, appendErr = l.Append(frames)
		}
	}
	if appendErr != nil {
		p.dropped(appendErr, frames)
		return nil, 0, nil
	}
	return l, queued, nil
}

func (p *Plane) dropped(why error, frames []byte) {
	n := int64(wire.Count(frames))
	if errors.Is(why, link.ErrFull) {
		p.counters.queueFull.Add(n)
	} else {
		p.counters.linkDown.Add(n)
	}
}

// loopback is the link of the node to itself: a pair of connected buffers with
// the same writer and reader as any link, so that a message to oneself follows
// the same rules. Handing frames over directly would take locks in a circle.
func (p *Plane) loopback() *outLink {
	p.mu.RLock()
	l := p.loop
	p.mu.RUnlock()
	if l != nil {
		return l
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.loop == nil && !p.closed {
		near, far := memnet.Pipe()
		p.loop = &outLink{link.NewWriter(near, p.LinkQueue, p.LinkLow), p.Self, p.Life, near}
		rc := p.reception(far, p.Self)
		p.wg.Go(func() { rc.run() })
	}
	return p.loop
}
