package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/x/ringdht/internal/backoff"
	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/reentry"
	"github.com/x/ringdht/internal/secure"
)

// Join registers a node with the registry at addr, and returns it once it is admitted. addr may be
// a join line; then the ring is a secure one. Errors and logs have the line's address only.
func Join(ctx context.Context, addr string, cfg *Config) (*Node, error) {
	n := &Node{
		cfg: cfg, registry: addr, token: rand.Uint64(), began: time.Now(), owner: reentry.NewOwner(),
		deregistered: make(chan error, 1), leaveBegun: make(chan struct{}), traceSlots: make(chan struct{}, maxTraces), lookups: newLookups(), disconnected: make(chan struct{}),
	}
	n.ctx, n.stop = context.WithCancelCause(context.Background())
	var err error
	err = n.describe()
	if err == nil && secure.MayBeJoinLine(addr) {
		err = n.secure(addr)
	}
	if err == nil {
		err = n.join(ctx)
	}
	if err != nil {
		n.Close()
		return nil, JoinError(addr, err)
	}
	return n, nil
}

// JoinError is the error of a Join. Of a join line it shows the address only.
func JoinError(addr string, err error) error {
	return fmt.Errorf("ringdht: joining the registry at %s: %w", secure.Shown(addr), err)
}

// secure prepares the node for the secure ring of a join line.
func (n *Node) secure(line string) error {
	l, err := secure.ParseJoinLine(strings.TrimSpace(line))
	if err != nil {
		return err
	}
	c, err := newCredentials(n, l)
	if err != nil {
		return err
	}
	n.registry, n.security, n.cfg.Security = l.Addr, c, c
	n.token = 0 // the registry's probe finds the node's key instead
	return nil
}

// join has one listener, and one goroutine that accepts, for all attempts. So the node's address
// and token stay the same: if the answer to an attempt is lost, the next one replaces the member
// that it made.
func (n *Node) join(ctx context.Context) (err error) {
	if n.listener, err = n.cfg.Transport.Listen(ctx, n.cfg.Listen); err != nil {
		return fmt.Errorf("listening for peers: %w", err)
	}
	n.wg.Go(func() { n.cfg.Accept(n.ctx, n.listener, n.wg.Go, n.serve) }) // the registry dials back before it admits
	if n.cfg.Retry {
		err = n.connectRetrying(ctx)
	} else {
		err = n.connect(ctx, false)
	}
	if err != nil {
		return err
	}
	n.wg.Go(n.controlLoop)
	n.cfg.Log.Info("joined", "node", n.Peer(), "members", n.Status().Members)
	return nil
}

// maxJoinDelay bounds the time between two attempts to join. It is short, since a program waits,
// and since each attempt costs a registry little.
const maxJoinDelay = 2 * time.Second

// connectRetrying connects, again and again while the reason of the failure may pass, until ctx
// ends. It logs each new reason once.
func (n *Node) connectRetrying(ctx context.Context) error {
	began := time.Now()
	delay := backoff.Backoff{Min: minBackoff, Max: maxJoinDelay}
	var failed outage
	for attempts := 1; ; attempts++ {
		err := n.connect(ctx, false)
		switch {
		case err == nil:
			return nil
		case !Retryable(err):
			return err
		case ctx.Err() != nil: // it was cut short, so the reason of an earlier one says more
			if failed.err == nil {
				failed.err = unanswered{errNoAnswer}
			}
		case failed.add(err):
			n.cfg.Log.Warn("cannot join yet, trying again", "registry", n.registry, "err", failed.err)
		}
		if handshake.Sleep(ctx, delay.Jitter(delay.Next())) != nil {
			return &joinError{context.Cause(ctx), failed.err, attempts, time.Since(began)}
		}
	}
}

// joinError is the error of a Join that has tried until its context ended.
type joinError struct {
	cause    error // of the context
	last     error // why the latest attempt failed
	attempts int
	tried    time.Duration
}

func (e *joinError) Error() string {
	times := "once"
	if e.attempts > 1 {
		times = fmt.Sprintf("%d times", e.attempts)
	}
	return fmt.Sprintf("%v: tried %s in %v, at last: %v", e.cause, times, e.tried.Round(time.Millisecond), e.last)
}

func (e *joinError) Unwrap() []error { return []error{e.cause, e.last} }

// Retryable reports whether Join may succeed later with the same arguments, given its error. The
// root package lists the errors.
//
// A registry that cannot dial the node may be able to do so later: the node's name or a mapped port
// is not known yet, or too many nodes join at once. That the connection comes from another host
// than the node advertises is a mistake, or the lack of an option.
func Retryable(err error) bool {
	for _, final := range []error{errs.ErrHandshake, errs.ErrClosed, errOtherHost} {
		if errors.Is(err, final) {
			return false
		}
	}
	for _, passing := range []error{errs.ErrRegistryLost, errs.ErrRebuilding, errs.ErrTaken, errs.ErrRingFull, errs.ErrUnreachable} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}

// unanswered is the error of an attempt to which no registry has answered. It matches
// errs.ErrRegistryLost.
type unanswered struct{ error }

func (u unanswered) Is(target error) bool { return target == errs.ErrRegistryLost }
func (u unanswered) Unwrap() error        { return u.error }
