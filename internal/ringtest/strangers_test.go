package ringtest_test

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/registry"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// strange is one thing that a stranger, or a member, does to a secure ring.
type strange struct {
	name  string
	does  func(t *testing.T, s *scene)
	cause status.Refusal               // how the registry counts it; atNode if a node does; empty if it is the node that finds out
	first func(t *testing.T, s *scene) // what it did before the nodes joined, or nil
}

// atNode says that the first node counts it.
const atNode status.Refusal = "at a node"

// scene is a secure ring of four nodes, with what a stranger may have got hold of.
type scene struct {
	*ringtest.Ring
	host  string // of the stranger
	in    *ringtest.Insider
	ahead *atomic.Int64 // the registry's clock, in nanoseconds
}

// Each is refused, counted, and in the operator's list. Afterwards a run is exact.
func TestStrangers(t *testing.T) {
	cases := []strange{
		{"no token", noToken, status.RefusedNone, nil},
		{"a wrong secret", wrongSecret, status.RefusedSecret, nil},
		{"an expired token", expiredToken, status.RefusedToken, nil},
		{"a spent token", spentToken, status.RefusedToken, nil},
		{"a rotated token", rotatedToken, status.RefusedToken, nil},
		{"a token for another ID", otherID, status.RefusedID, nil},
		{"a recorded connection", recordedConnection, status.RefusedHandshake, nil},
		{"a recorded proof", recordedProof, status.RefusedSecret, nil},
		{"a stolen admission at the registry", stolenAtRegistry, status.RefusedStolen, nil},
		{"a stolen admission at a node", stolenAtNode, atNode, nil},
		{"an admission of another ring at the registry", foreignAtRegistry, status.RefusedForeign, nil},
		{"an admission of another ring at a node", foreignAtNode, atNode, nil},
		{"a link without an admission", linkOfNewcomer, atNode, nil},
		{"an expired admission of another ring", foreignAndExpired, status.RefusedForeign, nil},
		{"a member in another's name", linkInOthersName, atNode, nil},
		{"a member in the sink's own name", linkInOwnName, atNode, nil},
		{"a member resumes another", resumesAnother, status.RefusedID, nil},
		{"a newcomer resumes a member", newcomerResumes, status.RefusedNone, nil},
		{"a member as the registry's probe", memberProbes, atNode, nil},
		{"no TLS at the registry", plainAtRegistry, status.RefusedPlain, nil},
		{"another's address", othersAddress, status.RefusedAddress, nil},
		{"a fake registry", fakeSecureRegistry, "", nil},
		{"a fake peer", fakePeer, atNode, nil},
		{"an expired admission", expiredAdmission, status.RefusedExpired, wasMemberOnce},
		{"an expired admission at a node", expiredAtNode, atNode, wasMemberOnce},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			log := ringtest.NewLog()
			s := &scene{host: "stranger", ahead: new(atomic.Int64)}
			tr := ringtest.NewSecure(t, memnet.New(1), log.Option(), ringtest.WithRegistryConfig(func(c *registry.Config) {
				c.TimeOfDay = func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }
			}))
			s.Ring = tr
			if c.first != nil {
				c.first(t, s)
			}
			for range 4 {
				tr.Join(nil, ringdht.WithTraffic())
			}
			tr.Setup(0)
			tr.Run(status.Traffic{Messages: 100})
			members := tr.Registry.Members()
			count := func() int64 {
				if c.cause == atNode {
					return tr.Nodes[0].Status().Counters.Strangers
				}
				return tr.Registry.Snapshot().Security.Refusals[c.cause]
			}
			before := count()
			c.does(t, s)
			if c.cause != "" {
				ringtest.WaitUntil(t, "it to be counted as "+string(c.cause), func() bool { return count() > before })
			}
			if c.cause != "" && c.cause != atNode {
				s := tr.Registry.Snapshot().Security
				if !slices.ContainsFunc(s.Strangers, func(s status.Stranger) bool { return s.Cause == c.cause && s.Times > 0 && s.From != "" }) {
					t.Errorf("not in the operator's list: %+v", s.Strangers)
				}
			}
			if now := tr.Registry.Members(); !slices.Equal(now, members) {
				t.Errorf("the members are %v, they were %v", now, members)
			}
			tr.Run(status.Traffic{Messages: 100})
			if strings.Contains(log.Text(), "panic") {
				t.Error(log.Text())
			}
		})
	}
}

