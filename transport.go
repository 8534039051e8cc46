package ringdht

import (
	"context"
	"net"

	"github.com/x/ringdht/internal/dial"
)

// Transport opens byte streams. Framing, queues and codecs are the same over every transport;
// package memnet has one for tests.
//
// Addresses are "host:port". Host names are dialled in lower case, so a transport must ignore case.
// Connections must keep the order of bytes, honour deadlines, and fail pending calls when they are
// closed. Connections and listeners may be of any type, comparable or not. A nil result without an
// error, a connection that takes no deadline, and an address that is not "host:port" are reported
// as errors of the transport.
//
// A TCP connection whose ends have the same address gets a small write buffer on Linux, also below
// TLS (see docs/performance.md). A connection type without a NetConn method around it prevents
// that.
type Transport interface {
	// Listen listens on addr, whose host may be empty and whose port may be 0. ctx bounds the call,
	// not the life of the listener.
	Listen(ctx context.Context, addr string) (net.Listener, error)
	// Dial connects to addr. ctx bounds the call, not the life of the connection.
	Dial(ctx context.Context, addr string) (net.Conn, error)
}

// TCP is the default transport. It tries up to eight addresses of a host name, the next one when
// one has failed or was silent for 250 ms (sooner if ctx ends soon), and takes the first that
// answers.
type TCP struct{}

// Listen implements [Transport].
func (TCP) Listen(ctx context.Context, addr string) (net.Listener, error) {
	if ctx.Err() != nil { // which package net checks only for names
		return nil, context.Cause(ctx)
	}
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp", addr)
}

// Dial implements [Transport].
func (TCP) Dial(ctx context.Context, addr string) (net.Conn, error) { return dial.TCP(ctx, addr) }
