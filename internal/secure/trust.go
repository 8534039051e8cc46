package secure

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Why a credential is not believed. Errors of [Trust] wrap these.
var (
	ErrNotAdmitted = errors.New("no admission of this ring")       // none, another ring's, or forged
	ErrExpired     = errors.New("the admission has expired")       // the node has to be admitted again
	ErrRevoked     = errors.New("the node was expelled")           // for good
	ErrOtherKey    = errors.New("the admission is of another key") // it was stolen
	ErrNotRegistry = errors.New("not this ring's registry")        // it does not hold the ring's key
)

// Trust is what a side believes: the ring's keys, and the node keys that were revoked. It is
// immutable, so that all connections may share one.
type Trust struct {
	Ring    uint64 // 0 while it is not known
	Pin     *Pin   // what a node knows before it has the key; nil otherwise
	Keys    []Key  // the latest last
	Revoked map[Key]struct{}
}

// MaxKeys bounds the keys of a ring that are trusted at a time.
const MaxKeys = 4

// MaxRevoked bounds the revoked keys. The ring forgets one when its admissions have expired.
const MaxRevoked = 1024

// Admission checks an admission: its ring, its signature, its time if now is not zero, and that
// it is not revoked.
func (t *Trust) Admission(b []byte, now time.Time) (Admission, error) {
	a, err := ParseAdmission(b)
	if err != nil {
		return a, fmt.Errorf("%w: %w", ErrNotAdmitted, err)
	}
	if t.Ring != 0 && a.Ring != t.Ring {
		return a, fmt.Errorf("%w: it is another ring's", ErrNotAdmitted)
	}
	if !slices.ContainsFunc(t.Keys, func(k Key) bool { return signed(b, k) }) {
		return a, fmt.Errorf("%w: %w", ErrNotAdmitted, errSignature)
	}
	if _, revoked := t.Revoked[a.Key]; revoked {
		return a, ErrRevoked
	}
	if !now.IsZero() && !now.Before(a.Until) {
		return a, fmt.Errorf("%w, at %s by the registry's clock", ErrExpired, a.Until.UTC().Format(time.DateTime))
	}
	return a, nil
}

// Gone reports whether the ring has signed that an incarnation is over.
func (t *Trust) Gone(g Gone, signature []byte) bool {
	g.Ring = t.Ring
	b := g.bytes()
	return slices.ContainsFunc(t.Keys, func(k Key) bool { return ed25519.Verify(k[:], b, signature) })
}

// Registry checks the key of a side that says it is the registry. If it is not trusted, a
// succession that a trusted key has signed makes it so. It returns the trust with that key: the
// same, if it knew the key.
func (t *Trust) Registry(key Key, succession []byte) (*Trust, error) {
	if slices.Contains(t.Keys, key) {
		return t, nil
	}
	if t.Pin != nil && len(t.Keys) == 0 && key.Pin() == *t.Pin {
		return t.with(key), nil
	}
	s, err := ParseSuccession(succession)
	if err != nil || s.New != key || t.Ring != 0 && s.Ring != t.Ring {
		return t, ErrNotRegistry
	}
	if !slices.Contains(t.Keys, s.Old) && (t.Pin == nil || len(t.Keys) > 0 || s.Old.Pin() != *t.Pin) {
		return t, ErrNotRegistry
	}
	if !slices.Contains(t.Keys, s.Old) {
		t = t.with(s.Old)
	}
	return t.with(key), nil
}

// with returns a trust with one more key, and without the oldest if there are too many.
func (t *Trust) with(key Key) *Trust {
	next := *t
	next.Keys = append(slices.Clone(t.Keys), key)
	if more := len(next.Keys) - MaxKeys; more > 0 {
		next.Keys = slices.Delete(next.Keys, 0, more)
	}
	return &next
}