// refused fails the test unless a registration was refused with a code.
func refused(t *testing.T, code control.Code, r *control.Refused, err error) {
	t.Helper()
	if err != nil || r == nil || r.Code != code || r.Reason == "" {
		t.Errorf("%+v, %v; want code %d", r, err, code)
	}
}

func noToken(t *testing.T, s *scene) {
	r, err := s.Insider(s.host).Register(func(r *control.Register) { r.Proof = "" })
	refused(t, control.CodeCredentials, r, err)
}

func wrongSecret(t *testing.T, s *scene) {
	line := s.Line()
	x, err := secure.ParseJoinLine(line)
	if err != nil {
		t.Fatal(err)
	}
	x.Secret[3] ^= 1
	_, err = ringtest.Join(s.Ctx(), x.Text(), nil, ringdht.WithTransport(s.Net.Host(s.host)), ringdht.WithRetry())
	if !errors.Is(err, ringdht.ErrHandshake) || ringdht.Retryable(err) {
		t.Error(err)
	}
}

func joinByLine(s *scene, line string, opts ...ringdht.NodeOption) error {
	n, err := ringtest.Join(s.Ctx(), line, nil, append(opts, ringdht.WithTransport(s.Net.Host(s.host)))...)
	if err == nil {
		n.Leave(s.Ctx())
	}
	return err
}

