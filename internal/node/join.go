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
	"github.com/x/ringdht/internal/secure"
)

// phase is how far a node has come with joining.
type phase uint8

const (
	phaseNew     phase = iota // Join was not called yet
	phaseJoining              // an attempt is under way
	phaseFailed               // the latest attempt has failed, and there may be another
	phaseJoined
)

// Join registers the node with the registry at addr, and returns once it is admitted. addr may be
// a join line; then the ring is a secure one. Errors and logs have the line's address only. A
// failed attempt leaves nothing behind, so that Join may be called again. Close ends an attempt.
func (n *Node) Join(ctx context.Context, addr string) error {
	err := n.join(ctx, addr)
	if err != nil {
		return JoinError(addr, err)
	}
	return nil
}

func (n *Node) join(ctx context.Context, addr string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	n.mu.Lock()
	switch {
	case n.closed || n.leaving:
		n.mu.Unlock()
		return errs.ErrClosed
	case n.phase == phaseJoining:
		n.mu.Unlock()
		return errors.New("the node is about to join already")
	case n.phase == phaseJoined:
		n.mu.Unlock()
		return errors.New("the node has joined already: it comes back by itself, and another node needs another NewNode")
	}
	n.phase = phaseJoining
	n.wg.Add(1) // Close waits for the attempt, which may start goroutines meanwhile
	n.mu.Unlock()

	n.accepting, n.stopped = context.WithCancel(n.ctx)
	err := n.attempt(ctx, addr)
	n.wg.Done()
	next := phaseJoined
	if err != nil {
		next = phaseFailed
		n.giveUp()
		if n.ctx.Err() != nil { // Close has interrupted it
			err = errs.ErrClosed
		}
	}
	n.mu.Lock()
	n.phase = next
	n.mu.Unlock()
	return err
}

// attempt tries to join. It has one listener, and one goroutine that accepts, for all its tries. So
// the node's address and token stay the same: if the answer to one try is lost, the next one
// replaces the member that it made.
func (n *Node) attempt(ctx context.Context, addr string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(n.ctx, func() { cancel(context.Cause(n.ctx)) })()
	n.registry, n.token, n.security, n.cfg.Security = addr, rand.Uint64(), nil, nil
	if secure.MayBeJoinLine(addr) {
		if err := n.secure(addr); err != nil {
			return err
		}
	}
	if err := n.listen(ctx); err != nil {
		return err
	}
	var err error
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

// listen lets peers, and the registry's probe, connect: the registry dials back before it admits.
func (n *Node) listen(ctx context.Context) error {
	l, err := n.cfg.Transport.Listen(ctx, n.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listening for peers: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		l.Close()
		return errs.ErrClosed
	}
	n.listener = l
	n.wg.Go(func() { n.cfg.Accept(n.accepting, l, n.wg.Go, n.serve) })
	return nil
}

// giveUp ends what a failed attempt has started. No incarnation has begun.
func (n *Node) giveUp() {
	n.stopped()
	n.mu.Lock()
	l := n.listener
	n.listener = nil
	n.mu.Unlock()
	if l != nil {
		l.Close()
	}
	n.wg.Wait()
	n.cfg.Records.Flush() // the program may end now
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
