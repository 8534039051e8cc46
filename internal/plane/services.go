package plane

import (
	"context"
	"sync/atomic"

	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/internal/workers"
)

// service is a service of this node. Its number is its port at this node's sinks. Sources have numbers
// of their own for theirs, so a stream from them is bound to a service by its name.
type service struct {
	// static
	Service
	number int
	group  workers.Group // its handlers

	inbox   atomic.Int64 // bytes of the receive buffer in use, see buffer.go
	sharing atomic.Int64 // streams that share its part, see inbound.shares
	casts   castInbox
}

// makeServices makes the services of a new plane.
func (p *Plane) makeServices() {
	if len(p.Services) == 0 {
		p.Services = []Service{{Handled: true}}
	}
	p.services = make([]service, len(p.Services))
	for i := range p.services {
		s := &p.services[i]
		s.Service, s.number = p.Services[i], i
		p.workers.Init(&s.group)
		s.casts.turn.Group = &s.group
		s.casts.turn.Run = func(ctx context.Context) workers.Span { return p.handle(ctx, s, nil) }
	}
	p.divideReceiveBuffer()
}

// handledService finds the service that takes messages for a name, or nil.
func (p *Plane) handledService(name string) *service {
	for i := range p.services {
		if s := &p.services[i]; s.Handled && s.Name == name {
			return s
		}
	}
	return nil
}

// refuseService tells the source of an Open that there is no such service.
func (l *inLink) refuseService(f wire.Frame, b wire.OpenBody) {
	l.p.counters.unknown.Add(1)
	l.answer(wire.Refuse, f, wire.RefuseBody{SourceIncarnation: b.Incarnation, Reason: wire.RefuseService}.Append(nil))
}

// streamKey names a stream of one direction.
type streamKey struct {
	node uint64
	port uint8
}

// noPort is the port of a stream whose source has given its port to another service. No stream of a
// source has it.
const noPort = 0xff

// nameOf returns the name of the service of a port of this node's streams.
func (p *Plane) nameOf(port uint8) (string, error) {
	if int(port) >= len(p.services) {
		return "", stream.ErrNoService
	}
	return p.services[port].Name, nil
}
