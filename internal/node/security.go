package node

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/notify"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
)

// credentials are a node's part in a secure ring: its key, the secret of its join line, its
// admission, and what it believes of others. It implements [handshake.Security]. The key is as
// old as the node; each incarnation has an admission of its own.
//
// Its lock is a leaf, and is not held while something is signed or verified.
type credentials struct {
	// static after construction
	key    ed25519.PrivateKey
	public secure.Key
	secret secure.Secret
	bare   *tls.Certificate // of the key, without an admission
	now    func() time.Time // on both clocks
	owner  context.Context  // ends with the node, or the attempt to join

	mu        sync.Mutex // guards what follows
	changed   notify.Change
	trust     *secure.Trust
	admission secure.Admission // its key is zero while there is none
	member    *tls.Certificate // with the admission; nil while there is none
	admitting bool             // a newcomer's Register was sent, and its answer is not here yet
	refused   bool             // the registry does not accept the admission, so the secret comes next
	clock     ringClock
	warned    int // the latest warning of its age, see ageWarning
}

// ringClock is the registry's clock, as a node knows it. A node that was suspended takes the time
// for too late rather than too early: it would believe what has expired otherwise. The registry
// sets it right at the next contact.
type ringClock struct{ told, at time.Time }

// now is zero while the node has not been told.
func (c ringClock) now(here time.Time) time.Time {
	if c.at.IsZero() {
		return time.Time{}
	}
	return c.told.Add(handshake.Elapsed(c.at, here))
}

// newCredentials makes a node's key.
func newCredentials(n *Node, line secure.JoinLine) (*credentials, error) {
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("making the node's key: %w", err)
	}
	c := &credentials{
		key: key, public: secure.Key(public), secret: line.Secret, now: n.cfg.Now, owner: n.accepting,
		trust: &secure.Trust{Pin: &line.Pin},
	}
	c.bare, err = secure.Certificate(key, nil, nil)
	return c, err
}

// LogValue hides the secret and the key.
func (c *credentials) LogValue() slog.Value { return slog.StringValue(c.public.String()) }

// Dials returns the protocol for a connection of a role. Without an admission that is valid, the
// node has only the secret to show to the registry.
func (c *credentials) Dials(role wire.Role) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if role == wire.RoleMember && (c.member == nil || c.refused || c.expired()) {
		return secure.JoinProtocol
	}
	return secure.Protocol
}

// expired needs mu.
func (c *credentials) expired() bool { return !c.clock.now(c.now()).Before(c.admission.Until) }

// Accepts returns the protocols of peers and of the registry's probe.
func (c *credentials) Accepts() []string {
	return []string{secure.Protocol, secure.ProbeProtocol}
}

// Certificate returns the certificate with the admission. To the registry, while there is none,
// and to its probe, the node proves its key only.
//
// A peer may hear of a new incarnation, and dial it, before the node hears of it. So it waits for
// the answer to a newcomer's Register.
func (c *credentials) Certificate(ctx context.Context, protocol string) (*tls.Certificate, error) {
	if protocol != secure.Protocol {
		return c.bare, nil
	}
	if err := c.changed.Await(ctx, c.owner, &c.mu, func() bool { return !c.admitting }); err != nil {
		return nil, fmt.Errorf("%w: %w", handshake.ErrNoAdmission, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.member == nil {
		return nil, handshake.ErrNoAdmission
	}
	return c.member, nil
}

// Check returns what the other end of a connection has proven. A node that dials its registry, or
// is probed, wants to see the ring's key, and else an admission that is good now. That the
// incarnation is not over is a matter of the hello, as in an open ring.
func (c *credentials) Check(role wire.Role, cs *tls.ConnectionState) (secure.Proof, error) {
	c.mu.Lock()
	trust, now := c.trust, c.clock.now(c.now())
	c.mu.Unlock()
	proof, next, err := trust.Prove(cs, now)
	if role == wire.RoleMember || role == 0 && cs.NegotiatedProtocol == secure.ProbeProtocol {
		switch {
		case proof.Kind == secure.Registry:
			c.believe(trust, next)
			return proof, nil
		case role == 0:
			return proof, fmt.Errorf("a probe: %w", secure.ErrNotRegistry)
		case proof.Kind == secure.Nothing:
			return proof, fmt.Errorf("%w: %w: %w", errs.ErrHandshake, secure.ErrNotRegistry, err)
		case proof.Kind == secure.Member:
			return proof, fmt.Errorf("%w: %w: it is node %d of this ring: join at the registry's address, with its join line", errs.ErrHandshake, secure.ErrNotRegistry, proof.Admission.ID)
		default:
			return proof, fmt.Errorf("%w: %w", errs.ErrHandshake, trust.NotRegistry(proof.Key))
		}
	}
	if err == nil && proof.Kind != secure.Member {
		err = secure.ErrNotAdmitted
	}
	return proof, err
}

// believe stores a trust with a key more, unless another has taken the place of the one before. Then
// the next connection finds out again.
func (c *credentials) believe(before, next *secure.Trust) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trust == before {
		c.trust = next
	}
}

// isRevoked reports whether a key belongs to an expelled node.
func (c *credentials) isRevoked(key secure.Key) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, revoked := c.trust.Revoked[key]
	return revoked
}

// noteCredentials notes why the node was not registered. If the registry does not accept its
// admission, the secret comes next, and after that the admission again.
func (n *Node) noteCredentials(err error) {
	if c := n.security; c != nil && err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		refused := errors.Is(err, errCredentials) || errors.Is(err, secure.ErrExpired) || errors.Is(err, secure.ErrNotAdmitted)
		c.refused = refused && !c.refused
	}
}

