package handshake

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/x/ringdht/internal/backoff"
	"github.com/x/ringdht/internal/dial"
	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/notify"
)

// maxHandshakes bounds the connections that were accepted and have proven nothing yet.
const maxHandshakes = 1024

// minSilence is the part of the handshake's deadline for which a connection may be silent while
// others of the same source want its place.
const minSilence = 16

// places has the accepted connections that have proven nothing yet, for all listeners of a registry
// or node.
type places struct {
	mu    sync.Mutex
	slots slots
	conns map[*slot]*arrival // nil while there are none, as most of the time
	freed notify.Change

	// crypto bounds the handshakes of TLS that compute at the same time. A flood of them leaves
	// processors for the connections that stand.
	crypto chan struct{}
}

func newPlaces(timeout time.Duration) *places {
	return &places{
		slots:  slots{most: maxHandshakes, patience: timeout / minSilence},
		crypto: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}
}

// arrival is an accepted connection on its way to Welcome.
type arrival struct {
	net.Conn
	places *places
	slot   *slot
}

// place finds a place for a connection. It waits while there is none, and returns nil if ctx ends
// before. dropped is the connection that had to make room, which is closed.
func (p *places) place(ctx context.Context, conn net.Conn) (a, dropped *arrival) {
	source := dial.Source(conn.RemoteAddr())
	for {
		changed := p.freed.Next()
		p.mu.Lock()
		mine, instead := p.slots.take(source, time.Now())
		if mine != nil {
			a, dropped = &arrival{conn, p, mine}, p.conns[instead]
			delete(p.conns, instead)
			if p.conns == nil {
				p.conns = make(map[*slot]*arrival)
			}
			p.conns[mine] = a
		}
		p.mu.Unlock()
		if mine != nil {
			if dropped != nil {
				dropped.Conn.Close()
			}
			return a, dropped
		}
		retry, cancel := context.WithTimeout(ctx, max(p.slots.patience/(2*hurry), time.Millisecond))
		notify.Wait(retry, context.Background(), changed, nil)
		cancel()
		if ctx.Err() != nil {
			return nil, nil
		}
	}
}

// release gives the connection's place back. It may be called again.
func (a *arrival) release() {
	a.places.mu.Lock()
	a.places.slots.release(a.slot)
	if delete(a.places.conns, a.slot); len(a.places.conns) == 0 {
		a.places.conns = nil
	}
	a.places.mu.Unlock()
	a.places.freed.Broadcast()
}

// await says that this side waits for the other, and work that it waits no more. A nil arrival is
// that of a connection that needs no place.
func (a *arrival) await() { a.note((*slot).await) }
func (a *arrival) work()  { a.note((*slot).work) }

func (a *arrival) note(f func(*slot, time.Time)) {
	if a != nil {
		a.places.mu.Lock()
		f(a.slot, time.Now())
		a.places.mu.Unlock()
	}
}

// Heard says that the other side of an accepted connection has said all that it has to, and waits
// for this one. Then the place of the connection is safe until it is given back.
func Heard(accepted net.Conn) {
	a, _ := accepted.(*arrival)
	a.work()
}

// arrived returns the transport's connection, and the arrival if Accept has accepted it.
func arrived(conn net.Conn) (net.Conn, *arrival) {
	if a, ok := conn.(*arrival); ok {
		return a.Conn, a
	}
	return conn, nil
}

// Accept accepts connections until the listener is closed. It serves each on a goroutine that start
// starts. serve calls its second argument when the other side has proven what it is, or was
// refused; until then the connection has one of a bounded number of places, from which another
// connection may push it: then it is closed. serve returns when the connection has ended. Any other
// failure, such as a lack of file descriptors, only delays the next attempt.
func (c *Config) Accept(ctx context.Context, l net.Listener, start func(func()), serve func(net.Conn, func())) error {
	delays := backoff.Backoff{Min: 5 * time.Millisecond, Max: time.Second}
	for {
		conn, err := acceptFrom(l)
		if err != nil {
			if ctx.Err() != nil {
				return errs.ErrClosed
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			delay := delays.Next()
			c.WarnOften(ReasonOf(err), "cannot accept connections, trying again", "addr", l.Addr(), "err", err, "in", delay)
			if Sleep(ctx, delay) != nil {
				return errs.ErrClosed
			}
			continue
		}
		delays.Reset()
		a, dropped := c.places.place(ctx, conn)
		if dropped != nil {
			c.WarnOften("", "many connections that prove nothing: the most silent one of the source with most of them was closed",
				"from", dropped.RemoteAddr(), "most", maxHandshakes)
		}
		if a == nil {
			conn.Close()
			return errs.ErrClosed
		}
		start(func() { serve(a, a.release) })
	}
}
