package ringtest

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// HandRegistry is the registry of a secure ring without a registry behind it, for tests of one
// node: it takes connections, and the test says each answer. It checks nothing but the handshake.
type HandRegistry struct {
	Key      *RingKey
	Secret   secure.Secret
	Addr     string
	Line     string        // to join by
	Validity time.Duration // of admissions: a day, unless the test says otherwise
	t        testing.TB
	cfg      *handshake.Config
	sessions chan *HandSession
}

// HandSession is a connection over which a node has registered.
type HandSession struct {
	*control.Conn
	Proof    secure.Proof
	Register control.Register
	h        *HandRegistry
}

// NewHandRegistry listens on the host "registry" of a network.
func NewHandRegistry(t testing.TB, network *memnet.Network) *HandRegistry {
	t.Helper()
	h := &HandRegistry{Key: NewRingKey(), t: t, Validity: 24 * time.Hour, cfg: DialConfig(), sessions: make(chan *HandSession)}
	rand.Read(h.Secret[:])
	h.cfg.Transport = network.Host("registry")
	h.cfg.Security = h.Key.Registry()
	l, err := h.cfg.Transport.Listen(t.Context(), "registry:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	h.Addr = l.Addr().String()
	h.Line = h.LineTo(h.Addr)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				over, _, proof, err := h.cfg.Welcome(conn, func(wire.Hello, secure.Proof) wire.Answer { return wire.Answer{} })
				if err != nil {
					conn.Close()
					return
				}
				s := &HandSession{Conn: control.NewConn(over, h.cfg.Codec, 1<<20), Proof: proof, h: h}
				defer s.Free()
				t.Cleanup(s.Close)
				ty, body, err := s.Recv()
				if err != nil || ty != control.TypeRegister || s.Decode(body, &s.Register) != nil {
					return
				}
				select {
				case h.sessions <- s:
				case <-t.Context().Done():
					return
				}
				for err == nil { // what the node sends from here on is of no interest
					_, _, err = s.Recv()
				}
			}()
		}
	}()
	return h
}

// LineTo returns the join line for an address of the registry.
func (h *HandRegistry) LineTo(addr string) string {
	return secure.JoinLine{Addr: addr, Pin: h.Key.Trust.Keys[0].Pin(), Secret: h.Secret}.Text()
}

// Next waits for the next node that registers.
func (h *HandRegistry) Next() *HandSession {
	h.t.Helper()
	select {
	case s := <-h.sessions:
		return s
	case <-time.After(10 * time.Minute):
		h.t.Fatal("no node registers")
		return nil
	}
}

// Admission makes an admission for the node at the other end, valid from now on.
func (s *HandSession) Admission(id, inc uint64, change ...func(*secure.Admission)) string {
	a := secure.Admission{Ring: s.h.Key.Trust.Ring, ID: id, Incarnation: inc, Since: time.Now(), Until: time.Now().Add(s.h.Validity), Key: s.Proof.Key}
	for _, f := range change {
		f(&a)
	}
	return secure.Text(a.Sign(s.h.Key.private))
}

// Admit admits the node, as an incarnation.
func (s *HandSession) Admit(id, inc uint64, change ...func(*control.Registered)) {
	r := control.Registered{
		ID: id, Incarnation: inc, Bits: 16, MaxPayload: 1000, HopLimit: 10, Lease: Lease.Milliseconds(),
		Admission: s.Admission(id, inc), Time: time.Now().UnixMilli(),
	}
	for _, f := range change {
		f(&r)
	}
	s.Send(control.TypeRegistered, r)
	s.Trust()
}

// Trust tells the node that the ring has one key, and that these keys are revoked.
func (s *HandSession) Trust(revoked ...secure.Key) {
	t := control.Trust{Ring: s.h.Key.Trust.Ring, Keys: []string{secure.Text(s.h.Key.Trust.Keys[0][:])}, Time: time.Now().UnixMilli()}
	for _, k := range revoked {
		t.Revoked = append(t.Revoked, secure.Text(k[:]))
	}
	s.Send(control.TypeTrust, t)
}

// Refuse refuses the node.
func (s *HandSession) Refuse(code control.Code, reason string) {
	s.Send(control.TypeRefused, control.Refused{Code: code, Reason: reason})
}

// Ring is the number of the ring.
func (s *HandSession) Ring() uint64 { return s.h.Key.Trust.Ring }

// Revoke has the registry refuse a key in the handshake.
func (h *HandRegistry) Revoke(key secure.Key) {
	c := h.Key.Registry()
	c.Trust.Revoked = map[secure.Key]struct{}{key: {}}
	h.cfg.Security = c
}

// Quiet fails the test if a node has registered.
func (h *HandRegistry) Quiet() {
	h.t.Helper()
	select {
	case s := <-h.sessions:
		h.t.Errorf("a node has registered: %+v", s.Register)
	default:
	}
}

// Public returns the public key.
func (c *Credentials) Public() secure.Key { return secure.KeyOf(c.Key) }
