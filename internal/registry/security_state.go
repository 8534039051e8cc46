package registry

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/statefile"
	"github.com/x/ringdht/status"
)

// The files of a secure ring in the directory of its state, besides ring.json.
const (
	keyFile      = "ring.key"      // the ring's key, PKCS #8 in PEM; while it changes, two
	securityFile = "security.json" // the rest
)

// ringState is what the registry of a secure ring must know after a restart.
type ringState struct {
	private    ed25519.PrivateKey // the present key; in keyFile
	ring       uint64
	keys       []secure.Key // trusted, the latest last
	oldUntil   time.Time    // the keys before the latest are trusted until then
	succession []byte       // the latest, nil for none
	tokens     tokens
	expelled   []expelled // the earliest first
	// What was given by then, and before it was written, is below these.
	clock        time.Time
	incarnations uint64
	lastUntil    time.Time // no admission is valid for longer
}

// expelled is a node's key that was revoked.
type expelled struct {
	id          uint64
	key         secure.Key
	when, until time.Time // until: no admission of the key is valid after this
}

func (s ringState) clone() ringState {
	s.keys, s.expelled, s.tokens = slices.Clone(s.keys), slices.Clone(s.expelled), s.tokens.clone()
	return s
}

// trust is what a registry and all members believe.
func (s ringState) trust() *secure.Trust {
	t := &secure.Trust{Ring: s.ring, Keys: s.keys, Revoked: make(map[secure.Key]struct{}, len(s.expelled))}
	for _, e := range s.expelled {
		t.Revoked[e.key] = struct{}{}
	}
	return t
}

// expire forgets what is over: old keys and revocations. It reports whether there was any.
func (s *ringState) expire(now time.Time) (changed bool) {
	if len(s.keys) > 1 && !now.Before(s.oldUntil) {
		s.keys, s.oldUntil, changed = s.keys[len(s.keys)-1:], time.Time{}, true
	}
	n := len(s.expelled)
	s.expelled = slices.DeleteFunc(s.expelled, func(e expelled) bool { return !now.Before(e.until) })
	return changed || len(s.expelled) != n
}

// newRingState is that of a new ring.
func newRingState(private ed25519.PrivateKey) ringState {
	key := secure.KeyOf(private)
	return ringState{private: private, ring: secure.RingOf(key), keys: []secure.Key{key}}
}

// key is the present key of the ring.
func (s ringState) key() secure.Key { return s.keys[len(s.keys)-1] }

// The contents of securityFile. Times are in milliseconds since 1970.
type (
	keptSecurity struct {
		Version      int            `json:"version"`
		Warning      string         `json:"warning"`
		Ring         string         `json:"ring"` // in hexadecimal digits, as keys, secrets and records are
		Keys         []string       `json:"keys"`
		OldUntil     int64          `json:"old_until_ms"`
		Succession   string         `json:"succession"`
		Clock        int64          `json:"clock_below_ms"`
		Incarnations uint64         `json:"incarnations_below"`
		LastUntil    int64          `json:"last_until_ms"`
		LatestToken  uint32         `json:"latest_token"`
		Tokens       []keptToken    `json:"tokens"`
		Expelled     []keptExpelled `json:"expelled"`
	}
	keptToken struct {
		Number uint32            `json:"number"`
		Secret string            `json:"secret"`
		Once   bool              `json:"once"`
		ID     *uint64           `json:"id"`
		Made   int64             `json:"made_ms"`
		Until  int64             `json:"until_ms"`
		State  status.TokenState `json:"state"`
		Ended  int64             `json:"ended_ms"`
		By     string            `json:"by"`
		Uses   int64             `json:"uses"`
	}
	keptExpelled struct {
		ID    uint64 `json:"id"`
		Key   string `json:"key"`
		When  int64  `json:"when_ms"`
		Until int64  `json:"until_ms"`
	}
)

const (
	securityVersion = 1
	maxSecurityFile = 1 << 20
	maxKeyFile      = 16 << 10
)

