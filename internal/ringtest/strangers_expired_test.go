package ringtest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/secure"
)

func foreignAndExpired(t *testing.T, s *scene) {
	in := s.Insider(s.host)
	other := ringtest.NewRingKey().Member(1, 1, func(a *secure.Admission) { a.Until = time.Unix(1, 0) })
	in.Key, in.Admission = other.Key, other.Admission
	if _, err := in.Register(nil); !errors.Is(err, errs.ErrHandshake) {
		t.Error(err)
	}
}

// wasMemberOnce has the stranger be a member, and leave a day before the ring is there.
func wasMemberOnce(t *testing.T, s *scene) {
	s.in = s.Insider(s.host)
	if r, err := s.in.Register(nil); err != nil || r != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	s.in.Conn.Send(control.TypeDeregister, control.Deregister{ID: s.in.Registered.ID, Addr: s.in.Addr})
	s.WaitGone(ringdht.ID(s.in.Registered.ID))
	s.ahead.Store(int64(25 * time.Hour))
}

func expiredAdmission(t *testing.T, s *scene) {
	for _, resumes := range []bool{false, true} {
		r, err := s.in.Register(func(r *control.Register) {
			if resumes {
				r.ID, r.Incarnation = s.in.Registered.ID, s.in.Registered.Incarnation
			}
		})
		refused(t, control.CodeCredentials, r, err)
	}
}

func expiredAtNode(t *testing.T, s *scene) {
	_, err := s.in.Link(s.Nodes[0].Peer().Addr, linkTo(s.Nodes[0], s.in.Registered.ID, s.in.Registered.Incarnation))
	if !errors.Is(err, secure.ErrExpired) {
		t.Error(err)
	}
}
