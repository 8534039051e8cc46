package secure

import (
	"crypto/tls"
	"fmt"
	"time"
)

// Kind says what the other end of a connection has proven to be.
type Kind uint8

// The kinds. The zero value is that of an open ring, where nothing is proven.
const (
	Nothing  Kind = iota
	Registry      // it holds the ring's key
	Member        // it holds the key of an admission
	Newcomer      // it holds a key
)

// Proof is what the other end of a connection has proven.
type Proof struct {
	Kind      Kind
	Key       Key
	Admission Admission            // of a Member
	State     *tls.ConnectionState // nil in an open ring
}

// Prove returns what the other end of a connection has proven, and the trust that results: it
// may have presented a new key of the ring. An admission is checked, with its time if now is not
// zero.
func (t *Trust) Prove(cs *tls.ConnectionState, now time.Time) (Proof, *Trust, error) {
	p, err := PresentedIn(cs)
	if err != nil {
		return Proof{}, t, err
	}
	proof := Proof{Kind: Newcomer, Key: p.Key, State: cs}
	if next, err := t.Registry(p.Key, p.Succession); err == nil {
		proof.Kind = Registry
		return proof, next, nil
	}
	if p.Admission == nil {
		return proof, t, nil
	}
	a, err := t.Admission(p.Admission, now)
	if err != nil {
		return proof, t, err
	}
	if a.Key != p.Key {
		return proof, t, fmt.Errorf("%w: it is of key %v, the connection has key %v", ErrOtherKey, a.Key, p.Key)
	}
	proof.Kind, proof.Admission = Member, a
	return proof, t, nil
}
