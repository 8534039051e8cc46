package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
)

// secureChecks are those of section 16. They run in a secure ring.
var secureChecks = []check{
	{"R101", true, "to a registry without the pin of the join line the node sends nothing, not even a hello", func(w *world) error {
		w.sec.registry = newKey()
		return w.sendsNothing()
	}},
	noCertificate("with a key that is not Ed25519", func(c *tls.Certificate) (err error) {
		*c, err = otherKey()
		return err
	}),
	noCertificate("with a chain of two", func(c *tls.Certificate) error {
		c.Certificate = append(c.Certificate, c.Certificate[0])
		return nil
	}),
	{"R101", true, "a registry with a key that the pin's key has signed is believed", func(w *world) error {
		w.sec.changeKey()
		j, err := w.join()
		if err != nil {
			return err
		}
		return j.m.barrier()
	}},
	{"R101", true, "a succession of another ring's key is not believed", func(w *world) error {
		own := w.sec.key
		w.sec.key = newKey()
		w.sec.changeKey()
		w.sec.key = own
		return w.sendsNothing()
	}},
	{"R110", true, "a newcomer proves the secret over rdht-join/2, its token is 0, and it shows no admission", func(w *world) error {
		j, err := w.join()
		if err != nil {
			return err
		}
		s := j.m.shown
		expected, err := secure.ExpectedProof(s.state, s.Key)
		if err != nil {
			return err
		}
		if want := secure.Text(expected(w.sec.secret)); j.reg.Proof != want || j.reg.Token != 0 || j.reg.Incarnation != 0 || s.Admission != nil || s.state.NegotiatedProtocol != secure.JoinProtocol {
			return fmt.Errorf("over %s came %+v, want the proof %s", s.state.NegotiatedProtocol, j.reg, want)
		}
		return j.m.barrier()
	}},
	{"R105", true, "the secret is in no message", func(w *world) error {
		m, err := w.connection()
		if err != nil {
			return err
		}
		select {
		case got := <-m.got:
			if text := []byte(secure.Text(w.sec.secret[:])); bytes.Contains(got.body, w.sec.secret[:]) || bytes.Contains(got.body, text) {
				return errors.New("the Register has it")
			}
			return nil
		case <-time.After(patience):
			return errors.New("no Register has come")
		}
	}},
	refusesAdmission("of another key", func(a *secure.Admission) { a.Key = secure.KeyOf(newKey()) }),
	refusesAdmission("of another ID", func(a *secure.Admission) { a.ID++ }),
	refusesAdmission("of another incarnation", func(a *secure.Admission) { a.Incarnation++ }),
	refusesAdmission("that has expired", func(a *secure.Admission) { a.Until = a.Since.Add(-time.Second) }),
	{"R106", true, "an admission that another key has signed ends the connection", func(w *world) error {
		w.sec.changeKey() // the registry's, and the admission is signed by the one before
		own := w.sec.key
		w.sec.key = newKey()
		m, err := w.connection()
		if err != nil {
			return err
		}
		if _, err := next[control.Register](m, control.TypeRegister); err != nil {
			return err
		}
		err = errors.Join(m.send(control.TypeRegistered, w.admitted(m)), m.ended())
		w.sec.key = own
		return err
	}},
	{"R106", true, "a Trust of another ring ends the connection, and the node comes back with its life", func(w *world) error {
		j, _, _, _, err := w.inRing(true)
		if err != nil {
			return err
		}
		t := w.sec.trust()
		t.Ring++
		j.m.send(control.TypeTrust, t)
		return w.comesBack(j)
	}},
	{"R107", true, "the node comes back by its admission: over rdht/2, with the same life, and without a proof", func(w *world) error {
		j, _, _, _, err := w.inRing(true)
		if err != nil {
			return err
		}
		j.m.conn.Close()
		return w.comesBack(j)
	}},
	{"R107", true, "links show the admission, and after a renewal the new one", func(w *world) error {
		j, a, _, c, err := w.inRing(true)
		if err != nil {
			return err
		}
		first, err := a.admissionShown()
		if err != nil {
			return err
		}
		later := secure.Text(w.sec.admission(self, j.m.shown.Key, func(x *secure.Admission) { x.Until = x.Until.Add(time.Hour) }))
		j.m.send(control.TypeAdmission, control.Admission{Admission: later, Time: time.Now().UnixMilli()})
		if err := errors.Join(j.m.barrier(), j.tell(a, c)); err != nil { // in this order clockwise: c is last
			return err
		}
		second, err := c.admissionShown()
		if err != nil {
			return err
		}
		if first == later || second != later {
			return fmt.Errorf("before the renewal it shows %s, behind it %s, want %s", first, second, later)
		}
		return a.isUp()
	}},
	{"R103", true, "a peer with another admission than was dialled gets no hello, and Trouble about it comes", func(w *world) error {
		j, err := w.join()
		if err != nil {
			return err
		}
		a := w.peer(2000)
		a.present(w.sec.admission(ring.Ref{ID: a.ID, Incarnation: a.Incarnation + 1}, secure.KeyOf(a.key)))
		return w.noHello(j, a)
	}},
	{"R102", true, "a peer without an admission gets no hello, and Trouble about it comes", func(w *world) error {
		j, err := w.join()
		if err != nil {
			return err
		}
		a := w.peer(2000)
		a.present(nil)
		return w.noHello(j, a)
	}},
	{"R102", true, "links without a good admission are refused: with 6, 7 if it has expired", linksRefused},
	{"R103", true, "a link whose hello names another node than its admission is refused with status 6", func(w *world) error {
		j, a, b, _, err := w.inRing(true)
		if err != nil {
			return err
		}
		return errors.Join(
			j.answersLink(secure.Protocol, a.key, a.admission, b.Ref, wire.NotAdmitted),
			j.answersLink(secure.Protocol, a.key, a.admission, ring.Ref{ID: a.ID, Incarnation: a.Incarnation + 1}, wire.NotAdmitted),
			j.answersLink(secure.Protocol, a.key, a.admission, a.Ref, wire.OK))
	}},
	{"R104", true, "a probe is answered for the ring key only, and shows the node's own key", func(w *world) error {
		j, err := w.join()
		if err != nil {
			return err
		}
		h := wire.Hello{Role: wire.RoleProbe, Token: 5, Codec: j.m.hello.Codec, RingName: j.m.hello.RingName}
		conn, a, s, err := secureHello(j.reg.Addr, secure.ProbeProtocol, w.sec.key, nil, h)
		if err != nil {
			return err
		}
		conn.Close()
		if a.Status != wire.OK || s.Key != j.m.shown.Key {
			return fmt.Errorf("the registry's probe: status %d, and key %v, want %v", a.Status, s.Key, j.m.shown.Key)
		}
		if conn, a, _, err = secureHello(j.reg.Addr, secure.ProbeProtocol, newKey(), nil, h); err != nil {
			return nil // an alert
		}
		conn.Close()
		if a.Status != wire.NotAdmitted {
			return fmt.Errorf("a stranger's probe: status %d", a.Status)
		}
		return nil
	}},
	{"R108", true, "a Trust that revokes a peer ends its links at once, and a new one is refused with status 8", func(w *world) error {
		j, a, b, _, err := w.inRing(true)
		if err != nil {
			return err
		}
		incoming, err := j.raw(a)
		if err != nil {
			return err
		}
		if err := errors.Join(a.isUp(), b.isUp()); err != nil {
			return err
		}
		j.m.send(control.TypeTrust, w.sec.trust(secure.KeyOf(a.key)))
		if err := a.isDown(); err != nil {
			return err
		}
		if _, err := closed(incoming); err != nil {
			return err
		}
		return errors.Join(j.answersLink(secure.Protocol, a.key, a.admission, a.Ref, wire.Expelled), b.isUp())
	}},
	{"R109", true, "a Trust that revokes the node itself ends its links, and it stays away", func(w *world) error {
		return w.expelled(func(j *joined) { j.m.send(control.TypeTrust, w.sec.trust(j.m.shown.Key)) })
	}},
	{"R109", true, "after Refused 13 the node ends its links, and stays away", func(w *world) error {
		return w.expelled(func(j *joined) {
			j.m.send(control.TypeRefused, control.Refused{Code: control.CodeExpelled, Reason: "a check"})
		})
	}},
}