// proof returns the proof of the secret for a connection to the registry, and nothing if the node
// has shown its admission there.
func (c *credentials) proof(cs *tls.ConnectionState) (string, error) {
	if cs == nil || cs.NegotiatedProtocol != secure.JoinProtocol {
		return "", nil
	}
	b, err := secure.JoinProof(c.secret, cs, c.public)
	if err != nil {
		return "", fmt.Errorf("proving the secret of the join line: %w", err)
	}
	return secure.Text(b), nil
}

// goesOnOver reports whether an incarnation can go on over a connection to the registry. In a secure
// ring that takes its admission: the secret makes a new incarnation.
func (c *credentials) goesOnOver(cs *tls.ConnectionState) bool {
	return c == nil || cs == nil || cs.NegotiatedProtocol != secure.JoinProtocol
}

// expiredError is an [errs.ErrEvicted] for another reason.
type expiredError struct{}

func (expiredError) Error() string {
	return "the node's admission had expired when the registry was back: it joined again as a new incarnation, by its join line"
}
func (expiredError) Is(target error) bool { return target == errs.ErrEvicted }

// setAdmitting notes that a newcomer's Register is being sent, or was answered.
func (c *credentials) setAdmitting(yes bool) {
	c.mu.Lock()
	c.admitting = yes
	c.mu.Unlock()
	c.changed.Broadcast()
}

// admit takes the admission of an incarnation, and the registry's time. It refuses what does not
// belong to this node, or is not the ring's.
func (c *credentials) admit(text string, id, inc uint64, milliseconds int64) error {
	b, err := secure.Bytes(text, secure.AdmissionSize)
	if err != nil {
		return fmt.Errorf("the registry's admission cannot be read: %w", err)
	}
	c.mu.Lock()
	trust := c.trust
	c.mu.Unlock()
	told := time.UnixMilli(milliseconds)
	a, err := trust.Admission(b, told)
	switch {
	case err != nil:
		return fmt.Errorf("the registry's admission is not good: %w", err)
	case a.Key != c.public:
		return fmt.Errorf("the registry's admission is not good: %w", secure.ErrOtherKey)
	case a.ID != id || a.Incarnation != inc:
		return fmt.Errorf("the registry's admission is of node %d, incarnation %d, and not of node %d, incarnation %d", a.ID, a.Incarnation, id, inc)
	}
	certificate, err := secure.Certificate(c.key, b, nil)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trust.Ring == 0 {
		known := *c.trust
		known.Ring = a.Ring
		c.trust = &known
	}
	if a.ID == c.admission.ID && a.Incarnation == c.admission.Incarnation && a.Until.Before(c.admission.Until) {
		c.clock = ringClock{told, c.now()}
		return nil // an answer that a later one has overtaken
	}
	c.admission, c.member, c.clock = a, certificate, ringClock{told, c.now()}
	c.refused, c.warned = false, 0
	return nil
}

// trustAll replaces what the node believes.
func (c *credentials) trustAll(t control.Trust) error {
	if len(t.Keys) < 1 || len(t.Keys) > secure.MaxKeys || len(t.Revoked) > secure.MaxRevoked {
		return fmt.Errorf("the registry's trust has %d keys and %d revoked ones, more than %d or %d", len(t.Keys), len(t.Revoked), secure.MaxKeys, secure.MaxRevoked)
	}
	keys, err := readKeys(t.Keys)
	if err != nil {
		return err
	}
	list, err := readKeys(t.Revoked)
	if err != nil {
		return err
	}
	revoked := make(map[secure.Key]struct{}, len(list))
	for _, k := range list {
		revoked[k] = struct{}{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.Ring != c.trust.Ring {
		return fmt.Errorf("the registry's trust is another ring's: %016x, and not %016x", t.Ring, c.trust.Ring)
	}
	c.trust = &secure.Trust{Ring: t.Ring, Pin: c.trust.Pin, Keys: keys, Revoked: revoked}
	c.clock = ringClock{time.UnixMilli(t.Time), c.now()}
	return nil
}

func readKeys(texts []string) ([]secure.Key, error) {
	keys := make([]secure.Key, len(texts))
	for i, text := range texts {
		b, err := secure.Bytes(text, len(keys[i]))
		if err == nil && len(b) != len(keys[i]) {
			err = fmt.Errorf("it has %d bytes", len(b))
		}
		if err != nil {
			return nil, fmt.Errorf("key %d of the registry's trust is none: %w", i, err)
		}
		keys[i] = secure.Key(b)
	}
	return keys, nil
}

// until is when the admission expires, by the registry's clock. It is zero while there is none.
func (c *credentials) until() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.admission.Until
}

// ageWarning returns what to warn of: once when a quarter of the admission's time is left, and
// once when it has expired.
func (c *credentials) ageWarning() (what string, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.member == nil {
		return "", time.Time{}
	}
	const soon, over = 1, 2
	until = c.admission.Until
	switch left := until.Sub(c.clock.now(c.now())); {
	case left <= 0 && c.warned < over:
		c.warned = over
		return "the node's admission has expired: its links stay, but no new one can be opened until the registry is back", until
	case left > 0 && left <= until.Sub(c.admission.Since)/4 && c.warned < soon:
		c.warned = soon
		return "the node's admission expires soon, and no registry has renewed it", until
	}
	return "", until
}
