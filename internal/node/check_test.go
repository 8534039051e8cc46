package node_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// A node itself believes no peer without an admission of its ring, and no registry without the ring's
// key. The handshake compares what is proven with the hello; that alone must not be what keeps a
// stranger out.
func TestNodeChecksPeers(t *testing.T) {
	inHand(t, func(t *testing.T, h *ringtest.HandRegistry, _ *memnet.Network, joined <-chan outcome) {
		h.Next().Admit(7, 70)
		n := admitted(t, joined)
		side := ringtest.NodeOf(n).Config().Security
		other := ringtest.NewRingKey()
		stolen := h.Key.Member(9, 90)
		stolen.Key = other.Newcomer().Key
		expired := h.Key.Member(9, 90, func(a *secure.Admission) { a.Until = time.Now().Add(-time.Hour) })
		const accepted = 0
		for name, c := range map[string]struct {
			presents *ringtest.Credentials
			role     wire.Role
			protocol string
			want     error
			text     string
		}{
			"a member":                     {h.Key.Member(9, 90), accepted, secure.Protocol, nil, ""},
			"a member that was dialled":    {h.Key.Member(9, 90), wire.RoleLink, secure.Protocol, nil, ""},
			"no admission":                 {h.Key.Newcomer(), accepted, secure.Protocol, secure.ErrNotAdmitted, ""},
			"none where a link was wanted": {h.Key.Newcomer(), wire.RoleLink, secure.Protocol, secure.ErrNotAdmitted, ""},
			"the registry as a peer":       {h.Key.Registry(), accepted, secure.Protocol, secure.ErrNotAdmitted, ""},
			"the registry dialled":         {h.Key.Registry(), wire.RoleLink, secure.Protocol, secure.ErrNotAdmitted, ""},
			"another ring's":               {other.Member(9, 90), accepted, secure.Protocol, secure.ErrNotAdmitted, "another ring's"},
			"a stolen one":                 {stolen, accepted, secure.Protocol, secure.ErrOtherKey, ""},
			"an expired one":               {expired, accepted, secure.Protocol, secure.ErrExpired, ""},
			"an expired one dialled":       {expired, wire.RoleLink, secure.Protocol, secure.ErrExpired, ""},
			"the registry":                 {h.Key.Registry(), wire.RoleMember, secure.Protocol, nil, ""},
			"another registry":             {other.Registry(), wire.RoleMember, secure.JoinProtocol, secure.ErrNotRegistry, h.Key.Trust.Keys[0].String() + " was expected"},
			"a peer as the registry":       {h.Key.Member(9, 90), wire.RoleMember, secure.Protocol, secure.ErrNotRegistry, "it is node 9 of this ring"},
			"the probe":                    {h.Key.Registry(), accepted, secure.ProbeProtocol, nil, ""},
			"another's probe":              {other.Registry(), accepted, secure.ProbeProtocol, secure.ErrNotRegistry, ""},
			"a member's probe":             {h.Key.Member(9, 90), accepted, secure.ProbeProtocol, secure.ErrNotRegistry, ""},
		} {
			cert, err := secure.Certificate(c.presents.Key, c.presents.Admission, nil)
			if err != nil {
				t.Fatal(err)
			}
			leaf, err := x509.ParseCertificate(cert.Certificate[0])
			if err != nil {
				t.Fatal(err)
			}
			_, err = side.Check(c.role, &tls.ConnectionState{NegotiatedProtocol: c.protocol, PeerCertificates: []*x509.Certificate{leaf}})
			if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
			if c.role == wire.RoleMember && err != nil && !errors.Is(err, errs.ErrHandshake) {
				t.Errorf("%s: not final: %v", name, err)
			}
		}
		if _, err := side.Check(wire.RoleMember, &tls.ConnectionState{}); !errors.Is(err, secure.ErrNotRegistry) {
			t.Error("no certificate:", err)
		}
	})
}
