package peers

import (
	"context"
	"iter"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/ringdht/internal/notify"
	"github.com/x/ringdht/internal/ring"
)

// Config describes a set. Every field must be set, except where its comment says otherwise.
type Config struct {
	Self, Incarnation uint64 // the node and its incarnation
	Bits              int    // of the ID space
	HopLimit          int
	MaxFrame          int // bytes of a frame
	LinkQueue         int // bytes of a link's queue; frames beyond it are not taken
	LinkLow           int // bytes of a link's queue, below which there is room
	Log               *slog.Logger
	// IsMember reports whether an incarnation of a node is one of the members that this node was
	// told of. IsMember must not block or call the set. It may be nil: then all are.
	IsMember func(id, inc uint64) bool
}

// Set is the connections of one incarnation of a node.
type Set struct {
	// static after construction
	cfg   Config
	mask  uint64
	start time.Time

	// Broken receives a token when a link of the table in use has ended. It is set at
	// construction.
	Broken chan struct{}

	routes  atomic.Pointer[Snapshot] // stored with mu held
	shed    atomic.Int64             // connections ended at a bound, see incoming.go
	unknown atomic.Int64             // frames of types for extensions

	mu sync.RWMutex
	// guarded by mu
	conns      map[*Conn]struct{} // all, and the far end of the loopback
	links      map[uint64]*Link   // by peer: its present link
	unanswered map[uint64]uint64  // by ID, the incarnation whose latest link ended because it did not answer
	incoming   incoming           // those of conns that peers have dialled
	loop       *Link              // to the node itself, made when it is first needed
	table      Routes             // in force
	ended      Traffic            // of connections that have ended
	draining   bool
	closed     bool
	why        error // reason for closed

	// owned by the caller of CheckLinks
	lastCheck time.Time

	changes notify.Change  // a connection, or a direction of one, has begun or ended
	wg      sync.WaitGroup // connections, until Remove, and goroutines that close some
}

// New returns a set without connections.
func New(c Config) *Set {
	s := &Set{
		cfg:        c,
		mask:       ring.Mask(c.Bits),
		start:      time.Now(),
		Broken:     make(chan struct{}, 1),
		conns:      make(map[*Conn]struct{}),
		links:      make(map[uint64]*Link),
		unanswered: make(map[uint64]uint64),
	}
	s.incoming.most = maxIncoming
	s.routes.Store(&Snapshot{})
	return s
}

// now is the clock of readers. It must be above zero.
func (s *Set) now() time.Duration { return time.Since(s.start) + 1 }

// Dialled takes over a connection that this node has dialled, after its handshake. It becomes the
// link to the peer, and is used at once if the routes in force name the peer. The caller reads
// it. Dialled returns nil, with the connection closed, if both directions are in use already, or
// the set is closed.
func (s *Set) Dialled(id, inc uint64, nc net.Conn) *Conn {
	s.mu.Lock()
	if have := s.links[id]; s.closed || have != nil && have.conn.peer.Incarnation == inc && have.conn.recvState == dirOpen {
		s.mu.Unlock()
		nc.Close()
		return nil
	}
	c := s.newConn(nc, ring.Ref{ID: id, Incarnation: inc}, true)
	old := s.install(c.out)
	s.converge(id)
	s.mu.Unlock()
	s.changes.Broadcast()
	if old != nil {
		old.retire()
	}
	return c
}

// Accept takes over a connection that an incarnation of a peer has dialled, after its handshake.
// The caller reads it. The connection may be one too many, see incoming.go. Then it ends, or
// another does for its sake. Accept returns nil, with the connection closed, if the set is closed.
//
// over reports whether that incarnation has ended. It may be nil. Accept calls it when
// [Set.Evict] would find the connection, since what was known at the handshake may be out of date.
func (s *Set) Accept(nc net.Conn, id, inc uint64, stranger bool, over func() bool) *Conn {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		nc.Close()
		return nil
	}
	c := s.newConn(nc, ring.Ref{ID: id, Incarnation: inc}, false)
	c.stranger, c.since = stranger, s.now()
	end := s.admit(c)
	s.mu.Unlock()
	if end != nil && end != c {
		s.endConn(end, end.shed)
	}
	if end == c || over != nil && over() {
		nc.Close()
		return c
	}
	s.mu.Lock()
	s.converge(id)
	s.mu.Unlock()
	s.changes.Broadcast() // AwaitLink may wait for it
	return c
}

// endConn ends a connection whose peer has gone or does not answer.
func (s *Set) endConn(c *Conn, err error) {
	s.mu.RLock()
	out := c.out
	s.mu.RUnlock()
	if out != nil {
		s.Unlink(out)
	}
	// To close a TLS connection may take a while: it sends an alert first.
	s.mu.RLock()
	defer s.mu.RUnlock()
	if !s.closed { // else Close closes all connections
		s.wg.Go(func() { c.closeNow(out, err) })
	}
}

// Evict ends the connections with an incarnation of a node and with every earlier one.
func (s *Set) Evict(id, inc uint64, why error) {
	s.mu.RLock()
	conns := slices.DeleteFunc(slices.Collect(maps.Keys(s.conns)), func(c *Conn) bool {
		return c.peer.ID != id || c.peer.Incarnation > inc
	})
	s.mu.RUnlock()
	for _, c := range conns {
		s.endConn(c, why)
	}
}

// Conns returns the connections with peers, each with the incarnation at its other end. One that
// comes meanwhile may be missing: see the argument over of [Set.Accept].
func (s *Set) Conns() iter.Seq2[ring.Ref, net.Conn] {
	return func(yield func(ring.Ref, net.Conn) bool) {
		s.mu.RLock()
		all := slices.Collect(maps.Keys(s.conns))
		s.mu.RUnlock()
		for _, c := range all {
			if c.peer.ID != s.cfg.Self && !yield(c.peer, c.nc) {
				return
			}
		}
	}
}

// Trim frees the buffers of readers that have been idle since the last call.
func (s *Set) Trim() {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for c := range s.conns {
		if c.in != nil {
			c.in.Trim()
		}
	}
}

// await waits until done returns true, or returns why the set was closed. It calls done with mu
// locked, at first and after each change.
func (s *Set) await(ctx context.Context, done func() bool) error {
	var why error
	err := s.changes.Await(ctx, context.Background(), &s.mu, func() bool {
		why = s.why
		return s.closed || done()
	})
	if err != nil {
		return err
	}
	return why
}

// Close closes all connections, and waits until their readers have removed them. A second call
// only waits.
func (s *Set) Close(err error) {
	s.mu.Lock()
	first := !s.closed
	if first {
		s.closed, s.why = true, err
	}
	links := s.allLinks()
	var readOnly []net.Conn // connections without a writer
	for c := range s.conns {
		if c.out == nil {
			readOnly = append(readOnly, c.nc)
		}
	}
	s.mu.Unlock()
	if first {
		for _, nc := range readOnly {
			nc.Close()
		}
		s.changes.Broadcast()
		for _, l := range links {
			l.Close()
		}
	}
	s.wg.Wait()
}

// allLinks lists the links that have a writer. It needs mu.
func (s *Set) allLinks() []*Link {
	links := make([]*Link, 0, len(s.conns)+1)
	for c := range s.conns {
		if c.out != nil {
			links = append(links, c.out)
		}
	}
	if s.loop != nil {
		links = append(links, s.loop)
	}
	return links
}
