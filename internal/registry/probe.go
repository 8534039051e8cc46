package registry

import (
	"context"
	"errors"
	"net"
	"slices"
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
//
// The node is not told what was found at the address: the registry must be no eye for those that
// cannot look there themselves. If it is the address of another host, the refusal does not tell by
// its time either whether a port is open. The registry's own log has what was found.
func (s *session) dialBack(ctx context.Context, req control.Register) (refused bool, err error) {
	err = s.probe(ctx, req.Addr, req.Token)
	var shortage error
	for err != nil && dial.IsShortage(err) { // a shortage of this process, and no fault of the node
		if shortage == nil {
			s.r.cfg.WarnOften(handshake.ReasonOf(err), "cannot dial a node, trying again", "from", s.remote, "addr", req.Addr, "err", err)
		}
		shortage = err
		if handshake.Sleep(ctx, 50*time.Millisecond) != nil {
			break
		}
		err = s.probe(ctx, req.Addr, req.Token)
	}
	if shortage != nil && errors.Is(err, errTooManyDials) {
		err = shortage
	}
	if why := context.Cause(ctx); why != nil && !errors.Is(why, errTooManyDials) { // nothing waits for the answer
		return false, why
	}
	if err == nil {
		return false, nil
	}
	s.r.mu.Lock()
	holder, taken := s.r.members.HolderOf(req.Addr)
	s.r.mu.Unlock()
	switch {
	case taken:
		return true, s.refuse(control.CodeAddrTaken, "%s is registered already, as node %d: a node joins once, and two nodes need two addresses", req.Addr, holder)
	case errors.Is(err, errTooManyDials) || dial.IsShortage(err):
		return true, s.refuse(control.CodeUnreachable, "the registry has not managed to dial you at %s (%v): join again in a while", req.Addr, err)
	}
	s.r.cfg.WarnOften(handshake.ReasonOf(err), "a node was not found at the address that it gives", "from", s.remote, "addr", req.Addr, "err", err)
	return true, s.refuse(control.CodeUnreachable, "the registry cannot reach you at %s, or another process answers there: check WithListen and WithAdvertise, and firewalls; the log of the registry says what it found", req.Addr)
}

// errAnotherNode is what a dial found that reached a node without the token.
var errAnotherNode = errors.New("another node answers there")

// probeSuspect dials a suspect, and gives the membership the result.
func (r *Registry) probeSuspect(e membership.Effect) {
	answer := membership.Nothing
	var p proof
	err := r.suspects.Do(r.ctx, func(ctx context.Context) (err error) {
		p, err = r.probe(ctx, e.Addr)
		return err
	})
	switch {
	case err == nil && p.proves(e.Token):
		answer = membership.Answered
	case err == nil && slices.ContainsFunc(r.tokens(), p.proves):
		// Another member has this address now. Perhaps the two have swapped addresses, and the
		// suspect is about to report its new one.
	case err == nil || errors.Is(err, errs.ErrHandshake) || dial.IsRefused(err):
		answer = membership.Absent
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members.Probed(r.now(), e.Ref, e.Addr, answer)
	r.wake()
}

// tokens lists the tokens of the members.
func (r *Registry) tokens() []uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.members.Tokens()
}

// proof is a node's answer to a probe, see [handshake.ProbeAnswer].
type proof struct{ nonce, answer uint64 }

// proves reports whether the node that answered has a token.
func (p proof) proves(token uint64) bool { return handshake.ProbeAnswer(token, p.nonce) == p.answer }

// probe dials a registering node. From here on the limit of dials bounds the session, which gives its
// place to the next connection. A dial to another host that fails takes as long as a silent one.
func (s *session) probe(ctx context.Context, addr string, token uint64) error {
	r := s.r
	return r.newcomers.DoFor(ctx, dial.Source(s.remote), func(ctx context.Context) error {
		s.introduced()
		start := time.Now()
		found, err := r.probe(ctx, addr)
		if err == nil && !found.proves(token) {
			err = errAnotherNode
		}
		host, _, _ := net.SplitHostPort(addr)
		if err != nil && !dial.IsShortage(err) && !sameHost(host, s.remote) {
			handshake.Sleep(ctx, time.Until(start.Add(r.cfg.Timeout)))
		}
		return err
	})
}

// probe dials an address and returns the answer.
func (r *Registry) probe(ctx context.Context, addr string) (p proof, err error) {
	p.nonce = handshake.ProbeNonce()
	conn, answer, err := r.cfg.Dial(ctx, addr, wire.Hello{Role: wire.RoleProbe, Token: p.nonce})
	if err == nil {
		conn.Close()
		p.answer = answer.Token
	}
	return p, err
}