// changeKey gives the ring another key, which the one before has signed.
func (s *security) changeKey() {
	old := s.key
	s.key = newKey()
	s.succession = secure.Succession{Ring: s.ring, Old: secure.KeyOf(old), New: secure.KeyOf(s.key), Since: time.Now()}.Sign(old)
	s.registry = s.key
}

// sendsNothing checks that the node dials, and does not go on.
func (w *world) sendsNothing() error {
	m, err := w.connection()
	if m == nil {
		return err
	}
	if err == nil || m.hello.Codec != "" {
		return fmt.Errorf("the hello is %+v", m.hello)
	}
	return nil
}

// refusesAdmission checks that the node does not take an admission.
func refusesAdmission(what string, change func(*secure.Admission)) check {
	return check{"R106", true, "an admission " + what + " ends the connection", func(w *world) error {
		m, err := w.connection()
		if err != nil {
			return err
		}
		if _, err := next[control.Register](m, control.TypeRegister); err != nil {
			return err
		}
		return errors.Join(m.send(control.TypeRegistered, w.admitted(m, change)), m.ended())
	}}
}

// comesBack waits until the node is back with its life, by its admission.
func (w *world) comesBack(j *joined) error {
	m, err := w.connection()
	if err != nil {
		return err
	}
	req, err := next[control.Register](m, control.TypeRegister)
	if err != nil {
		return err
	}
	s := m.shown
	if req.ID != self.ID || req.Incarnation != self.Incarnation || req.Proof != "" || s.Key != j.m.shown.Key || s.Admission == nil || s.state.NegotiatedProtocol != secure.Protocol {
		return fmt.Errorf("over %s, with an admission of %d bytes, came %+v", s.state.NegotiatedProtocol, len(s.Admission), req)
	}
	return nil
}

