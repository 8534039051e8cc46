package registry

import (
	"context"
	"errors"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/dial"
	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/wire"
)

// dialBack makes sure that the registering node is the one at its address, and refuses it if
// another node answers there, or none. While this process lacks something, such as file
// descriptors, it dials again.
func (s *session) dialBack(ctx context.Context, req control.Register) (refused bool, err error) {
	token, err := s.r.probe(ctx, s.r.newcomers, req.Addr)
	var shortage error
	for err != nil && dial.IsShortage(err) { // a shortage of this process, and no fault of the node
		if shortage == nil {
			s.r.cfg.WarnOften(handshake.ReasonOf(err), "cannot dial a node, trying again", "from", s.remote, "addr", req.Addr, "err", handshake.Quoted(err))
		}
		shortage = err
		if handshake.Sleep(ctx, 50*time.Millisecond) != nil {
			break
		}
		token, err = s.r.probe(ctx, s.r.newcomers, req.Addr)
	}
	if shortage != nil && errors.Is(err, errTooManyDials) {
		err = shortage
	}
	if why := context.Cause(ctx); why != nil && !errors.Is(why, errTooManyDials) { // nothing waits for the answer
		return false, why
	}
	if err == nil && token == req.Token {
		return false, nil
	}
	s.r.mu.Lock()
	holder, taken := s.r.members.HolderOf(req.Addr)
	s.r.mu.Unlock()
	switch {
	case taken:
		return true, s.refuse(control.CodeAddrTaken, "%s is registered already, as node %d: a node joins once, and two nodes need two addresses", req.Addr, holder)
	case err == nil:
		err = errors.New("another node answers there")
	case errors.Is(err, errTooManyDials) || dial.IsShortage(err):
		return true, s.refuse(control.CodeUnreachable, "the registry has not managed to dial you at %s (%v): join again in a while", req.Addr, err)
	}
	return true, s.refuse(control.CodeUnreachable, "the registry cannot reach you at %s (%v): check WithListen and WithAdvertise, and firewalls", req.Addr, err)
}

// probeSuspect dials a suspect, and gives the membership the result.
func (r *Registry) probeSuspect(e membership.Effect) {
	answer := membership.Nothing
	token, err := r.probe(r.ctx, r.suspects, e.Addr)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil && token == e.Token:
		answer = membership.Answered
	case err == nil && r.members.HasToken(token):
		// Another member has this address now. Perhaps the two have swapped addresses, and the
		// suspect is about to report its new one.
	case err == nil || errors.Is(err, errs.ErrHandshake) || dial.IsRefused(err):
		answer = membership.Absent
	}
	r.members.Probed(r.now(), e.Ref, e.Addr, answer)
	r.wake()
}

// probe dials an address and returns the token of the node that answers.
func (r *Registry) probe(ctx context.Context, d *dial.Limiter, addr string) (token uint64, err error) {
	err = d.Do(ctx, func(ctx context.Context) error {
		conn, answer, err := r.cfg.Dial(ctx, addr, wire.Hello{Role: wire.RoleProbe})
		if err == nil {
			conn.Close()
			token = answer.Token
		}
		return err
	})
	return token, err
}
