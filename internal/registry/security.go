package registry

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

// security is the registry's side of a secure ring: the ring's key and clock, the tokens, and what
// is believed. It is nil in an open ring. It implements handshake.Security.
//
// What must outlive the registry is a ringState. A change makes a new one, writes it, and takes it
// into use only when it is on disk ([security.commit]). So a change that cannot be written has not
// happened.
type security struct {
	// static
	cfg     *Config
	state   *keptState // nil if nothing is kept
	started time.Time
	wakeups chan struct{} // of one slot: there is upkeep to do, see securityLoop

	closeOnce sync.Once
	changing  sync.Mutex // held by one change at a time, also while it writes. Taken without Registry.mu

	// trust is read for each connection.
	trust atomic.Pointer[secure.Trust]
	cert  atomic.Pointer[tls.Certificate]

	mu        sync.Mutex // guards what follows; a leaf
	ring      ringState
	uses      map[uint32]int64 // of tokens; written with the next change
	clock     clock
	latestInc uint64 // the greatest incarnation that an admission has
	failing   bool   // the latest write has failed
	gone      goneSignatures
	verified  map[control.Over]struct{} // whose signature is right
	strangers strangers
}

// newSecurity opens the security that the configuration asks for, nil if it asks for none.
func newSecurity(cfg *Config, state *keptState) (*security, error) {
	if cfg.Secure == nil {
		return nil, nil
	}
	s := &security{cfg: cfg, state: state, started: time.Now(), wakeups: make(chan struct{}, 1), uses: make(map[uint32]int64), verified: make(map[control.Over]struct{})}
	made := state == nil
	var err error
	if state != nil {
		s.ring, s.uses, made, err = loadSecurity(state.dir, state.record.Identity != "")
		if err == nil && made { // before the state that says that it is this ring's
			err = saveKeys(state.dir, s.ring.private)
		}
	} else if after := cfg.Secure.After; after != nil {
		s.ring, s.uses = after.sec.inheritance()
	} else if private, e := newKey(); e == nil {
		s.ring = newRingState(private)
	} else {
		err = e
	}
	if err == nil {
		err = s.use(s.ring, false)
	}
	if err != nil {
		return nil, fmt.Errorf("WithSecurity: %w", err)
	}
	s.clock = startClock(s.ring.clock, cfg.TimeOfDay())
	s.latestInc = s.ring.incarnations
	err = s.commit("starting", func(next *ringState, now time.Time) error {
		next.tokens.expire(now)
		next.expire(now)
		if next.tokens.latest == 0 {
			return s.addShared(next, now)
		}
		return nil
	})
	if errors.Is(err, errUnwritten) && !made { // its members need a registry
		cfg.Log.Warn("the state of the secure ring was read, and cannot be written at the moment: nothing of it can be changed, and no node admitted", "err", err)
		err = nil
	} else if err == nil && state != nil {
		err = saveKeys(state.dir, s.ring.private) // without the key before
	}
	if err != nil {
		return nil, fmt.Errorf("WithSecurity: %w", err)
	}
	key := s.ring.key()
	switch {
	case state == nil:
		cfg.Log.Warn("the ring's key is kept in memory only: when this registry ends, its nodes cannot come back, and need a new join line: use WithState", "key", key)
	case made:
		cfg.Log.Info("a new ring: its key is in the directory of WithState, which must be kept secret", "key", key)
	}
	cfg.Security = s
	return s, nil
}

// inheritance is what another registry of the ring needs.
func (s *security) inheritance() (ringState, map[uint32]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ring.clone(), maps.Clone(s.uses)
}

// addShared adds a token for any number of nodes.
func (s *security) addShared(next *ringState, now time.Time) error {
	secret, err := newSecret()
	if err == nil {
		_, err = next.tokens.add(now, status.TokenTerms{}, secret)
	}
	return err
}

func newSecret() (secret secure.Secret, err error) {
	_, err = rand.Read(secret[:])
	return secret, err
}

// use takes a state into use. written says that it is on disk.
func (s *security) use(next ringState, written bool) error {
	cert := s.cert.Load()
	if cert == nil || next.key() != s.ring.key() {
		var err error
		if cert, err = secure.Certificate(next.private, nil, next.succession); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if next.key() != s.ring.key() {
		s.gone = nil
	}
	s.ring, s.uses = next, usesOf(s.uses, next.tokens)
	if written {
		s.clock.kept = next.clock
	}
	s.cert.Store(cert)
	s.trust.Store(next.trust())
	return nil
}

// now is the registry's time, and nanos the same with more digits, for incarnations.
func (s *security) now() time.Time { return s.exactNow().Truncate(time.Millisecond) }

func (s *security) nanos() uint64 { return uint64(max(0, s.exactNow().UnixNano())) }

func (s *security) exactNow() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock.now(s.cfg.TimeOfDay(), time.Since(s.started))
}

// errUnwritten is the error of a change that could not be written.
var errUnwritten = errors.New("nothing was changed, since the registry cannot write its state")

// incReserve is how far ahead of the greatest incarnation the reserve on disk is. Each registration
// takes a step of at most a second, if the clock is behind.
const incReserve = 1 << 34

// commit changes what outlives the registry. When it returns without an error the change is on
// disk and in use. It must not be called with Registry.mu held.
func (s *security) commit(what string, change func(next *ringState, now time.Time) error) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	now := s.now()
	s.mu.Lock()
	next, ran := s.ring.clone(), time.Since(s.started)
	next.clock = s.clock.reserve(ran).Truncate(time.Millisecond).Add(time.Millisecond)
	next.incarnations = max(next.incarnations, s.latestInc+incReserve)
	s.mu.Unlock()
	if until := next.clock.Add(s.cfg.Secure.Validity); until.After(next.lastUntil) {
		next.lastUntil = until
	}
	if err := change(&next, now); err != nil {
		return err
	}
	if err := s.write(next); err != nil {
		return fmt.Errorf("%s: %w: %w", what, errUnwritten, err)
	}
	return s.use(next, true)
}

