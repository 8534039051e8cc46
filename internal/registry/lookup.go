package registry

import (
	"fmt"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/status"
)

// lookup answers a member that asks which one has a name.
func (s *session) lookup(body []byte) error {
	var ask control.Lookup
	if err := s.conn.Decode(body, &ask); err != nil {
		return err
	}
	answer := control.Found{Ask: ask.Ask}
	s.r.mu.Lock()
	attached := s.attached
	m, info, ok := s.r.members.Named(ask.Name)
	s.r.mu.Unlock()
	if !attached { // an answer says that the member was not declared dead before it asked
		return nil
	}
	if ok {
		answer.Here, answer.ID, answer.Incarnation, answer.Addr = true, m.ID, m.Incarnation, m.Addr
		answer.Tags, answer.Services = info.Tags(), info.Services()
	}
	return s.conn.Send(control.TypeFound, answer)
}

// follow tells a member from now on which members handle services.
func (s *session) follow(body []byte) error {
	var f control.Follow
	if err := s.conn.Decode(body, &f); err != nil {
		return err
	}
	s.r.mu.Lock()
	err := s.r.members.Follow(s.member.Ref(), f.Services)
	s.r.wake()
	s.r.mu.Unlock()
	if err != nil {
		return s.refuse(control.CodeProtocol, "the services of which you want to know the members: %v", err)
	}
	return nil
}

// Lookup finds the member that has a name.
func (r *Registry) Lookup(name string) (status.MemberInfo, error) {
	r.mu.Lock()
	m, info, ok := r.members.Named(name)
	r.mu.Unlock()
	if !ok {
		return status.MemberInfo{}, fmt.Errorf("ringdht: registry: looking up the name %.70q: %w: no member has it now", name, stream.ErrNoSuchNode)
	}
	return new(membership.Describer).Describe(m.Ref(), m.Addr, info), nil
}
