package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/table"
)

// watchRegistry reports when the connection to the registry is lost and when it is back,
// until stop is called. If this node is expelled it calls expelled, and ends.
func (m *messenger) watchRegistry(expelled func(error)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { m.pulse.run(ctx) })
	wg.Go(func() {
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
				return
			case <-m.node.Disconnected():
			}
			if m.expelled(expelled) {
				return
			}
			id, inc := m.node.ID(), m.node.Incarnation()
			paused := m.pulse.pause(time.Now())
			if paused > 0 {
				why := fmt.Sprintf("this process did not run for %s", table.Span(paused))
				m.report(event{Event: eventLost, Registry: m.registry, Why: why},
					fmt.Sprintf("T%s, and lost its connection to the registry at %s. It reconnects.", why[1:], m.registry))
			} else {
				m.report(event{Event: eventLost, Registry: m.registry},
					fmt.Sprintf("The registry at %s cannot be reached. Messages still flow, and this node tries to reconnect.", m.registry))
			}
			back, refusal := m.awaitRegistry(ctx)
			if !back {
				m.expelled(expelled)
				return
			}
			switch {
			case m.node.Incarnation() != inc:
				as := fmt.Sprintf("as node %d", m.node.ID())
				if m.node.ID() == id {
					as = "with the same ID"
				}
				why := "was declared dead"
				if errors.Is(refusal, ringdht.ErrOtherRing) {
					why = "has given up its ring, which this registry does not have"
				}
				m.report(m.event(eventRejoined), fmt.Sprintf("Node %d %s. It has joined again, %s.", id, why, as))
			case paused > 0:
				m.report(event{Event: eventBack, Registry: m.registry}, fmt.Sprintf("This node is connected to the registry at %s again.", m.registry))
			default:
				m.report(event{Event: eventBack, Registry: m.registry}, fmt.Sprintf("The registry at %s is back.", m.registry))
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// expelled tells if this node was expelled, and reports whether it was.
func (m *messenger) expelled(tell func(error)) bool {
	err := m.node.ReadyNow()
	if !errors.Is(err, ringdht.ErrNotMember) {
		return false
	}
	if m.json { // otherwise the program's last line says it
		m.screen.Print(console.Document(m.event(eventExpelled)))
	}
	tell(err)
	return true
}

// awaitRegistry waits until the registry is back. If the registry refuses this node, it
// reports the reason, since waiting does not help then. It returns the latest refusal.
func (m *messenger) awaitRegistry(ctx context.Context) (back bool, refusal error) {
	said := ""
	for {
		check, cancel := context.WithTimeout(ctx, checkInterval)
		err := m.node.WaitConnected(check)
		cancel()
		switch {
		case err == nil:
			return true, refusal
		case ctx.Err() != nil || errors.Is(err, ringdht.ErrClosed) || errors.Is(m.node.ReadyNow(), ringdht.ErrNotMember):
			return false, refusal
		case refused(err):
			refusal = err
			if why := m.reason(err); why != said {
				said = why
				m.report(event{Event: eventLost, Registry: m.registry, Why: why}, fmt.Sprintf("The registry at %s refuses this node: %s", m.registry, why))
			}
		}
	}
}

// refused reports whether the registry has answered and refused the node, so that waiting
// does not help.
func refused(err error) bool {
	for _, no := range []error{ringdht.ErrHandshake, ringdht.ErrRingFull, ringdht.ErrTaken,
		ringdht.ErrUnreachable, ringdht.ErrNotMember, ringdht.ErrOtherRing} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

// reason returns the registry's reason: the error of [ringdht.Node.WaitConnected] without the parts
// that are the same in each.
func (m *messenger) reason(err error) string {
	text := strings.TrimSuffix(err.Error(), ": "+context.DeadlineExceeded.Error())
	if _, why, ok := strings.Cut(text, ringdht.ErrRegistryLost.Error()+" ("); ok {
		text = strings.TrimSuffix(why, ")")
	}
	text = strings.TrimPrefix(text, fmt.Sprintf("%v by %s: ", ringdht.ErrHandshake, m.registry))
	return console.Text(errors.New(strings.TrimPrefix(text, ringdht.ErrHandshake.Error()+": ")))
}

// checkInterval is the time between two checks whether the registry refuses this node.
const checkInterval = time.Second
