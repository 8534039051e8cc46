package ringtest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"sync"
	"time"

	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
)

// RingKey is a ring's key for tests of connections, without a registry behind it.
type RingKey struct {
	private ed25519.PrivateKey
	Trust   secure.Trust
}

// NewRingKey draws a key.
func NewRingKey() *RingKey {
	key := drawKey()
	return &RingKey{key, secure.Trust{Ring: secure.RingOf(secure.KeyOf(key)), Keys: []secure.Key{secure.KeyOf(key)}}}
}

func drawKey() ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

// Credentials are a handshake.Security for tests. Their fields may be changed while no connection
// is in its handshake.
type Credentials struct {
	Key        ed25519.PrivateKey
	Admission  []byte
	Trust      secure.Trust
	Now        time.Time // when admissions are checked; zero for no check
	DialsAs    string    // if not empty, the protocol of each connection that is dialled
	isRegistry bool

	// The latest certificate, and what it was made of. To make one for each connection would be most
	// of the cost of a benchmark.
	made        sync.Mutex
	madeOf      string
	certificate *tls.Certificate
}

// Registry returns the credentials of the ring's registry.
func (k *RingKey) Registry() *Credentials {
	return &Credentials{Key: k.private, Trust: k.Trust, isRegistry: true}
}

// Newcomer returns the credentials of a node without an admission.
func (k *RingKey) Newcomer() *Credentials {
	return &Credentials{Key: drawKey(), Trust: k.Trust}
}

// Member returns the credentials of a node with an admission, which change may change before it is
// signed.
func (k *RingKey) Member(id, incarnation uint64, change ...func(*secure.Admission)) *Credentials {
	c := k.Newcomer()
	a := secure.Admission{
		Ring: k.Trust.Ring, ID: id, Incarnation: incarnation,
		Since: time.UnixMilli(0), Until: time.UnixMilli(1 << 50), Key: secure.KeyOf(c.Key),
	}
	for _, f := range change {
		f(&a)
	}
	c.Admission = a.Sign(k.private)
	return c
}

// Dials implements handshake.Security.
func (c *Credentials) Dials(role wire.Role) string {
	switch {
	case c.DialsAs != "":
		return c.DialsAs
	case c.isRegistry:
		return secure.ProbeProtocol
	case role == wire.RoleMember && c.Admission == nil:
		return secure.JoinProtocol
	}
	return secure.Protocol
}

// Accepts implements handshake.Security.
func (c *Credentials) Accepts() []string {
	if c.isRegistry {
		return []string{secure.Protocol, secure.JoinProtocol}
	}
	return []string{secure.Protocol, secure.ProbeProtocol}
}

// Certificate implements handshake.Security.
func (c *Credentials) Certificate(context.Context, string) (*tls.Certificate, error) {
	c.made.Lock()
	defer c.made.Unlock()
	if of := string(c.Key) + string(c.Admission); c.certificate == nil || c.madeOf != of {
		certificate, err := secure.Certificate(c.Key, c.Admission, nil)
		if err != nil {
			return nil, err
		}
		c.certificate, c.madeOf = certificate, of
	}
	return c.certificate, nil
}

// Check implements handshake.Security.
func (c *Credentials) Check(role wire.Role, cs *tls.ConnectionState) (secure.Proof, error) {
	proof, _, err := c.Trust.Prove(cs, c.Now)
	if role == wire.RoleMember && err == nil && proof.Kind == secure.Newcomer {
		err = c.Trust.NotRegistry(proof.Key)
	}
	return proof, err
}
