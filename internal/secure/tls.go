package secure

import (
	"context"
	"crypto/tls"
	"slices"
)

// The application protocols of TLS (ALPN, RFC 7301). A side that speaks neither gets an alert.
const (
	Protocol      = "rdht/2"       // a member to another, or to its registry
	JoinProtocol  = "rdht-join/2"  // a node without an admission to a registry
	ProbeProtocol = "rdht-probe/2" // a registry to a node, which need not have an admission
)

// Side is one end of the connections of a process: what it presents, and what it accepts. The
// functions are called for each connection, on its goroutine.
type Side struct {
	// Certificate returns what this side presents now. protocol is the one that both sides will
	// speak, empty if they share none. It may wait until ctx ends.
	Certificate func(ctx context.Context, protocol string) (*tls.Certificate, error)
	// Check decides whether the other end is what it should be; an error ends the handshake. It is
	// called on both sides when the other's certificate is there. The dialling side has sent
	// nothing of its own by then but an empty ClientHello.
	Check func(cs *tls.ConnectionState) error
}

// config is what both ends have in common. There is no resumption of sessions: an expelled node
// would keep its ticket. Records are as long as they can be from the start, since links have
// many bytes to carry.
func (s Side) config() *tls.Config {
	return &tls.Config{
		MinVersion:                  tls.VersionTLS13,
		SessionTicketsDisabled:      true,
		DynamicRecordSizingDisabled: true,
		VerifyConnection:            func(cs tls.ConnectionState) error { return s.Check(&cs) },
	}
}

// Client returns the configuration of a dialling side.
func (s Side) Client(protocol string) *tls.Config {
	c := s.config()
	c.NextProtos = []string{protocol}
	c.InsecureSkipVerify = true // Check does it: there are no names and no chains
	c.GetClientCertificate = func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return s.Certificate(r.Context(), protocol)
	}
	return c
}

// Server returns the configuration of an accepting side.
func (s Side) Server(protocols ...string) *tls.Config {
	c := s.config()
	c.NextProtos = protocols
	c.ClientAuth = tls.RequireAnyClientCert
	c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		return s.Certificate(hello.Context(), shared(protocols, hello.SupportedProtos))
	}
	return c
}

// shared returns the protocol that TLS agrees on: the first of the accepting side's that the other
// has offered, too. It is empty if there is none.
func shared(accepts, offered []string) string {
	for _, p := range accepts {
		if slices.Contains(offered, p) {
			return p
		}
	}
	return ""
}
