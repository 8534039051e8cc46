package handshake

import (
	"context"
	"crypto/tls"

	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
)

// Security is what a process of a secure ring presents, and what it believes. Its methods are
// called for each connection, on the connection's goroutine.
type Security interface {
	// Dials returns the protocol of a connection that this process dials, see secure.Protocol.
	Dials(role wire.Role) string
	// Accepts returns the protocols that this process accepts.
	Accepts() []string
	// Certificate returns what this process presents on a connection of a protocol. It may wait
	// until ctx ends: a node that is being admitted has no admission to show yet.
	Certificate(ctx context.Context, protocol string) (*tls.Certificate, error)
	// Check returns what the other end has proven, or an error that ends the handshake. role is
	// that with which this process has dialled, or 0 if it was dialled.
	Check(role wire.Role, cs *tls.ConnectionState) (secure.Proof, error)
}