func milli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMilli(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// encode is the state as the file has it.
func (s ringState) encode(uses map[uint32]int64) ([]byte, error) {
	k := keptSecurity{
		Version: securityVersion, Warning: "with these secrets nodes join: keep them secret",
		Ring: fmt.Sprintf("%016x", s.ring), OldUntil: milli(s.oldUntil), Succession: fmt.Sprintf("%x", s.succession),
		Clock: milli(s.clock), Incarnations: s.incarnations, LastUntil: milli(s.lastUntil), LatestToken: s.tokens.latest,
	}
	for _, key := range s.keys {
		k.Keys = append(k.Keys, fmt.Sprintf("%x", key[:]))
	}
	for _, t := range s.tokens.list {
		kept := keptToken{Number: t.number, Secret: fmt.Sprintf("%x", t.secret[:]), Once: t.once, ID: t.id, Made: milli(t.made), Until: milli(t.until), State: t.state, Ended: milli(t.ended), Uses: uses[t.number]}
		if t.by != (secure.Key{}) {
			kept.By = fmt.Sprintf("%x", t.by[:])
		}
		k.Tokens = append(k.Tokens, kept)
	}
	for _, e := range s.expelled {
		k.Expelled = append(k.Expelled, keptExpelled{ID: e.id, Key: fmt.Sprintf("%x", e.key[:]), When: milli(e.when), Until: milli(e.until)})
	}
	b, err := json.MarshalIndent(k, "", "  ")
	return append(b, '\n'), err
}

// hexed reads hexadecimal digits into an array, all of it or nothing.
func hexed(into []byte, from string) error {
	if from == "" {
		return nil
	}
	b, err := hex.DecodeString(from)
	if err != nil || len(b) != len(into) {
		return fmt.Errorf("a value of %d characters is not %d hexadecimal digits", len(from), 2*len(into)) // it may be a secret
	}
	copy(into, b)
	return nil
}

// decodeRingState reads the file.
func decodeRingState(b []byte) (s ringState, uses map[uint32]int64, err error) {
	var k keptSecurity
	if err := json.Unmarshal(b, &k); err != nil {
		return s, nil, errors.New("it is not JSON of the right form") // the error might quote a secret
	}
	if k.Version != securityVersion {
		return s, nil, fmt.Errorf("it is of version %d, this program knows version %d", k.Version, securityVersion)
	}
	if _, err := fmt.Sscanf(k.Ring, "%16x", &s.ring); err != nil || len(k.Keys) == 0 || len(k.Keys) > secure.MaxKeys || len(k.Tokens) > 2*status.MaxTokens || len(k.Expelled) > status.MaxExpelled {
		return s, nil, errors.New("it has no ring or no keys, or lists that are too long")
	}
	for _, text := range k.Keys {
		var key secure.Key
		err = errors.Join(err, hexed(key[:], text))
		s.keys = append(s.keys, key)
	}
	if k.Succession != "" {
		s.succession = make([]byte, secure.SuccessionSize)
		err = errors.Join(err, hexed(s.succession, k.Succession))
	}
	s.oldUntil, s.clock, s.incarnations, s.lastUntil, s.tokens.latest = fromMilli(k.OldUntil), fromMilli(k.Clock), min(k.Incarnations, maxKept), fromMilli(k.LastUntil), k.LatestToken
	uses = make(map[uint32]int64)
	for _, kept := range k.Tokens {
		t := token{number: kept.Number, once: kept.Once, id: kept.ID, made: fromMilli(kept.Made), until: fromMilli(kept.Until), state: kept.State, ended: fromMilli(kept.Ended)}
		err = errors.Join(err, hexed(t.secret[:], kept.Secret), hexed(t.by[:], kept.By))
		if t.secret == (secure.Secret{}) {
			err = errors.Join(err, fmt.Errorf("token %d has no secret", t.number))
		}
		s.tokens.list, uses[t.number] = append(s.tokens.list, t), kept.Uses
	}
	for _, kept := range k.Expelled {
		e := expelled{id: kept.ID, when: fromMilli(kept.When), until: fromMilli(kept.Until)}
		err = errors.Join(err, hexed(e.key[:], kept.Key))
		s.expelled = append(s.expelled, e)
	}
	return s, uses, err
}

const pemType = "PRIVATE KEY"

// encodeKeys is the file of keys, the present one first.
func encodeKeys(keys ...ed25519.PrivateKey) ([]byte, error) {
	var text []byte
	for _, key := range keys {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})...)
	}
	return text, nil
}

