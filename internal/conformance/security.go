package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"slices"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
)

// security is the secure ring of a check. Checks may change it before they wait for the node.
type security struct {
	key        ed25519.PrivateKey // of the ring
	ring       uint64
	secret     secure.Secret
	succession []byte                       // what the registry presents besides its key
	registry   ed25519.PrivateKey           // the key that the registry presents
	spoil      func(*tls.Certificate) error // changes the registry's certificate, unless nil
}

func newSecurity() *security {
	s := &security{key: newKey()}
	rand.Read(s.secret[:])
	s.registry, s.ring = s.key, secure.RingOf(secure.KeyOf(s.key))
	return s
}

func newKey() ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err) // of this machine, and not of the node
	}
	return key
}

func (s *security) line(addr string) string {
	return secure.JoinLine{Addr: addr, Pin: secure.KeyOf(s.key).Pin(), Secret: s.secret}.Text()
}

// admission admits a key for a day, unless change says otherwise.
func (s *security) admission(ref ring.Ref, key secure.Key, change ...func(*secure.Admission)) []byte {
	now := time.Now()
	a := secure.Admission{Ring: s.ring, ID: ref.ID, Incarnation: ref.Incarnation, Token: 1, Since: now, Until: now.Add(24 * time.Hour), Key: key}
	for _, f := range change {
		f(&a)
	}
	return a.Sign(s.key)
}

// trust is the message that names the ring's keys, and those that are revoked.
func (s *security) trust(revoked ...secure.Key) control.Trust {
	t := control.Trust{Ring: s.ring, Time: time.Now().UnixMilli()}
	key := secure.KeyOf(s.key)
	t.Keys = append(t.Keys, secure.Text(key[:]))
	for _, k := range revoked {
		t.Revoked = append(t.Revoked, secure.Text(k[:]))
	}
	return t
}

// shown is what the node has shown on a connection.
type shown struct {
	secure.Presented
	state *tls.ConnectionState
}

// side presents a key, and believes all.
func side(key ed25519.PrivateKey, admission, succession []byte, s *shown) secure.Side {
	return secure.Side{
		Certificate: func(context.Context, string) (*tls.Certificate, error) {
			return secure.Certificate(key, admission, succession)
		},
		Check: func(cs *tls.ConnectionState) (err error) {
			s.Presented, err = secure.PresentedIn(cs)
			return err
		},
	}
}

// accepted makes TLS of a connection that the node has dialled, in a secure ring.
func (w *world) accepted(conn net.Conn, key ed25519.PrivateKey, admission, succession []byte, protocols ...string) (net.Conn, shown, error) {
	var s shown
	if w.sec == nil {
		return conn, s, nil
	}
	conn.SetDeadline(time.Now().Add(patience))
	presents := side(key, admission, succession, &s)
	if spoil := w.sec.spoil; spoil != nil && slices.Contains(protocols, secure.JoinProtocol) {
		right := presents.Certificate
		presents.Certificate = func(ctx context.Context, protocol string) (*tls.Certificate, error) {
			c, err := right(ctx, protocol)
			if err != nil {
				return nil, err
			}
			changed := *c
			return &changed, spoil(&changed)
		}
	}
	over := tls.Server(conn, presents.Server(protocols...))
	err := over.Handshake()
	cs := over.ConnectionState()
	s.state = &cs
	return over, s, err
}

// secureHello dials the node in a secure ring, with any certificate.
func secureHello(addr, protocol string, key ed25519.PrivateKey, admission []byte, h wire.Hello) (net.Conn, wire.Answer, shown, error) {
	var s shown
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, wire.Answer{}, s, err
	}
	conn.SetDeadline(time.Now().Add(patience))
	over := tls.Client(conn, side(key, admission, nil, &s).Client(protocol))
	if err := over.Handshake(); err != nil {
		conn.Close()
		return nil, wire.Answer{}, s, err
	}
	c, a, err := introduce(over, h, nil)
	return c, a, s, err
}

// admitted is the answer to a node that has proven the secret, or has an admission.
func (w *world) admitted(m *member, change ...func(*secure.Admission)) control.Registered {
	r := terms()
	if w.sec != nil {
		r.Admission, r.Time = secure.Text(w.sec.admission(self, m.shown.Key, change...)), time.Now().UnixMilli()
	}
	return r
}

// admit answers Register.
func (w *world) admit(m *member) error {
	err := m.send(control.TypeRegistered, w.admitted(m))
	if w.sec != nil && err == nil {
		err = m.send(control.TypeTrust, w.sec.trust())
	}
	return err
}

// staysAway checks that the node does not dial the registry again.
func (w *world) staysAway() error {
	select {
	case <-w.members:
		return errors.New("the node dials the registry again")
	case <-time.After(lease):
		return nil
	}
}

// noCertificate checks that the node sends nothing to a registry with a certificate that is no side's.
func noCertificate(what string, spoil func(*tls.Certificate) error) check {
	return check{"R100", true, "to a registry " + what + " the node sends nothing, not even a hello", func(w *world) error {
		w.sec.spoil = spoil
		return w.sendsNothing()
	}}
}

// otherKey returns a self-signed certificate of ECDSA.
func otherKey() (c tls.Certificate, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return c, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	text, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{text}, PrivateKey: key}, err
}
