package sim

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/secure"
)

// presented is what one end of a connection shows of itself. TLS proves the key.
type presented struct {
	key                   secure.Key
	admission, succession []byte
}

// state is that of a connection of TLS, as far as it counts for [secure.Trust.Prove].
func (s presented) state() *tls.ConnectionState {
	leaf := &x509.Certificate{PublicKey: ed25519.PublicKey(s.key[:])}
	for i, value := range [][]byte{s.admission, s.succession} {
		if value != nil {
			leaf.Extensions = append(leaf.Extensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 3, 29001, i + 1}, Value: value})
		}
	}
	return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
}

// shownTo is what was shown to a side that believes something.
type shownTo struct {
	trust     *secure.Trust
	key       secure.Key
	admission string
	late      bool // the admission has expired, as the side sees it
}

// prove returns what the other end has proven. Good admissions are verified once for each trust,
// since that takes longer than all else.
func (w *world) prove(t *secure.Trust, s presented, now time.Time) (secure.Proof, *secure.Trust, error) {
	a, err := secure.ParseAdmission(s.admission)
	at := shownTo{t, s.key, string(s.admission), !now.IsZero() && !now.Before(a.Until)}
	if proof, known := w.security.shown[at]; known && err == nil {
		return proof, t, nil
	}
	proof, next, err := t.Prove(s.state(), now)
	if err == nil && proof.Kind == secure.Member {
		w.security.shown[at] = proof
	}
	return proof, next, err
}

// Messages of a registry.
type (
	admission struct {
		bytes []byte
		at    time.Time
	}
	trust struct {
		*secure.Trust
		at time.Time
	}
)

// credentials are a process's part in a secure ring.
type credentials struct {
	key       ed25519.PrivateKey
	public    secure.Key
	secret    uint64
	trust     *secure.Trust
	admission secure.Admission
	bytes     []byte // of the admission, nil for none
	earlier   []byte // an admission of an incarnation before
	refused   bool   // the registry does not accept the admission, so the secret comes next
	refusals  int    // one after the other
	anyID     bool   // another member has its ID
	told      time.Time
	at        Time // when it was told
}

func (w *world) newCredentials() *credentials {
	x := w.security
	if x == nil {
		return nil
	}
	pin := x.kept.key().Pin()
	c := &credentials{key: x.newKey(), secret: x.kept.secret, trust: &secure.Trust{Pin: &pin}}
	c.public = secure.KeyOf(c.key)
	return c
}

// clock is the registry's time as the process knows it, zero if it was not told.
func (p *process) clock() time.Time {
	if p.cred.told.IsZero() {
		return time.Time{}
	}
	return p.cred.told.Add(p.w.now - p.cred.at)
}

func (c *credentials) setClock(w *world, told time.Time) { c.told, c.at = told, w.now }

// expired says that the process has no admission that is good, by its own clock.
func (p *process) expired() bool {
	return p.cred.bytes == nil || !p.clock().Before(p.cred.admission.Until)
}

func (c *credentials) shows() presented { return presented{key: c.public, admission: c.bytes} }

// token is the name of the key to the membership.
func (c *credentials) token() uint64 {
	sum := sha256.Sum256(c.public[:])
	return binary.BigEndian.Uint64(sum[:])
}

// finds checks that it has found its registry. A process that cannot know the registry's key
// ends, since its key has changed twice, and the operator starts another.
func (p *process) finds(r *registry) bool {
	c := p.cred
	if c == nil {
		return true
	}
	proof, next, _ := p.w.prove(c.trust, r.sec.shows, p.clock())
	if proof.Kind == secure.Registry {
		if r.sec.lies != honest {
			p.w.judge.fail("%s takes another ring's registry for its own, which lies: %d", p.addr, r.sec.lies)
		}
		c.trust = next
		return true
	}
	p.w.count.otherRegistries++
	if r.sec.lies == honest && !p.outlaw {
		p.w.judge.strangerToRegistry(p, r)
		p.restart("the registry has a key that it cannot know")
	}
	return false
}

// restart ends a process which cannot join any more by what it has. The operator starts another
// one, with the present join line.
func (p *process) restart(why string) {
	p.w.logf("%s is restarted: %s", p.addr, why)
	p.w.count.restarts++
	p.die()
	p.w.spawn(p)
}

// prepare completes a registration: what the process shows, and whether its incarnation goes on.
func (p *process) prepare(c *conn, m *register) {
	cred := p.cred
	if cred == nil {
		return
	}
	m.shown, m.Token = cred.shows(), cred.token()
	p.token = m.Token
	m.bySecret = cred.refused || p.expired()
	if m.bySecret {
		m.shown.admission, m.secret = nil, cred.secret
	}
	if n := p.node; n != nil && m.bySecret { // the secret makes a new incarnation
		c.old = n
		m.resume, m.Want, m.Incarnation = false, !cred.anyID, 0
	}
	if p.outlaw {
		p.vary(m)
	} else if p.tellsLies && p.node != nil {
		m.Over = append(slices.Clone(m.Over), p.falseOver()...)
	}
}

