package sim

import (
	"crypto/ed25519"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/secure"
)

// secureFrom is the first seed of the worlds with secure rings. Admissions are short there, so
// that they are renewed and expire.
const secureFrom = 8_000_000_000

// TestSimulationOfSecureRings runs worlds with secure rings: admissions expire, members are
// expelled and do not give up, the ring's key changes, registries of other rings come, and
// members and strangers lie.
func TestSimulationOfSecureRings(t *testing.T) {
	runs := 200
	if raceEnabled { // signatures take long with it
		runs = 20
	}
	simulate(t, *simFrom-1+secureFrom, runs)
}

// security is what the worlds of secure rings have in addition.
type security struct {
	*rand.Rand
	validity Time
	kept     *ringState // as the registry has written it
	impostor lie        // what the registry of another ring shows that is there now; honest if the ring's own is

	shown  map[shownTo]secure.Proof // what was proven before
	issued map[string]*issued       // all admissions, by their bytes
	order  []*issued
}

// issued is what the judge knows of an admission.
type issued struct {
	bytes []byte
	p     *process
	secure.Admission
}

// ringState is what a registry of a secure ring keeps.
type ringState struct {
	private    ed25519.PrivateKey
	ring       uint64
	keys       []secure.Key // trusted, the latest last
	oldUntil   time.Time    // the keys before the latest are trusted until then
	succession []byte
	expelled   map[secure.Key]time.Time // and until when they are remembered
	secret     uint64                   // of the join line that is handed out
	ended      map[uint64]bool          // secrets of earlier ones
	lastUntil  time.Time                // no admission is valid for longer
}

// margin is how much longer than all admissions a key stays revoked. A member's clock is behind by
// as long as the registry's latest message took, or the member stood still.
func (w *world) margin() time.Duration { return 8 * w.lease }

func newSecurity(w *world) *security {
	x := &security{Rand: rand.New(rand.NewPCG(w.seed, 13)), shown: make(map[shownTo]secure.Proof), issued: make(map[string]*issued)}
	x.validity = pick[Time](x.Rand, 6, 6, 15, 200) * w.lease
	x.kept = x.newRing()
	return x
}

// secureCounters count what happens in secure rings.
type secureCounters struct {
	readmitted      int // admissions that were renewed
	lapsed          int // incarnations that ended since their admissions had expired
	rotations       int // of the ring's key
	expelled        int
	refusals        int // of credentials, by nodes and registries
	otherRegistries int // that a node did not believe
	restarts        int // of processes that could not join any more
}

// short says that admissions expire in this world.
func (x *security) short(w *world) bool { return x.validity <= 15*w.lease }

func (x *security) newKey() ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	for i := range seed {
		seed[i] = byte(x.Uint32())
	}
	return ed25519.NewKeyFromSeed(seed)
}

func (x *security) newRing() *ringState {
	key := x.newKey()
	public := secure.KeyOf(key)
	return &ringState{
		private: key, ring: secure.RingOf(public), keys: []secure.Key{public},
		expelled: make(map[secure.Key]time.Time), secret: x.Uint64(), ended: make(map[uint64]bool),
	}
}

// clock is the time of day at the registry.
func (w *world) clock() time.Time { return time.UnixMilli(int64(wall/ms) + int64(w.now/ms)) }

func (s *ringState) key() secure.Key { return s.keys[len(s.keys)-1] }

func (s *ringState) trust() *secure.Trust {
	t := &secure.Trust{Ring: s.ring, Keys: slices.Clone(s.keys), Revoked: make(map[secure.Key]struct{})}
	for k := range s.expelled {
		t.Revoked[k] = struct{}{}
	}
	return t
}

// expire forgets old keys and revocations whose time is over.
func (s *ringState) expire(now time.Time) (changed bool) {
	if len(s.keys) > 1 && !now.Before(s.oldUntil) {
		s.keys, changed = s.keys[len(s.keys)-1:], true
	}
	for k, until := range s.expelled {
		if !now.Before(until) {
			delete(s.expelled, k)
			changed = true
		}
	}
	return changed
}

// authority is the part of a registry that only a secure ring has.
type authority struct {
	w        *world
	state    *ringState
	trust    *secure.Trust
	shows    presented
	lies     lie                     // honest for the ring's own registry
	holders  map[secure.Key]ring.Ref // that have an admission of this registry
	gone     map[goneAt]string
	verified map[overAt]bool
}

type goneAt struct {
	ref   ring.Ref
	epoch uint64
}

type overAt struct {
	goneAt
	signature string
}

// The registries of other rings.
const (
	otherKey   = 1 + lie(iota) // it shows its key
	ownWord                    // and says itself that this key follows
	forgedWord                 // and says in the ring's name that this key follows
	aMember                    // a member of the ring says that it is the registry
	impostors
)

