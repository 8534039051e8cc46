package node

import (
	"context"
	"errors"
	"time"

	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

// A node has at most maxDials dials under way, not counting up to maxSlow to peers that are
// slow to answer.
const (
	maxDials = 16
	maxSlow  = 64
)

// A link that breaks is dialled again at once. If that fails, or the link does not last, it is
// dialled again after minRedial, then ever more slowly.
const (
	minRedial = 50 * time.Millisecond
	maxRedial = 5 * time.Second
)

type dialResult struct {
	p   *peerState
	err error
}

// dialDone handles the outcome of a dial.
func (l *linker) dialDone(d dialResult) {
	p := d.p
	if l.peers[p.Ref()] != p { // it is not wanted any more, or has moved
		return
	}
	p.dialling = nil
	if d.err != nil {
		if p.err == nil {
			l.n.cfg.Log.Info("cannot link", "node", l.n.Peer(), "peer", status.Peer{ID: status.ID(p.ID), Addr: p.Addr}, "err", d.err)
		}
		p.err, p.failed = d.err, true
		p.redial.Next()
		return
	}
	p.opened, p.err = time.Now(), nil
	if l.complaints.Reached(p.Ref()) {
		l.sendTrouble(p, "")
	}
}

// dial dials a peer in a goroutine, after its backoff.
func (l *linker) dial(p *peerState) {
	if !p.opened.IsZero() {
		// A peer that accepts links and then closes them must not be dialled all the time.
		if time.Since(p.opened) < 2*maxRedial {
			p.redial.Next()
		} else {
			p.redial.Reset()
		}
		p.opened = time.Time{}
	}
	ctx, cancel := context.WithCancel(l.ctx)
	p.dialling = cancel
	peer, wait := p.Peer, p.redial.Delay()
	l.wg.Go(func() {
		defer cancel()
		err := l.openLink(ctx, peer, wait)
		select {
		case l.done <- dialResult{p, err}:
		case <-l.ctx.Done():
		}
	})
}

// openLink opens a link. It shares the connection that the peer has dialled, if there is one
// or one comes before it is time to dial.
func (l *linker) openLink(ctx context.Context, p ring.Peer, wait time.Duration) error {
	// A peer that does not answer needs a detour soon, so the dial is short.
	timeout := max(l.lease()/2, 100*time.Millisecond)
	if l.plane.Ask(p.ID, p.Incarnation) {
		wait = max(wait, timeout/4)
	}
	if wait > 0 && l.awaitShared(ctx, p, wait) {
		return nil
	}
	err := l.dials.Do(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeoutCause(ctx, timeout, errNoAnswer)
		defer cancel()
		return l.dialPeer(ctx, p)
	})
	if err != nil && l.plane.Ask(p.ID, p.Incarnation) && l.awaitShared(ctx, p, timeout/4) {
		return nil // it has dialled meanwhile
	}
	return err
}

// awaitShared waits for a link on a connection that the peer has dialled, and reports whether
// it has come.
func (l *linker) awaitShared(ctx context.Context, p ring.Peer, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return l.plane.AwaitLink(ctx, p.ID, p.Incarnation) == nil
}

// dialPeer opens a link on a connection of its own.
func (l *linker) dialPeer(ctx context.Context, p ring.Peer) error {
	conn, _, _, err := l.n.cfg.Dial(ctx, p.Addr, wire.Hello{
		Role: wire.RoleLink, From: l.self.ID, FromIncarnation: l.self.Incarnation, To: p.ID, ToIncarnation: p.Incarnation,
	})
	if err != nil {
		return err
	}
	if ctx.Err() != nil { // too late
		conn.Close()
		return context.Cause(ctx)
	}
	l.plane.AddLink(p.ID, p.Incarnation, conn)
	if l.dropIfRevoked(p.Ref(), conn) { // it was expelled during the handshake
		return secure.ErrRevoked
	}
	return nil
}

var errNoAnswer = errors.New("it does not answer")