// write writes a state, if it is kept.
func (s *security) write(next ringState) error {
	if s.state == nil {
		return nil
	}
	s.mu.Lock()
	text, err := next.encode(s.uses)
	s.mu.Unlock()
	if err == nil {
		err = s.state.dir.WriteFile(securityFile, text)
	}
	s.mu.Lock()
	s.failing = err != nil
	s.mu.Unlock()
	return err
}

// soon is how far the reserve must be ahead at least, for what is given a moment later.
const soon = 10 * time.Millisecond

// reserved reports whether an incarnation after latest, and a time, may be given away now.
func (s *security) reserved(latest uint64) bool {
	now := s.exactNow().Add(soon)
	s.mu.Lock()
	defer s.mu.Unlock()
	next := max(latest+1<<30, uint64(max(0, now.UnixNano()))) + 1
	return s.state == nil || now.Before(s.ring.clock) && next < max(s.ring.incarnations, uint64(max(0, s.ring.clock.UnixNano())))
}

// reserve writes a reserve for an incarnation after latest, unless there is one.
func (s *security) reserve(latest uint64) error {
	if s.reserved(latest) {
		return nil
	}
	s.mu.Lock()
	s.latestInc = max(s.latestInc, latest)
	s.mu.Unlock()
	return s.commit("admitting a node", func(*ringState, time.Time) error { return nil })
}

// wake wakes the upkeep.
func (s *security) wake() {
	select {
	case s.wakeups <- struct{}{}:
	default:
	}
}

// close writes what was given, so that the next registry can begin right behind that.
func (s *security) close() {
	if s.state == nil {
		return
	}
	s.commit("closing", func(next *ringState, now time.Time) error {
		next.clock, next.incarnations = now.Add(time.Millisecond), s.latestIncarnation()
		return nil
	})
}

// noteGiven notes an incarnation or a term that was given.
func (s *security) noteGiven(number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latestInc = max(s.latestInc, number)
}

func (s *security) latestIncarnation() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.latestInc
}

// Dials implements handshake.Security. A registry dials only to see that a node is there.
func (s *security) Dials(wire.Role) string { return secure.ProbeProtocol }

// Accepts implements handshake.Security.
func (s *security) Accepts() []string { return []string{secure.Protocol, secure.JoinProtocol} }

// Certificate implements handshake.Security.
func (s *security) Certificate(context.Context, string) (*tls.Certificate, error) {
	return s.cert.Load(), nil
}

// Check implements handshake.Security. It leaves out the time of an admission: the answer to a
// registration says what to do when it is over. Of a node that the registry has dialled only the
// key counts: it may have an admission from before, and be about to get another.
func (s *security) Check(role wire.Role, cs *tls.ConnectionState) (secure.Proof, error) {
	proof, _, err := s.trust.Load().Prove(cs, time.Time{})
	if role == wire.RoleProbe && proof.Kind == secure.Newcomer {
		return proof, nil
	}
	return proof, err
}

// revoked reports whether a key was expelled.
func (s *security) revoked(key secure.Key) bool {
	_, is := s.trust.Load().Revoked[key]
	return is
}

// trustMessage is what members shall believe.
func (s *security) trustMessage() control.Trust {
	s.mu.Lock()
	state := s.ring
	s.mu.Unlock()
	m := control.Trust{Ring: state.ring, Time: s.now().UnixMilli(), Keys: []string{}, Revoked: []string{}}
	for _, k := range state.keys {
		m.Keys = append(m.Keys, secure.Text(k[:]))
	}
	for _, e := range state.expelled {
		m.Revoked = append(m.Revoked, secure.Text(e.key[:]))
	}
	return m
}

// goneSignatures remembers signatures of the present key: each death is told in several messages.
type goneSignatures map[goneAt]string

type goneAt struct {
	ref   ring.Ref
	epoch uint64
}

// maxGoneSignatures bounds the signatures, and the verified records, that a registry remembers.
const maxGoneSignatures = 4096

// signGone signs that an incarnation is over.
func (s *security) signGone(ref ring.Ref, epoch uint64) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := goneAt{ref, epoch}
	if text, known := s.gone[at]; known {
		return text
	}
	if len(s.gone) >= maxGoneSignatures || s.gone == nil {
		s.gone = make(goneSignatures)
	}
	text := secure.Text(secure.Gone{Ring: s.ring.ring, ID: ref.ID, Incarnation: ref.Incarnation, Epoch: epoch}.Sign(s.ring.private))
	s.gone[at] = text
	return text
}

// believedOver returns the records that the ring has signed, at most control.MaxOver.
func (s *security) believedOver(over []control.Over) (believed []control.Over) {
	trust := s.trust.Load()
	for _, o := range over[:min(len(over), control.MaxOver)] {
		s.mu.Lock()
		_, known := s.verified[o]
		s.mu.Unlock()
		if !known {
			b, err := secure.Bytes(o.Signature, ed25519.SignatureSize)
			if err != nil || !trust.Gone(secure.Gone{ID: o.ID, Incarnation: o.Incarnation, Epoch: o.Epoch}, b) {
				continue
			}
			s.mu.Lock()
			if len(s.verified) >= maxGoneSignatures {
				clear(s.verified)
			}
			s.verified[o] = struct{}{}
			s.mu.Unlock()
		}
		believed = append(believed, o)
	}
	return believed
}

var _ handshake.Security = (*security)(nil)
