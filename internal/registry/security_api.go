package registry

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/status"
)

// errOpen is the error of what only a secure ring has.
var errOpen = errors.New("the ring is open, and only a secure one has this (WithSecurity, -secure)")

func openError(what string) error { return fmt.Errorf("ringdht: registry: %s: %w", what, errOpen) }

// JoinLine returns the line by which nodes join.
func (r *Registry) JoinLine(addr string, token ...uint32) (string, error) {
	const what = "making a join line"
	if r.sec == nil {
		return "", openError(what)
	}
	if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" || port == "0" {
		return "", fmt.Errorf("ringdht: registry: %s: %q is not host:port, where nodes dial this registry", what, addr)
	}
	s := r.sec
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.ring.tokens.clone()
	known.expire(now)
	t := known.shared()
	switch {
	case len(token) > 0:
		number := token[len(token)-1]
		if t = known.find(number); t == nil {
			return "", fmt.Errorf("ringdht: registry: %s: there is no token %d, or it has ended long ago", what, number)
		}
		if t.state != status.TokenValid {
			return "", fmt.Errorf("ringdht: registry: %s: token %d is not valid any more: %s", what, number, t.state)
		}
	case t == nil:
		return "", fmt.Errorf("ringdht: registry: %s: no token for any number of nodes without an end is valid: name another, or make one (NewToken, token new)", what)
	}
	return secure.JoinLine{Addr: addr, Pin: s.ring.key().Pin(), Secret: t.secret}.Text(), nil
}

// NewToken makes a token.
func (r *Registry) NewToken(ctx context.Context, terms status.TokenTerms) (made status.Token, err error) {
	const what = "making a token"
	if err := r.mayChange(ctx, what); err != nil {
		return made, err
	}
	if terms.ID != nil && uint64(*terms.ID) > ring.Mask(r.cfg.Bits) {
		return made, fmt.Errorf("ringdht: registry: %s: there is no ID %d in a %d-bit ring", what, *terms.ID, r.cfg.Bits)
	}
	secret, err := newSecret()
	if err == nil {
		err = r.sec.commit(what, func(next *ringState, now time.Time) error {
			t, err := next.tokens.add(now, terms, secret)
			made = t.show(0)
			return err
		})
	}
	if err != nil {
		return status.Token{}, fmt.Errorf("ringdht: registry: %s: %w", what, err)
	}
	r.tellOperator(fmt.Sprintf("token %d was made", made.Number))
	return made, nil
}

// Tokens lists the tokens.
func (r *Registry) Tokens() []status.Token {
	if r.sec == nil {
		return nil
	}
	return r.sec.showTokens()
}

func (s *security) showTokens() []status.Token {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.ring.tokens.clone()
	known.expire(now)
	list := make([]status.Token, 0, len(known.list))
	for _, t := range known.list {
		list = append(list, t.show(s.uses[t.number]))
	}
	return list
}

// RotateTokens ends all tokens and makes a new one.
func (r *Registry) RotateTokens(ctx context.Context) error {
	const what = "ending all tokens"
	if err := r.mayChange(ctx, what); err != nil {
		return err
	}
	var number uint32
	err := r.sec.commit(what, func(next *ringState, now time.Time) error {
		next.tokens.expire(now)
		next.tokens.rotate(now)
		err := r.sec.addShared(next, now)
		number = next.tokens.latest
		return err
	})
	if err != nil {
		return fmt.Errorf("ringdht: registry: %w", err)
	}
	r.tellOperator(fmt.Sprintf("all tokens have ended, and token %d was made: further nodes need a new join line", number))
	return nil
}

// tellOperator makes an event, and wakes the upkeep for what has changed.
func (r *Registry) tellOperator(why string) {
	r.mu.Lock()
	r.recordEvent(status.Event{Kind: status.EventSecurity, Why: why})
	r.change()
	r.mu.Unlock()
	r.sec.wake()
}

// showSecurity is what a snapshot has of a secure ring; nil for an open one.
func (r *Registry) showSecurity() *status.Security {
	s := r.sec
	if s == nil {
		return nil
	}
	now, tokens := s.now(), s.showTokens()
	s.mu.Lock()
	defer s.mu.Unlock()
	pin := func(k secure.Key) string { p := k.Pin(); return hex.EncodeToString(p[:]) }
	keys := s.ring.keys
	shown := &status.Security{
		Key: pin(s.ring.key()), Validity: s.cfg.Secure.Validity, Kept: s.state != nil, Time: now,
		Tokens: tokens, Expelled: []status.Expelled{}, Strangers: s.strangers.show(), Refusals: s.strangers.total(),
	}
	if len(keys) > 1 {
		shown.OldKey, shown.OldUntil = pin(keys[len(keys)-2]), s.ring.oldUntil
	}
	for _, e := range s.ring.expelled {
		shown.Expelled = append(shown.Expelled, status.Expelled{ID: status.ID(e.id), Key: e.key.String(), When: e.when, Until: e.until})
	}
	return shown
}

// showAdmission is what a snapshot has of a member's admission; nil in an open ring. It needs mu.
func (r *Registry) showAdmission(ref ring.Ref) *status.Admission {
	h := r.holders.byRef[ref]
	if h == nil {
		return nil
	}
	return &status.Admission{Key: h.key.String(), Token: h.token, Since: h.since, Until: h.until}
}