func (w *world) newAuthority() *authority {
	x := w.security
	if x == nil {
		return nil
	}
	a := &authority{
		w: w, state: x.kept, lies: x.impostor, holders: make(map[secure.Key]ring.Ref),
		gone: make(map[goneAt]string), verified: make(map[overAt]bool),
	}
	own := x.kept
	if a.lies != honest {
		a.state = x.newRing()
	}
	a.use()
	key := a.state.key()
	switch a.lies {
	case ownWord:
		a.shows.succession = secure.Succession{Ring: own.ring, Old: key, New: key, Since: w.clock()}.Sign(a.state.private)
	case forgedWord:
		a.shows.succession = secure.Succession{Ring: own.ring, Old: own.key(), New: key, Since: w.clock()}.Sign(a.state.private)
	case aMember:
		if len(x.order) > 0 {
			a.shows = presented{key: x.order[len(x.order)-1].Key, admission: x.order[len(x.order)-1].bytes}
		}
	}
	return a
}

// use takes the state into use.
func (a *authority) use() {
	a.trust = a.state.trust()
	a.shows = presented{key: a.state.key(), succession: a.state.succession}
}

// signGone signs that an incarnation is over.
func (a *authority) signGone(ref ring.Ref, epoch uint64) string {
	at := goneAt{ref, epoch}
	text, known := a.gone[at]
	if !known {
		text = secure.Text(secure.Gone{Ring: a.state.ring, ID: ref.ID, Incarnation: ref.Incarnation, Epoch: epoch}.Sign(a.state.private))
		a.gone[at] = text
	}
	return text
}

// admission signs an admission for a member from now on.
func (r *registry) admission(c *conn) admission {
	a, x := r.sec, r.w.security
	now := r.w.clock()
	adm := secure.Admission{Ring: a.state.ring, ID: c.ref.ID, Incarnation: c.ref.Incarnation, Since: now, Until: now.Add(x.validity), Key: c.key}
	b := adm.Sign(a.state.private)
	if adm.Until.After(a.state.lastUntil) {
		a.state.lastUntil = adm.Until
	}
	a.holders[c.key], c.admitted = c.ref, adm
	found := &issued{b, c.p, adm}
	x.issued[string(b)] = found
	x.order = append(x.order, found)
	r.w.judge.issues(r, c)
	return admission{b, now}
}

// renewIfDue gives a member a new admission when half the time of its own is over.
func (r *registry) renewIfDue(c *conn) {
	if r.sec == nil {
		return
	}
	r.upkeep()
	half := c.admitted.Since.Add(c.admitted.Until.Sub(c.admitted.Since) / 2)
	if c.bound && r.sessions[c.ref] == c && !r.w.clock().Before(half) {
		r.renew(c)
	}
}

func (r *registry) renew(c *conn) {
	if _, revoked := r.sec.trust.Revoked[c.key]; !revoked {
		r.w.count.readmitted++
		c.sendToNode(r.admission(c))
	}
}

// upkeep ends the old key and the revocations whose time is over.
func (r *registry) upkeep() {
	if r.sec != nil && r.sec.state.expire(r.w.clock()) {
		r.sec.use()
		r.tellTrust()
	}
}

// members are the sessions of members, by ID.
func (r *registry) members() (list []*conn) {
	for _, m := range r.auth.All() {
		if c := r.sessions[m.Ref()]; c != nil {
			list = append(list, c)
		}
	}
	return list
}

// tellTrust tells all members what to believe from now on.
func (r *registry) tellTrust() {
	for _, c := range r.members() {
		if _, revoked := r.sec.trust.Revoked[c.key]; !revoked {
			c.sendToNode(trust{r.sec.trust, r.w.clock()})
		}
	}
}

// rotate gives the ring another key. All members get an admission by it.
func (r *registry) rotate() {
	s := r.sec.state
	s.expire(r.w.clock())
	if len(s.keys) > 1 {
		return // the one before is trusted until all admissions by it are over
	}
	next := r.w.security.newKey()
	s.succession = secure.Succession{Ring: s.ring, Old: s.key(), New: secure.KeyOf(next), Since: r.w.clock()}.Sign(s.private)
	s.private, s.keys, s.oldUntil = next, append(s.keys, secure.KeyOf(next)), s.lastUntil.Add(r.w.margin())
	clear(r.sec.gone)
	r.sec.use()
	r.tellTrust()
	for _, c := range r.members() {
		r.renew(c)
	}
	r.w.count.rotations++
	r.step()
}

// expel ends a process for good: first its key is revoked and the secret ended by which it
// joined, then all members hear of it, and last its incarnation is declared over.
func (r *registry) expel(p *process) {
	key := p.cred.public
	ref, known := r.sec.holders[key]
	if !known {
		return
	}
	s := r.sec.state
	s.expelled[key] = s.lastUntil.Add(r.w.margin())
	s.ended[s.secret] = true
	s.secret = r.w.security.Uint64()
	r.sec.use()
	r.w.judge.expels(p)
	r.tellTrust()
	r.auth.Expel(r.w.now, ref, "expelled by the operator")
	r.step()
}
