package node

import (
	"context"
	"errors"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

type dialResult struct {
	p   *peerState
	err error
}

// dialDone takes the outcome of a dial.
func (k *linker) dialDone(d dialResult) {
	p := d.p
	if k.peers[ring.Ref{ID: p.ID, Incarnation: p.Incarnation}] != p { // it was not wanted any more
		return
	}
	p.dialling = nil
	if d.err != nil {
		if p.err == nil {
			k.n.cfg.Log.Info("cannot link", "node", k.n.Peer(), "peer", status.Peer{ID: status.ID(p.ID), Addr: p.Addr}, "err", d.err)
		}
		p.err, p.failed = d.err, true
		p.redial.Next()
		return
	}
	p.opened, p.err = time.Now(), nil
	if k.complaints.Reached(p.ref()) {
		k.sendTrouble(p, "")
	}
}

// dial dials a peer, after its pause.
func (k *linker) dial(p *peerState) {
	if !p.opened.IsZero() {
		// It lets itself be dialled and then hangs up: it must not be dialled all the time.
		if time.Since(p.opened) < 2*maxRedial {
			p.redial.Next()
		} else {
			p.redial.Reset()
		}
		p.opened = time.Time{}
	}
	ctx, cancel := context.WithCancel(k.ctx)
	p.dialling = cancel
	peer, wait := p.Peer, p.redial.Delay()
	k.wg.Go(func() {
		defer cancel()
		err := k.openLink(ctx, peer, wait)
		select {
		case k.done <- dialResult{p, err}:
		case <-k.ctx.Done():
		}
	})
}

// openLink opens a link, by sharing the connection that the peer has dialled if there is one
// or comes before it is time to dial.
func (k *linker) openLink(ctx context.Context, p control.Peer, wait time.Duration) error {
	// A peer that does not answer must be led around before long.
	patience := max(k.lease()/2, 100*time.Millisecond)
	if k.plane.Ask(p.ID, p.Incarnation) {
		wait = max(wait, patience/4)
	}
	if wait > 0 && k.awaitShared(ctx, p, wait) {
		return nil
	}
	err := k.dials.Do(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeoutCause(ctx, patience, errNoAnswer)
		defer cancel()
		return k.dialPeer(ctx, p)
	})
	if err != nil && k.plane.Ask(p.ID, p.Incarnation) && k.awaitShared(ctx, p, patience/4) {
		return nil // it has dialled meanwhile
	}
	return err
}

// awaitShared waits for a link on a connection that the peer has dialled.
func (k *linker) awaitShared(ctx context.Context, p control.Peer, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return k.plane.AwaitLink(ctx, p.ID, p.Incarnation) == nil
}

func (k *linker) dialPeer(ctx context.Context, p control.Peer) error {
	conn, _, err := k.n.cfg.Dial(ctx, p.Addr, wire.Hello{
		Role: wire.RoleLink, From: k.self.ID, FromIncarnation: k.self.Incarnation, To: p.ID, ToIncarnation: p.Incarnation,
	})
	if err != nil {
		return err
	}
	if ctx.Err() != nil { // too late
		conn.Close()
		return context.Cause(ctx)
	}
	k.plane.AddLink(p.ID, p.Incarnation, conn)
	return nil
}

var errNoAnswer = errors.New("it does not answer")
