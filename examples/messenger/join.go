package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/table"
)

// slowAnswer is the time after which a messenger says that it still waits for an answer.
const slowAnswer = 2 * time.Second

// join joins the ring. If there is no registry yet, or if it cannot admit this node yet, it says
// so once and waits.
func (m *messenger) join(ctx context.Context, opts []ringdht.NodeOption) error {
	slowly := time.AfterFunc(slowAnswer, func() {
		m.screen.Say("The registry at %s has not admitted this node yet. It may give the members of an earlier ring time to come back first. This messenger waits.", m.registry)
	})
	err := m.try(ctx, opts)
	told := !slowly.Stop()
	if why := m.mayPass(err); why != "" && m.wait > 0 && ctx.Err() == nil {
		if !told {
			m.screen.Say("%s This messenger waits, for up to %s.", why, table.Span(m.wait))
		}
		limit, cancel := context.WithTimeoutCause(ctx, m.wait, slow(m.wait))
		defer cancel()
		err = m.try(limit, append(opts, ringdht.WithRetry()))
	}
	switch {
	case err != nil && ctx.Err() != nil: // err tells which call the interrupt ended, which does not help
		return fmt.Errorf("interrupted while joining the registry at %s", m.registry)
	}
	return err
}

// try makes a node and lets it join.
func (m *messenger) try(ctx context.Context, opts []ringdht.NodeOption) error {
	m.node = ringdht.NewNode(opts...)
	m.texts = m.node.Service("")
	m.texts.Handle(m.receive)
	return m.node.Join(ctx, m.entrance.For())
}

// mayPass says why a node could not join, if that may pass in a moment. Mistakes in flags do not
// pass, and a full ring rarely does.
func (m *messenger) mayPass(err error) string {
	switch {
	case !ringdht.Retryable(err):
		return ""
	case unknownHost(err):
		return fmt.Sprintf("The host of %s is not known: check its name.", m.registry)
	case errors.Is(err, ringdht.ErrRegistryLost) && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)):
		return fmt.Sprintf("What listens at %s closes connections without an answer. It may be a registry that is closing, or one of an earlier version, or another program.", m.registry)
	case errors.Is(err, ringdht.ErrRegistryLost):
		return fmt.Sprintf("No registry answers at %s.", m.registry)
	case errors.Is(err, ringdht.ErrTaken):
		_, why, _ := strings.Cut(console.Text(err), "taken: ")
		return fmt.Sprintf("The registry at %s cannot admit this node now: %s.", m.registry, why)
	case errors.Is(err, ringdht.ErrRebuilding):
		_, why, _ := strings.Cut(console.Text(err), ringdht.ErrRebuilding.Error()+": ")
		return fmt.Sprintf("The registry at %s admits no new node yet: %s.", m.registry, strings.TrimSuffix(why, ": join again in a while"))
	}
	return ""
}

// unknownHost reports whether a name has no address. A service's name may get one in a moment, so
// it is worth a wait; but mostly it is mistyped.
func unknownHost(err error) bool {
	lookup, ok := errors.AsType[*net.DNSError](err)
	return ok && lookup.IsNotFound
}
