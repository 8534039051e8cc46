package registry

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/status"
)

// credentials are what a registration in a secure ring rests on. The zero value is that of an open
// ring.
type credentials struct {
	key     secure.Key
	token   uint32 // by which the node has joined, now or before
	bound   bool   // the token is for its ID only
	byToken bool   // it joins by the token now
	once    bool   // and the token is for one node
}

// refusal is a registration that is refused for its credentials.
type refusal struct {
	cause status.Refusal
	code  control.Code
	text  string
}

func refuseFor(cause status.Refusal, format string, args ...any) *refusal {
	code := control.CodeCredentials
	if cause == status.RefusedRevoked {
		code = control.CodeExpelled
	}
	return &refusal{cause, code, fmt.Sprintf(format, args...)}
}

const (
	whyExpelled   = "this node was expelled from the ring by its operator"
	whyNoSecret   = "no secret of this ring was proven, and no admission: join with the join line that the registry prints"
	whyWrong      = "the secret is not one of this ring, or its token has ended long ago: join with a join line that the registry prints now"
	askForNewLine = "join with a new join line"
)

// tokenOf is the name of a node's key where an open ring has the token that answers a probe: the
// first 8 bytes of the key's SHA-256.
func tokenOf(key secure.Key) uint64 {
	sum := sha256.Sum256(key[:])
	return binary.BigEndian.Uint64(sum[:])
}

// maxAhead is how far ahead of the registry's time an incarnation may be of which a member tells:
// 104 days in nanoseconds. A sink may remember one that no registry has written, if the directory was
// restored from a backup and the clock is behind. A member that lies uses up no more numbers than
// that, however often.
const maxAhead = 1 << 53

// authorize decides whether a registration may go on. It replaces what the node says by what it has
// proven: the token, the greatest incarnation that it knows, and the incarnations that are over. An
// incarnation that it has seen counts as well, within maxAhead, if it is a member.
// A token that joins one node is not spent yet, see [security.spend].
func (s *security) authorize(proof secure.Proof, req *control.Register, needsOver bool) (c credentials, refused *refusal) {
	now := s.now()
	c = credentials{key: proof.Key}
	admitted := proof.Kind == secure.Member
	a := proof.Admission
	if s.revoked(proof.Key) {
		return c, refuseFor(status.RefusedRevoked, whyExpelled)
	}
	told := req.Seen
	req.Token, req.Seen = tokenOf(proof.Key), 0
	if req.Over = req.Over[:min(len(req.Over), control.MaxOver)]; !needsOver || !admitted {
		req.Over = nil
	}
	req.Over = s.believedOver(req.Over)
	if admitted {
		c.token, c.bound = a.Token, a.Flags&secure.FlagBound != 0
		req.Seen = a.Incarnation
		for _, o := range req.Over {
			req.Seen = max(req.Seen, o.Incarnation)
		}
	}
	expired := admitted && !now.Before(a.Until)
	if admitted && !expired && told <= uint64(max(0, now.UnixNano()))+maxAhead {
		req.Seen = max(req.Seen, told)
	}
	switch {
	case req.Incarnation != 0 && !admitted:
		return c, refuseFor(status.RefusedNone, "an incarnation goes on by its admission only: join as a new node, with the join line")
	case req.Incarnation != 0 && (a.ID != req.ID || a.Incarnation != req.Incarnation):
		return c, refuseFor(status.RefusedID, "the admission is of incarnation %d of node %d, and not of incarnation %d of node %d", a.Incarnation, a.ID, req.Incarnation, req.ID)
	case expired && (req.Incarnation != 0 || req.Proof == ""):
		return c, refuseFor(status.RefusedExpired, "the admission has expired, at %s by the registry's clock, which shows %s: join again with the join line", text(a.Until), text(now))
	case req.Incarnation != 0:
		return c, nil
	case req.Proof != "":
		return s.authorizeByToken(proof, req, now)
	case !admitted:
		return c, refuseFor(status.RefusedNone, whyNoSecret)
	case req.Want && req.ID != a.ID:
		return c, refuseFor(status.RefusedID, "the admission is of node %d: to become node %d, %s", a.ID, req.ID, "join with the join line")
	}
	if c.bound {
		req.Want, req.ID = true, a.ID
	}
	return c, nil
}

