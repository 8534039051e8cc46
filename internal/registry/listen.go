package registry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
)

// Listen starts an accepting goroutine for a listener of the transport.
func (r *Registry) Listen(ctx context.Context, addr string) (net.Addr, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("ringdht: registry: listening on %s: %w", addr, context.Cause(ctx))
	}
	l, err := r.cfg.Transport.Listen(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("ringdht: registry: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		l.Close()
		return nil, r.closedError("listening")
	}
	r.open(&l)
	r.wg.Go(func() { r.serve(&l) })
	return l.Addr(), nil
}

// Serve accepts on the caller's goroutine.
func (r *Registry) Serve(l net.Listener) error {
	if handshake.IsNil(l) {
		return errors.New("ringdht: registry: serving: the listener is nil")
	}
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		l.Close()
		return r.closedError("serving")
	}
	r.open(&l)
	r.wg.Add(1)
	r.mu.Unlock()
	defer r.wg.Done()
	return r.serve(&l)
}

// open adds a listener. The first one starts the registry's clock and its loops. It needs mu.
func (r *Registry) open(l *net.Listener) {
	r.listeners[l] = struct{}{}
	if !r.opened {
		r.opened = true
		r.start = time.Now()
		r.members.Start(r.now())
		r.stalls = stalls{period: shortPeriod(r.cfg.Lease), accounted: r.cfg.Now()}
		r.wg.Go(r.stallLoop)
		r.wg.Go(r.reconcileLoop)
		if r.state != nil {
			r.wg.Go(r.saveLoop)
		}
		if r.sec != nil {
			r.wg.Go(r.securityLoop)
		}
	}
}

// serve accepts connections until the listener is closed.
func (r *Registry) serve(l *net.Listener) error {
	err := r.cfg.Accept(r.ctx, *l, r.wg.Go, r.handleConn)
	(*l).Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.listeners, l)
	if r.closed {
		return r.closedError("serving")
	}
	return fmt.Errorf("ringdht: registry: %w", err) // the program closed the listener
}

// handleConn is the goroutine of a connection: the handshake, then the session. It calls introduced
// when something else bounds the connection, so that there is room for the next one: the registry dials
// the node, has it wait, or has answered its Register.
func (r *Registry) handleConn(conn net.Conn, introduced func()) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		introduced()
		conn.Close()
		return
	}
	r.conns[&conn] = struct{}{}
	r.mu.Unlock()
	defer func() {
		conn.Close()
		r.mu.Lock()
		delete(r.conns, &conn)
		r.mu.Unlock()
	}()
	carried, _, proof, err := r.cfg.Welcome(conn, func(h wire.Hello, _ secure.Proof) wire.Answer {
		if h.Role != wire.RoleMember {
			return wire.Answer{Status: wire.WrongRole, Reason: "this is a registry, not a node: it carries no messages"}
		}
		return wire.Answer{}
	})
	if err != nil {
		introduced()
		if r.ctx.Err() == nil {
			r.cfg.RefusedConn(conn, err)
			if r.sec != nil {
				r.refusedConn(conn.RemoteAddr(), err)
			}
		}
		return
	}
	s := &session{
		r: r, conn: control.NewNodeConn(carried, r.cfg.Codec), remote: conn.RemoteAddr(), proof: proof,
		heard: func() { handshake.Heard(conn) }, introduced: sync.OnceFunc(introduced),
	}
	s.run()
}