// admissionShown returns the admission that the node has shown to a peer.
func (p *peer) admissionShown() (string, error) {
	if err := p.isUp(); err != nil {
		return "", err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return secure.Text(p.shown[len(p.shown)-1].Admission), nil
}

// noHello gives the node a table with a peer that it must not believe.
func (w *world) noHello(j *joined, a *peer) error {
	if err := j.tell(a); err != nil {
		return err
	}
	before, l, err := j.untilLinked()
	if err != nil {
		return err
	}
	a.mu.Lock()
	hellos := len(a.shown)
	a.mu.Unlock()
	if hellos > 0 || l.Error == "" {
		return fmt.Errorf("%d hellos came, and Linked is %+v", hellos, l)
	}
	return hasTrouble(j, a, before, l)
}

// linksRefused dials the node with admissions that do not count.
func linksRefused(w *world) error {
	j, a, _, _, err := w.inRing(true)
	if err != nil {
		return err
	}
	key := secure.KeyOf(a.key)
	foreign := newSecurity()
	foreign.ring = w.sec.ring
	expired := func(x *secure.Admission) { x.Since, x.Until = x.Since.Add(-2*time.Hour), x.Until.Add(-48*time.Hour) }
	return errors.Join(
		j.answersLink(secure.Protocol, a.key, nil, a.Ref, wire.NotAdmitted),
		j.answersLink(secure.Protocol, newKey(), a.admission, a.Ref, wire.NotAdmitted),
		j.answersLink(secure.Protocol, a.key, foreign.admission(a.Ref, key), a.Ref, wire.NotAdmitted),
		j.answersLink(secure.Protocol, a.key, w.sec.admission(a.Ref, key, func(x *secure.Admission) { x.Ring++ }), a.Ref, wire.NotAdmitted),
		j.answersLink(secure.Protocol, a.key, a.admission[:100], a.Ref, wire.NotAdmitted),
		j.answersLink(secure.Protocol, a.key, w.sec.admission(a.Ref, key, expired), a.Ref, wire.Expired),
		j.answersLink(secure.Protocol, a.key, a.admission, a.Ref, wire.OK))
}

// answersLink dials the node as a peer, and wants a status.
func (j *joined) answersLink(protocol string, key ed25519.PrivateKey, admission []byte, from ring.Ref, want wire.Status) error {
	conn, a, _, err := secureHello(j.reg.Addr, protocol, key, admission, j.linkHello(from))
	if err != nil {
		return fmt.Errorf("a link from %+v: %w, want status %d", from, err, want)
	}
	conn.Close()
	if a.Status != want {
		return fmt.Errorf("a link from %+v is answered with status %d (%q), want %d", from, a.Status, a.Reason, want)
	}
	return nil
}

// expelled checks that the node ends all, and does not come back.
func (w *world) expelled(tell func(*joined)) error {
	j, a, b, _, err := w.inRing(true)
	if err != nil {
		return err
	}
	if err := errors.Join(a.isUp(), b.isUp()); err != nil {
		return err
	}
	tell(j)
	return errors.Join(j.m.ended(), a.isDown(), b.isDown(), w.staysAway())
}