// authorizeByToken checks the proof of a secret.
func (s *security) authorizeByToken(proof secure.Proof, req *control.Register, now time.Time) (c credentials, refused *refusal) {
	c = credentials{key: proof.Key}
	given, err := secure.Bytes(req.Proof, sha256.Size)
	if err != nil || len(given) != sha256.Size || proof.State == nil {
		return c, refuseFor(status.RefusedSecret, "the proof of the secret is not %d bytes in base64", sha256.Size)
	}
	expected, err := secure.ExpectedProof(proof.State, proof.Key)
	if err != nil {
		return c, refuseFor(status.RefusedSecret, "the proof cannot be checked on this connection")
	}
	s.mu.Lock()
	known := s.ring.tokens.clone()
	s.mu.Unlock()
	t := known.match(func(secret secure.Secret) bool { return hmac.Equal(expected(secret), given) })
	if t == nil {
		return c, refuseFor(status.RefusedSecret, whyWrong)
	}
	if why := t.admits(now, proof.Key); why != "" {
		return c, refuseFor(status.RefusedToken, "%s: %s", why, askForNewLine)
	}
	if t.id != nil {
		if req.Want && req.ID != *t.id {
			return c, refuseFor(status.RefusedID, "token %d is for node %d, and not for node %d: %s", t.number, *t.id, req.ID, askForNewLine)
		}
		req.Want, req.ID, c.bound = true, *t.id, true
	}
	c.token, c.byToken, c.once = t.number, true, t.once
	return c, nil
}

// spend uses a token that joins one node, on disk, before the node is a member. It does nothing if
// the same process has used it.
func (s *security) spend(c credentials) (spent bool, refused *refusal, err error) {
	err = s.commit("admitting a node by a token for one", func(next *ringState, now time.Time) error {
		t := next.tokens.find(c.token)
		if t == nil {
			refused = refuseFor(status.RefusedToken, whyWrong)
		} else if why := t.admits(now, c.key); why != "" {
			refused = refuseFor(status.RefusedToken, "%s: %s", why, askForNewLine)
		}
		if refused != nil {
			return errRefused
		}
		if spent = t.state != status.TokenUsed; spent {
			t.state, t.ended, t.by = status.TokenUsed, now, c.key
			next.tokens.forget()
		}
		return nil
	})
	if errors.Is(err, errRefused) {
		err = nil
	}
	return spent, refused, err
}

// restore gives back a token that was spent for a node which was not admitted. If that cannot be
// written the token stays spent, but the same process may join by it.
func (s *security) restore(c credentials) {
	s.commit("giving back a token", func(next *ringState, now time.Time) error {
		if t := next.tokens.find(c.token); t != nil && t.state == status.TokenUsed && t.by == c.key {
			t.state, t.ended, t.by = status.TokenValid, time.Time{}, secure.Key{}
			next.tokens.expire(now)
		}
		return nil
	})
}

// refuseCredentials refuses the node, and tells the operator.
func (s *session) refuseCredentials(why *refusal) error {
	s.r.noteStranger(s.remote, why.cause, why.text)
	return s.refuse(why.code, "%s", why.text)
}

// authorize is the part of a registration that an open ring does not have. refused says that the
// node was told.
func (s *session) authorize(req *control.Register) (c credentials, refused bool, err error) {
	r := s.r
	if r.sec == nil {
		return c, false, nil
	}
	if err := r.sec.reserve(0); err != nil { // a member is taken back all the same
		r.cfg.WarnOften("", "the state of the ring cannot be written", "err", err)
	}
	r.mu.Lock()
	needsOver := !r.members.Live() || r.members.Recovering()
	r.mu.Unlock()
	c, why := r.sec.authorize(s.proof, req, needsOver)
	if why != nil {
		return c, true, s.refuseCredentials(why)
	}
	return c, false, nil
}

// admitBy is admit, with what a secure ring does before and after it: a token of one use is spent,
// and there is a reserve of incarnations and time on disk.
func (s *session) admitBy(ctx context.Context, req control.Register, c credentials, verified bool) (refused bool, err error) {
	sec := s.r.sec
	if sec == nil {
		return false, s.admit(ctx, req, c, verified)
	}
	if c.once {
		spent, why, err := sec.spend(c)
		switch {
		case why != nil:
			return true, s.refuseCredentials(why)
		case err != nil:
			return true, s.refuseUnwritten(err)
		}
		defer func() {
			if spent && (err != nil || refused) {
				sec.restore(c)
			}
		}()
	}
	for range 2 {
		err = s.admit(ctx, req, c, verified)
		var short *noReserveError
		switch {
		case errors.As(err, &short):
			if err = sec.reserve(short.latest); err != nil {
				return true, s.refuseUnwritten(err)
			}
			err = short
			continue
		case errors.Is(err, errExpelledNow):
			return true, s.refuseCredentials(refuseFor(status.RefusedRevoked, whyExpelled))
		}
		break
	}
	if err == nil && c.byToken {
		sec.mu.Lock()
		sec.uses[c.token]++
		sec.mu.Unlock()
	}
	return false, err
}

// refuseUnwritten refuses the node until the registry can write.
func (s *session) refuseUnwritten(err error) error {
	s.r.cfg.WarnOften("", "a node cannot be admitted, since the state of the ring cannot be written", "from", s.remote, "err", err)
	return s.refuse(control.CodeWait, "the registry cannot write its state at the moment, and admits no new node: join again in a while")
}

// noReserveError means that the next incarnation would be above what is written, see
// [security.reserve].
type noReserveError struct{ latest uint64 }

func (*noReserveError) Error() string { return "the registry has no reserve of incarnations" }

// errExpelledNow means that the node was expelled while it registered.
var errExpelledNow = errors.New("the node was expelled")
