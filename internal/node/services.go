package node

import (
	"context"
	"fmt"

	"github.com/x/ringdht/internal/plane"
	"github.com/x/ringdht/internal/wire"
)

// Service is what a node does with the messages of one name. Its functions may be nil.
type Service struct {
	Name        string
	Handler     func(context.Context, *plane.Delivery) // nil: the node only sends
	Undelivered func(plane.Undelivered)
}

// Register registers a service, and returns its port. It panics if that is a mistake in the program:
// the name is taken or not valid, there are too many services, or Join was called.
func (n *Node) Register(name string) (port uint8) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mustBeNew("Service", name)
	services := &n.cfg.Services
	for i, s := range *services {
		if s.Name != name {
			continue
		}
		if i == 0 && !n.unnamed {
			n.unnamed = true
			return 0
		}
		panic(fmt.Sprintf("ringdht: Service(%q): the node has this service already", name))
	}
	if err := wire.CheckService(name); err != nil {
		panic(fmt.Sprintf("ringdht: Service(%q): %v", name, err))
	}
	if len(*services) == wire.MaxServices {
		panic(fmt.Sprintf("ringdht: Service(%q): the node has %d named services, and there is no room for more", name, wire.MaxServices-1))
	}
	*services = append(*services, Service{Name: name})
	return uint8(len(*services) - 1)
}

// Handle sets the handler of a service. It panics if there is one, if h is nil, or after Join.
func (n *Node) Handle(port uint8, h func(context.Context, *plane.Delivery)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := &n.cfg.Services[port]
	n.mustBeNew("Handle", s.Name)
	n.mustBeFirst("Handle", s.Name, h == nil, s.Handler != nil)
	s.Handler = h
}

// OnUndelivered sets the callback of a service, as Handle does the handler.
func (n *Node) OnUndelivered(port uint8, f func(plane.Undelivered)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := &n.cfg.Services[port]
	n.mustBeNew("OnUndelivered", s.Name)
	n.mustBeFirst("OnUndelivered", s.Name, f == nil, s.Undelivered != nil)
	s.Undelivered = f
}

// OnLeave adds a function for Leave to call. It panics if f is nil, or after Join.
func (n *Node) OnLeave(port uint8, f func(context.Context) error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	name := n.cfg.Services[port].Name
	n.mustBeNew("OnLeave", name)
	n.mustBeFirst("OnLeave", name, f == nil, false)
	n.cfg.OnLeave = append(n.cfg.OnLeave, f)
}

// mustBeNew panics if Join was called: from then on services are fixed, so that what reads them
// needs no lock. It needs mu.
func (n *Node) mustBeNew(method, service string) {
	if n.phase != phaseNew {
		panic(fmt.Sprintf("ringdht: %s of the service %q was called after the node began to join: call it before", method, service))
	}
}

func (n *Node) mustBeFirst(method, service string, isNil, again bool) {
	switch {
	case isNil:
		panic(fmt.Sprintf("ringdht: %s of the service %q: the function is nil", method, service))
	case again:
		panic(fmt.Sprintf("ringdht: %s of the service %q was called before: a service has one", method, service))
	}
}

// planeServices are the services as the plane knows them. Messages of traffic runs travel on the
// streams of the empty name, so a node that takes part handles it.
func (c *Config) planeServices() []plane.Service {
	services := make([]plane.Service, len(c.Services))
	for i, s := range c.Services {
		services[i] = plane.Service{Name: s.Name, Handled: s.Handler != nil || i == 0 && c.Traffic, OnUndelivered: s.Undelivered}
	}
	return services
}
