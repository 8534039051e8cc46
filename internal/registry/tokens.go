package registry

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/status"
)

// token is a secret that nodes join by, with its terms. Times are the registry's.
type token struct {
	number uint32
	secret secure.Secret
	once   bool
	id     *uint64 // of the node that joins by it; nil for any
	made   time.Time
	until  time.Time // zero for no end
	state  status.TokenState
	ended  time.Time
	by     secure.Key // that joined by a token of one use
}

// tokens are those of a ring, by ascending number. It is pure. At most status.MaxTokens are valid,
// and as many that have ended are remembered, the latest to end: a node that proves such a secret
// learns what has become of it.
type tokens struct {
	list   []token
	latest uint32 // the greatest number given
}

var errTooManyTokens = fmt.Errorf("%d tokens are valid, which is the most: end them with RotateTokens (token rotate), or wait until some have expired", status.MaxTokens)

// clone copies the table, so that a change can be given up.
func (t tokens) clone() tokens { return tokens{slices.Clone(t.list), t.latest} }

// add makes a token.
func (t *tokens) add(now time.Time, terms status.TokenTerms, secret secure.Secret) (token, error) {
	t.expire(now)
	valid := 0
	for i := range t.list {
		if t.list[i].state == status.TokenValid {
			valid++
		}
	}
	switch {
	case valid >= status.MaxTokens:
		return token{}, errTooManyTokens
	case terms.For < 0:
		return token{}, fmt.Errorf("a token cannot be valid for %v", terms.For)
	case terms.For > maxValidity:
		return token{}, fmt.Errorf("a token is valid for %v at most, or without an end", maxValidity)
	case t.latest+1 == 0:
		return token{}, errors.New("all numbers of tokens are used up")
	}
	t.latest++
	n := token{number: t.latest, secret: secret, once: terms.Once, made: now, state: status.TokenValid}
	if terms.ID != nil {
		id := uint64(*terms.ID)
		n.id = &id
	}
	if terms.For > 0 {
		n.until = now.Add(terms.For)
	}
	t.list = append(t.list, n)
	return n, nil
}

// expire ends the tokens whose time is over, and reports whether there were any.
func (t *tokens) expire(now time.Time) (changed bool) {
	for i := range t.list {
		n := &t.list[i]
		if n.state == status.TokenValid && !n.until.IsZero() && !now.Before(n.until) {
			n.state, n.ended, changed = status.TokenExpired, n.until, true
		}
	}
	t.forget()
	return changed
}

// nextExpiry is when the next token expires, zero for none.
func (t *tokens) nextExpiry() (next time.Time) {
	for _, n := range t.list {
		if n.state == status.TokenValid && !n.until.IsZero() && (next.IsZero() || n.until.Before(next)) {
			next = n.until
		}
	}
	return next
}

// end ends a valid token, and reports whether it was one.
func (t *tokens) end(now time.Time, number uint32, state status.TokenState) bool {
	n := t.find(number)
	if n == nil || n.state != status.TokenValid {
		return false
	}
	n.state, n.ended = state, now
	t.forget()
	return true
}

// endUsedBy ends the tokens of one use by which a key has joined: they would go on for it, see
// [token.admits], when its revocation is forgotten.
func (t *tokens) endUsedBy(now time.Time, key secure.Key) {
	for i := range t.list {
		if n := &t.list[i]; n.state == status.TokenUsed && n.by == key {
			n.state, n.ended = status.TokenExpelled, now
		}
	}
}

// rotate ends all valid tokens.
func (t *tokens) rotate(now time.Time) {
	for i := range t.list {
		if n := &t.list[i]; n.state == status.TokenValid {
			n.state, n.ended = status.TokenRotated, now
		}
	}
	t.forget()
}

// forget forgets the tokens that ended first, of those that have ended and are too many.
func (t *tokens) forget() {
	for {
		ended, oldest := 0, -1
		for i, n := range t.list {
			if n.state == status.TokenValid {
				continue
			}
			if ended++; oldest < 0 || n.ended.Before(t.list[oldest].ended) {
				oldest = i
			}
		}
		if ended <= status.MaxTokens {
			return
		}
		t.list = slices.Delete(t.list, oldest, oldest+1)
	}
}

// find returns a token, or nil if it is not known or forgotten.
func (t *tokens) find(number uint32) *token {
	for i := range t.list {
		if t.list[i].number == number {
			return &t.list[i]
		}
	}
	return nil
}

// match returns the token whose secret satisfies proves, or nil. It tries all, so that the time it
// takes says nothing about which.
func (t *tokens) match(proves func(secure.Secret) bool) (found *token) {
	for i := range t.list {
		if proves(t.list[i].secret) {
			found = &t.list[i]
		}
	}
	return found
}

// shared returns the latest valid token for any number of nodes with any ID, without an end, or nil.
func (t *tokens) shared() *token {
	for _, n := range slices.Backward(t.list) {
		if n.state == status.TokenValid && !n.once && n.id == nil && n.until.IsZero() {
			return t.find(n.number)
		}
	}
	return nil
}

// admits returns why a node with a key cannot join by the token, empty if it can. A token of one use
// goes on for the key that used it: an answer to that may have been lost.
func (n *token) admits(now time.Time, key secure.Key) string {
	switch {
	case n.state == status.TokenUsed && n.by == key:
		return ""
	case n.state == status.TokenUsed:
		return fmt.Sprintf("token %d was used, at %s by the registry's clock, and joins one node only", n.number, text(n.ended))
	case n.state == status.TokenExpired, !n.until.IsZero() && !now.Before(n.until):
		return fmt.Sprintf("token %d has expired, at %s by the registry's clock", n.number, text(n.until))
	case n.state == status.TokenRotated:
		return fmt.Sprintf("token %d was ended by the operator, at %s by the registry's clock", n.number, text(n.ended))
	case n.state == status.TokenExpelled:
		return fmt.Sprintf("token %d has ended, at %s by the registry's clock, since a node that joined by it was expelled", n.number, text(n.ended))
	}
	return ""
}

// text is a time of the registry for people.
func text(t time.Time) string { return t.UTC().Format(time.DateTime) + " UTC" }

// show is what a registry shows of the token.
func (n *token) show(uses int64) status.Token {
	s := status.Token{Number: n.number, Once: n.once, Made: n.made, Until: n.until, Uses: uses, State: n.state, Ended: n.ended}
	if n.id != nil {
		id := status.ID(*n.id)
		s.ID = &id
	}
	return s
}