// newToken makes a token, and returns its line.
func newToken(t *testing.T, s *scene, terms status.TokenTerms) string {
	t.Helper()
	token, err := s.Registry.NewToken(s.Ctx(), terms)
	if err != nil {
		t.Fatal(err)
	}
	line, err := s.Registry.JoinLine(s.Addr, token.Number)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

func expiredToken(t *testing.T, s *scene) {
	line := newToken(t, s, status.TokenTerms{For: time.Minute})
	s.ahead.Store(int64(2 * time.Minute))
	ringtest.WaitUntil(t, "the token to expire", func() bool {
		return !slices.ContainsFunc(s.Registry.Tokens()[1:], status.Token.Valid)
	})
	if err := joinByLine(s, line); !errors.Is(err, ringdht.ErrHandshake) || !strings.Contains(err.Error(), "expired") {
		t.Error(err)
	}
}

func spentToken(t *testing.T, s *scene) {
	line := newToken(t, s, status.TokenTerms{Once: true})
	if err := joinByLine(s, line); err != nil {
		t.Fatal(err)
	}
	s.WaitSettled()
	if err := joinByLine(s, line); !errors.Is(err, ringdht.ErrHandshake) || !strings.Contains(err.Error(), "was used") {
		t.Error(err)
	}
}

func rotatedToken(t *testing.T, s *scene) {
	line := s.Line()
	if err := s.Registry.RotateTokens(s.Ctx()); err != nil {
		t.Fatal(err)
	}
	if err := joinByLine(s, line); !errors.Is(err, ringdht.ErrHandshake) {
		t.Error(err)
	}
}

func otherID(t *testing.T, s *scene) {
	id := ringdht.ID(1)
	line := newToken(t, s, status.TokenTerms{ID: &id})
	if err := joinByLine(s, line, ringdht.WithID(2)); !errors.Is(err, ringdht.ErrHandshake) {
		t.Error(err)
	}
}

func recordedProof(t *testing.T, s *scene) {
	in := s.Insider(s.host)
	proof := ""
	if r, err := in.Register(func(r *control.Register) { proof, r.Want, r.ID = r.Proof, true, uint64(s.Nodes[0].ID()) }); err != nil || r == nil || r.Code != control.CodeIDTaken {
		t.Fatalf("%+v, %v", r, err)
	}
	r, err := in.Register(func(r *control.Register) { r.Proof = proof })
	refused(t, control.CodeCredentials, r, err)
}

// insideOf returns a member without a node behind it. It leaves when the test is over.
func insideOf(t *testing.T, s *scene) *ringtest.Insider {
	t.Helper()
	in := s.Insider("insider")
	if r, err := in.Register(nil); err != nil || r != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	return in
}

// gone has the insider leave.
func gone(t *testing.T, s *scene, in *ringtest.Insider) {
	t.Helper()
	in.Conn.Send(control.TypeDeregister, control.Deregister{ID: in.Registered.ID, Addr: in.Addr})
	s.WaitGone(ringdht.ID(in.Registered.ID))
	s.WaitSettled()
}

func stolenAtRegistry(t *testing.T, s *scene) {
	in := insideOf(t, s)
	thief := s.Insider(s.host)
	thief.Admission = in.Admission
	if _, err := thief.Register(nil); !errors.Is(err, secure.ErrNotAdmitted) {
		t.Error(err)
	}
	gone(t, s, in)
}

// linkTo is the hello of a link to a node.
func linkTo(n *ringtest.Node, from, inc uint64) wire.Hello {
	return wire.Hello{From: from, FromIncarnation: inc, To: uint64(n.ID()), ToIncarnation: n.Incarnation()}
}

func noLink(t *testing.T, s *scene, in *ringtest.Insider, h wire.Hello) {
	t.Helper()
	if _, err := in.Link(s.Nodes[0].Peer().Addr, h); !errors.Is(err, errs.ErrHandshake) {
		t.Error(err)
	}
}

func stolenAtNode(t *testing.T, s *scene) {
	in := insideOf(t, s)
	thief := s.Insider(s.host)
	thief.Trust, thief.Admission = in.Trust, in.Admission
	noLink(t, s, thief, linkTo(s.Nodes[0], in.Registered.ID, in.Registered.Incarnation))
	gone(t, s, in)
}

func foreignAtRegistry(t *testing.T, s *scene) {
	in := s.Insider(s.host)
	in.Admission = ringtest.NewRingKey().Member(1, 1).Admission
	if _, err := in.Register(nil); !errors.Is(err, secure.ErrNotAdmitted) {
		t.Error(err)
	}
}

func foreignAtNode(t *testing.T, s *scene) {
	in := s.Insider(s.host)
	if _, err := in.Dial(); err != nil { // so that it believes the node
		t.Fatal(err)
	}
	foreign := ringtest.NewRingKey().Member(1, 1)
	in.Key, in.Admission = foreign.Key, foreign.Admission
	noLink(t, s, in, linkTo(s.Nodes[0], 1, 1))
}

func linkOfNewcomer(t *testing.T, s *scene) {
	in := s.Insider(s.host)
	if _, err := in.Dial(); err != nil {
		t.Fatal(err)
	}
	noLink(t, s, in, linkTo(s.Nodes[0], 1, 1))
}

func linkInOthersName(t *testing.T, s *scene) {
	in := insideOf(t, s)
	other := s.Nodes[1]
	noLink(t, s, in, linkTo(s.Nodes[0], uint64(other.ID()), other.Incarnation()))
	noLink(t, s, in, linkTo(s.Nodes[0], in.Registered.ID, in.Registered.Incarnation+1))
	noLink(t, s, in, linkTo(s.Nodes[0], 1<<40, in.Registered.Incarnation))
	if _, err := in.Link(s.Nodes[0].Peer().Addr, linkTo(s.Nodes[0], in.Registered.ID, in.Registered.Incarnation)); err != nil {
		t.Error("in its own name: ", err)
	}
	gone(t, s, in)
}

func linkInOwnName(t *testing.T, s *scene) {
	in := insideOf(t, s)
	noLink(t, s, in, linkTo(s.Nodes[0], uint64(s.Nodes[0].ID()), s.Nodes[0].Incarnation()))
	gone(t, s, in)
}

func resumesAnother(t *testing.T, s *scene) {
	in := insideOf(t, s)
	victim := s.Nodes[0]
	r, err := in.Register(func(r *control.Register) { r.ID, r.Incarnation = uint64(victim.ID()), victim.Incarnation() })
	refused(t, control.CodeCredentials, r, err)
	if victim.ReadyNow() != nil {
		t.Error(victim.ReadyNow())
	}
	if _, err := in.Register(func(r *control.Register) { r.ID, r.Incarnation = in.Registered.ID, in.Registered.Incarnation }); err != nil {
		t.Error("itself: ", err)
	}
	gone(t, s, in)
}

func newcomerResumes(t *testing.T, s *scene) {
	victim := s.Nodes[0]
	r, err := s.Insider(s.host).Register(func(r *control.Register) { r.ID, r.Incarnation = uint64(victim.ID()), victim.Incarnation() })
	refused(t, control.CodeCredentials, r, err)
}

func memberProbes(t *testing.T, s *scene) {
	in := insideOf(t, s)
	in.DialsAs = secure.ProbeProtocol
	if _, _, _, err := in.Config.Dial(s.Ctx(), s.Nodes[0].Peer().Addr, wire.Hello{Role: wire.RoleProbe}); !errors.Is(err, errs.ErrHandshake) {
		t.Error(err)
	}
	in.DialsAs = ""
	gone(t, s, in)
}

func plainAtRegistry(t *testing.T, s *scene) {
	c := ringtest.DialConfig()
	c.Transport = s.Net.Host(s.host)
	if _, _, _, err := c.Dial(s.Ctx(), s.Addr, wire.Hello{Role: wire.RoleMember}); err == nil {
		t.Error("the registry answers without TLS")
	}
}

func othersAddress(t *testing.T, s *scene) {
	r, err := s.Insider(s.host).Register(func(r *control.Register) { r.Addr, r.Other = s.Nodes[0].Peer().Addr, true })
	refused(t, control.CodeAddrTaken, r, err)
	r, err = s.Insider(s.host).Register(func(r *control.Register) { r.Addr, r.Other = s.Insider("other").Addr, true })
	refused(t, control.CodeUnreachable, r, err)
}

// Another registry at the address of the join line gets nothing of a newcomer, and nothing of a
// member that comes back.
func fakeSecureRegistry(t *testing.T, s *scene) {
	fake := ringtest.NewHandRegistry(t, s.Net)
	line := "rdht1:" + fake.Addr + s.Line()[strings.LastIndex(s.Line(), "/"):]
	if err := joinByLine(s, line); !errors.Is(err, ringdht.ErrHandshake) || !errors.Is(err, secure.ErrNotRegistry) || ringdht.Retryable(err) ||
		!strings.Contains(err.Error(), "was expected: the join line is of another ring") {
		t.Error(err)
	}
	fake.Quiet()
}

// At the address of a member that was killed, a process without its key answers. The member that
// dials it says so, and hands it nothing.
func fakePeer(t *testing.T, s *scene) {
	in := insideOf(t, s)
	victim := ringtest.NewRingKey().Member(in.Registered.ID, in.Registered.Incarnation)
	victim.Trust = in.Trust
	mine := in.Credentials
	in.Config.Security = victim // from here on another key answers there
	_, err := in.Link(s.Nodes[0].Peer().Addr, linkTo(s.Nodes[0], in.Registered.ID, in.Registered.Incarnation))
	if err == nil {
		t.Error("linked")
	}
	cfg := *ringtest.DialConfig()
	cfg.Transport, cfg.Security = s.Net.Host("n0"), ringtest.NodeOf(s.Nodes[0]).Config().Security
	_, _, _, err = cfg.Dial(s.Ctx(), in.Addr, linkFrom(s.Nodes[0], in))
	if !errors.Is(err, secure.ErrNotAdmitted) {
		t.Error(err)
	}
	in.Config.Security = mine
	gone(t, s, in)
}

func linkFrom(n *ringtest.Node, in *ringtest.Insider) wire.Hello {
	return wire.Hello{Role: wire.RoleLink, From: uint64(n.ID()), FromIncarnation: n.Incarnation(), To: in.Registered.ID, ToIncarnation: in.Registered.Incarnation}
}
