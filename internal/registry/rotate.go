package registry

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/status"
)

// rotatingError says until when a change of the key is under way. It matches errs.ErrBusy.
type rotatingError struct {
	until time.Time
}

func (e *rotatingError) Error() string {
	return fmt.Sprintf("the ring's key has changed a while ago, and the one before is trusted until %s by the registry's clock, when all admissions that it signed are over: change it then", text(e.until))
}

func (*rotatingError) Is(target error) bool { return target == errs.ErrBusy }

// RotateKey gives the ring another key. The old one signs it. Both private keys are on disk before
// the state names the new one, so that a registry which is killed on the way has one of the two.
// The old one is kept by no file afterwards.
func (r *Registry) RotateKey(ctx context.Context) error {
	const what = "changing the key"
	if err := r.mayChange(ctx, what); err != nil {
		return err
	}
	s := r.sec
	private, err := newKey()
	if err != nil {
		return fmt.Errorf("ringdht: registry: %s: %w", what, err)
	}
	var old ed25519.PrivateKey
	err = s.commit(what, func(next *ringState, now time.Time) error {
		next.expire(now)
		old = next.private
		if len(next.keys) > 1 {
			return &rotatingError{next.oldUntil}
		}
		if s.state != nil {
			if err := saveKeys(s.state.dir, old, private); err != nil {
				return fmt.Errorf("%s: %w: %w", what, errUnwritten, err)
			}
		}
		next.succession = secure.Succession{Ring: next.ring, Old: secure.KeyOf(old), New: secure.KeyOf(private), Since: now}.Sign(old)
		next.private = private
		next.keys, next.oldUntil = append(next.keys, secure.KeyOf(private)), next.lastUntil.Add(revokedMargin)
		return nil
	})
	if err != nil {
		return fmt.Errorf("ringdht: registry: %w", err)
	}
	if s.state != nil {
		if err := saveKeys(s.state.dir, private); err != nil { // the next registry finds its own of the two
			r.cfg.Log.Warn("the old key of the ring could not be removed from disk: it is at the next start", "err", err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tellTrust()
	for _, session := range r.sessions {
		if h := r.holders.byRef[session.member.Ref()]; h != nil {
			r.renew(session, *h)
		}
	}
	r.recordEvent(status.Event{Kind: status.EventSecurity, Why: fmt.Sprintf("the ring has a new key, %v, which the old one, %v, has signed", secure.KeyOf(private), secure.KeyOf(old))})
	r.change()
	return nil
}