// credentialsTold handles what the registry says of credentials.
func (p *process) credentialsTold(m any) {
	c := p.cred
	switch m := m.(type) {
	case admission:
		a, err := c.trust.Admission(m.bytes, m.at)
		if err != nil || a.Key != c.public || p.node == nil || (ring.Ref{ID: a.ID, Incarnation: a.Incarnation}) != p.node.ref {
			p.w.judge.fail("%s was told an admission that is not good: %v, %+v", p.addr, err, a)
			return
		}
		if a.Incarnation != c.admission.Incarnation {
			c.earlier = c.bytes
		}
		if c.trust.Ring == 0 {
			known := *c.trust
			known.Ring = a.Ring
			c.trust = &known
		}
		c.admission, c.bytes, c.refused, c.refusals, c.anyID = a, m.bytes, false, 0, false
		c.setClock(p.w, m.at)
		p.w.judge.incarnations[p.node.ref].until = a.Until
	case trust:
		if m.Ring != c.trust.Ring {
			p.w.judge.fail("%s was told what to believe of another ring", p.addr)
			return
		}
		c.trust = m.Trust
		c.setClock(p.w, m.at)
		p.w.logf("%s was told of %d keys, %d of them revoked", p.addr, len(m.Keys), len(m.Revoked))
		if n := p.node; n != nil {
			n.dropRevoked()
		}
	}
}

// dropRevoked ends all that there is with expelled peers.
func (n *node) dropRevoked() {
	for _, l := range slices.Concat(n.links, n.ins) {
		peer := l.from
		if peer == n {
			peer = l.to
		}
		if n.p.cred.revoked(peer.p.cred.public) {
			n.endDead(peer.ref)
		}
	}
}

func (c *credentials) revoked(key secure.Key) bool {
	_, is := c.trust.Revoked[key]
	return is
}

// accepts decides about the other end of a link.
func (p *process) accepts(s presented, ref ring.Ref) error {
	proof, _, err := p.w.prove(p.cred.trust, s, p.clock())
	switch {
	case err != nil:
		return err
	case proof.Kind != secure.Member:
		return secure.ErrNotAdmitted
	case proof.Admission.ID != ref.ID || proof.Admission.Incarnation != ref.Incarnation:
		return errors.New("its admission is of another incarnation")
	}
	p.w.judge.accepts(p, s, proof.Admission)
	return nil
}

// mutual says why a link between two nodes cannot be opened, "" if it can.
func (w *world) mutual(from, to *node) string {
	if w.security == nil {
		return ""
	}
	for _, x := range [2][2]*node{{from, to}, {to, from}} {
		if err := x[0].p.accepts(x[1].p.cred.shows(), x[1].ref); err != nil {
			w.count.refusals++
			w.logf("%v refuses %v: %v", x[0].ref, x[1].ref, err)
			return err.Error()
		}
	}
	return ""
}

// authorize decides whether a registration may go on. It replaces what the node says by what it
// has proven. The code is 0 if it may.
func (r *registry) authorize(c *conn, m *register) control.Code {
	a, now := r.sec, r.w.clock()
	proof, _, err := r.w.prove(a.trust, m.shown, time.Time{})
	switch {
	case errors.Is(err, secure.ErrRevoked) || a.revoked(proof.Key):
		return control.CodeExpelled
	case err != nil:
		return control.CodeCredentials
	}
	c.key = proof.Key
	admitted, adm := proof.Kind == secure.Member, proof.Admission
	m.Seen = 0
	if r.auth.Live() && !r.auth.Recovering() || !admitted {
		m.Over = nil
	}
	shown := m.Over
	m.Over = a.believed(shown)
	r.w.judge.believes(r, c, shown, m.Over)
	if admitted {
		m.Seen = adm.Incarnation
		for _, o := range m.Over {
			m.Seen = max(m.Seen, o.Incarnation)
		}
	}
	expired := admitted && !now.Before(adm.Until)
	switch {
	case m.resume && (!admitted || expired || adm.ID != m.ID || adm.Incarnation != m.Incarnation),
		!m.resume && !m.bySecret && (!admitted || expired || m.Want && m.ID != adm.ID),
		!m.resume && m.bySecret && m.secret != a.state.secret:
		return control.CodeCredentials
	}
	return 0
}

func (a *authority) revoked(key secure.Key) bool {
	_, is := a.trust.Revoked[key]
	return is
}

// believed returns the records that the ring has signed.
func (a *authority) believed(over []control.Over) (list []control.Over) {
	for _, o := range over[:min(len(over), control.MaxOver)] {
		at := overAt{goneAt{o.Ref(), o.Epoch}, o.Signature}
		good, known := a.verified[at]
		if !known {
			b, err := secure.Bytes(o.Signature, ed25519.SignatureSize)
			good = err == nil && a.trust.Gone(secure.Gone{ID: o.ID, Incarnation: o.Incarnation, Epoch: o.Epoch}, b)
			a.verified[at] = good
		}
		if good {
			list = append(list, o)
		}
	}
	return list
}

// credentialsRefused handles the refusal of a process's credentials.
func (p *process) credentialsRefused(code control.Code) {
	c := p.cred
	switch c.refusals++; {
	case p.outlaw && p.rogue:
	case code == control.CodeExpelled:
		p.quit()
	case c.refusals > 2: // by the admission, and by the secret
		p.restart("the registry accepts neither its admission nor its secret")
	default:
		c.refused = !c.refused
	}
}

// changedMeanwhile says that the ring's key has changed since the process has connected: it
// cannot check the admission that it got. It connects again.
func (p *process) changedMeanwhile(c *conn, m admission) bool {
	_, err := p.cred.trust.Admission(m.bytes, m.at)
	if !errors.Is(err, secure.ErrNotAdmitted) {
		return false
	}
	c.closeAtNode()
	p.join.conn = nil
	p.attempt(p.w.jitter(p.w.lease / 16))
	return true
}

// joinsAgain ends an incarnation whose admission had expired when the registry was back.
func (p *process) joinsAgain() {
	n := p.node
	n.end("its admission has expired")
	p.w.count.lapsed++
}