func decodeKeys(text []byte) (keys []ed25519.PrivateKey, err error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		private, ok := key.(ed25519.PrivateKey)
		if err != nil || !ok || block.Type != pemType {
			return nil, errors.New("it has no Ed25519 key in PKCS #8")
		}
		keys = append(keys, private)
	}
	if len(keys) == 0 {
		return nil, errors.New("it has no key in PEM")
	}
	return keys, nil
}

func newKey() (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return key, err
}

// loadSecurity reads the ring's key and its state from a directory. Of a fresh one, where there never
// was a ring, both are new.
func loadSecurity(dir *statefile.Dir, hadRing bool) (s ringState, uses map[uint32]int64, made bool, err error) {
	fail := func(err error) (ringState, map[uint32]int64, bool, error) { return ringState{}, nil, false, err }
	keyText, keyPath, err := dir.ReadFile(keyFile, maxKeyFile)
	if err != nil {
		return fail(err)
	}
	stateText, statePath, err := dir.ReadFile(securityFile, maxSecurityFile)
	if err != nil {
		return fail(err)
	}
	const newRing = "or, when all nodes of the ring have ended, remove ring.json, " + keyFile + " and " + securityFile + " to begin a new one"
	switch {
	case keyText == nil && (stateText != nil || hadRing):
		return fail(fmt.Errorf("%s is missing, the key of the ring: its members believe no other: restore it; %s", keyPath, newRing))
	case keyText == nil:
		key, err := newKey()
		if err != nil {
			return fail(err)
		}
		return newRingState(key), make(map[uint32]int64), true, nil
	}
	keys, err := decodeKeys(keyText)
	if err != nil {
		return fail(fmt.Errorf("%s is not the key of a ring (%w): restore it; %s", keyPath, err, newRing))
	}
	switch {
	case stateText == nil && hadRing:
		return fail(fmt.Errorf("%s is missing, with the tokens and the expelled nodes of the ring: restore it; %s", statePath, newRing))
	case stateText == nil: // a key from elsewhere, or the registry was killed before it wrote the rest
		return newRingState(keys[0]), make(map[uint32]int64), true, nil
	}
	s, uses, err = decodeRingState(stateText)
	if err != nil {
		return fail(fmt.Errorf("%s is not the state of a secure ring (%w): restore it; %s", statePath, err, newRing))
	}
	own := s.key()
	for _, k := range keys { // two, if the registry was killed while it changed its key
		if secure.KeyOf(k) == own {
			s.private = k
			return s, uses, false, nil
		}
	}
	return fail(fmt.Errorf("%s has the key %v, and is not the key of this ring, %v, which its members believe: restore it; %s", keyPath, secure.KeyOf(keys[0]), own, newRing))
}

// saveKeys writes the file of keys, the present one first.
func saveKeys(dir *statefile.Dir, keys ...ed25519.PrivateKey) error {
	text, err := encodeKeys(keys...)
	if err == nil {
		err = dir.WriteFile(keyFile, text)
	}
	return err
}

// usesOf copies the counts of the tokens that are known.
func usesOf(uses map[uint32]int64, t tokens) map[uint32]int64 {
	kept := maps.Clone(uses)
	maps.DeleteFunc(kept, func(number uint32, _ int64) bool { return t.find(number) == nil })
	return kept
}
