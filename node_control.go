package ringdht

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/wire"
)

// idleStream is how long a stream may send nothing before both ends forget it.
const idleStream = time.Minute

// traceTimeout and maxTraces bound the traces that the registry asks for.
const (
	traceTimeout = 10 * time.Second
	maxTraces    = 16
)

// serve is a connection's goroutine: a peer's link, or the registry's probe.
func (n *Node) serve(conn net.Conn, introduced func()) {
	stop := context.AfterFunc(n.ctx, func() { conn.Close() })
	h, err := n.cfg.welcome(conn, n.check)
	stop()
	introduced()
	if err != nil || h.Role == wire.RoleProbe {
		if err != nil && n.ctx.Err() == nil {
			n.cfg.log.Warn("connection refused", "from", conn.RemoteAddr(), "err", err)
		}
		conn.Close()
		return
	}
	err = n.plane.Receive(conn, h.From, h.FromLife)
	n.cfg.log.Debug("incoming link ended", "peer", h.From, "err", err)
	if isProtocolError(err) {
		n.cfg.log.Warn("incoming link ended", "peer", h.From, "from", conn.RemoteAddr(), "err", err)
	}
}

// check decides who may connect.
func (n *Node) check(h wire.Hello) wire.Answer {
	switch h.Role {
	case wire.RoleProbe:
		return wire.Answer{Token: n.token}
	case wire.RoleLink:
	default:
		return wire.Answer{Status: wire.WrongRole, Reason: "this is a node, not a registry: join at the registry's address"}
	}
	// A peer may have learned of this node before the node itself has.
	select {
	case <-n.registered:
	case <-n.ctx.Done():
		return wire.Answer{Status: wire.WrongIdentity, Reason: "this node is closing"}
	case <-time.After(n.cfg.handshake / 2): // the answer must still make its deadline
		return wire.Answer{Status: wire.WrongIdentity, Reason: "this node is not registered"}
	}
	if h.From == n.self.ID || !n.space.Contains(ID(h.From)) {
		return wire.Answer{Status: wire.WrongIdentity, Reason: fmt.Sprintf("node %d cannot be at the other end of a link to node %d", h.From, n.self.ID)}
	}
	if h.To != n.self.ID || h.ToLife != n.self.Life {
		return wire.Answer{Status: wire.WrongIdentity, Reason: fmt.Sprintf(
			"this is node %d in another life than the one you know: your routing table is out of date", n.self.ID)}
	}
	return wire.Answer{}
}

// converse is the goroutine that listens to the registry.
func (n *Node) converse() {
	defer n.ctl.Free()
	defer close(n.lost)
	for {
		t, body, err := n.ctl.Recv()
		if err == nil {
			err = n.hear(t, body)
		}
		if err != nil {
			if n.ctx.Err() == nil {
				n.cfg.log.Warn("the registry is gone, messages still flow", "node", n.Peer(), "err", err)
			}
			n.ctl.Close()
			return
		}
	}
}

// hear acts on one message; what takes time goes to a goroutine of its own.
func (n *Node) hear(t wire.Type, body []byte) error {
	switch t {
	case control.TypeBeatAnswer:
	case control.TypeManifest:
		var m control.Manifest
		if err := n.ctl.Decode(body, &m); err != nil {
			return err
		}
		select { // a newer manifest replaces one that nobody has looked at
		case <-n.manifests:
		default:
		}
		n.manifests <- m
	case control.TypeReady:
		var ready control.Ready
		if err := n.ctl.Decode(body, &ready); err != nil {
			return err
		}
		// From now on everybody's tables lead to everybody on the list. Before, a
		// relay with the table of an earlier epoch could say that a newcomer does
		// not exist.
		if m := n.linked.Load(); m != nil && m.Epoch == ready.Epoch {
			n.manifest.Store(m)
			n.plane.Know(m.Others)
		}
		select {
		case <-n.ready:
		default:
			close(n.ready)
		}
	case control.TypeTask:
		var task control.Task
		if err := n.ctl.Decode(body, &task); err != nil {
			return err
		}
		n.wg.Go(func() { n.traffic.run(task) })
	case control.TypeCollect:
		var c control.Collect
		if err := n.ctl.Decode(body, &c); err != nil {
			return err
		}
		return n.ctl.Send(control.TypeSummary, n.traffic.collect(c.Run))
	case control.TypeExplain:
		var e control.Explain
		if err := n.ctl.Decode(body, &e); err != nil {
			return err
		}
		return n.ctl.Send(control.TypePairs, n.traffic.explain(e.Run))
	case control.TypeTrace:
		var ask control.Trace
		if err := n.ctl.Decode(body, &ask); err != nil {
			return err
		}
		select {
		case n.tracing <- struct{}{}:
			n.wg.Go(func() { n.answerTrace(ask); <-n.tracing })
		default:
			n.ctl.Send(control.TypeTraced, control.Traced{Ask: ask.Ask, Error: fmt.Sprintf("node %d is tracing %d routes already", n.ID(), maxTraces)})
		}
	case control.TypeDeregistered:
		n.answerLeave(nil)
	case control.TypeRefused:
		n.answerLeave(n.refusal(body))
	case control.TypeBye:
		var bye control.Bye
		if err := n.ctl.Decode(body, &bye); err != nil {
			return err
		}
		return fmt.Errorf("%s", bye.Reason)
	default:
		return fmt.Errorf("a message of unknown type %d", t)
	}
	return nil
}

func (n *Node) answerLeave(err error) {
	select {
	case n.left <- err:
	default: // nobody asked
	}
}

func (n *Node) answerTrace(ask control.Trace) {
	ctx, cancel := context.WithTimeout(n.ctx, traceTimeout)
	defer cancel()
	hops, err := n.Trace(ctx, ID(ask.To))
	told := control.Traced{Ask: ask.Ask}
	for _, h := range hops {
		told.Hops = append(told.Hops, control.Hop{ID: uint64(h.ID), Elapsed: int64(h.Elapsed)})
	}
	if err != nil {
		told.Error = err.Error()
		told.NoSuchNode = errors.Is(err, ErrNoSuchNode)
	}
	n.ctl.Send(control.TypeTraced, told)
}

// beat is the goroutine that tells the registry that the node lives, and looks
// after what is idle.
func (n *Node) beat() {
	every := time.Duration(n.self.Lease) * time.Millisecond / 3
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-n.ctx.Done():
			return
		case now := <-ticker.C:
			n.ctl.Send(control.TypeBeat, n.traffic.progress()) // an error: converse has it too
			idle := now.Sub(last) >= idleStream
			if idle {
				last = now
			}
			n.plane.Sweep(idle)
		}
	}
}
