// Package handshake is what nodes and registries share at the ends of a connection: it dials,
// accepts and identifies the other side, checks a program's transport, and limits the log.
//
//   - config.go: what both are configured with.
//   - handshake.go: Dial and Welcome.
//   - accept.go, slots.go: Accept, and which connections may be in their handshake.
//   - security.go, tls.go, roles.go: in a secure ring, TLS and what each side must have proven.
//   - alerts.go, mistakes.go: what each side is told about an honest mistake.
//   - transport_check.go: errors for a transport that breaks its contract.
//   - clocks.go: time that passes while a machine is suspended, and pauses.
//   - text.go, warnlimiter.go, paniclog.go: what is logged, how often, and where to.
package handshake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	"github.com/x/ringdht/internal/logqueue"
)

// Codec is the part of the root package's Codec that nodes and registries use.
type Codec interface {
	Name() string
	Append(dst []byte, v any) ([]byte, error)
	Decode(data []byte, v any) error
}

// Transport is the root package's Transport.
type Transport interface {
	Listen(ctx context.Context, addr string) (net.Listener, error)
	Dial(ctx context.Context, addr string) (net.Conn, error)
}

// Config is what nodes and registries share. [Config.Prepare] makes it ready for use.
type Config struct {
	Codec     Codec
	Transport Transport
	Log       *slog.Logger    // the program's; behind a queue after Prepare
	Records   *logqueue.Queue // the queue of Log, set by Prepare
	RingName  string
	Timeout   time.Duration
	Security  Security         // nil in an open ring
	Wall      func() time.Time // nil for time.Now; set by tests
	// Inside wraps a connection behind its handshake, and so above TLS. addr is empty if it was
	// accepted. Nil but in tests, whose members lie.
	Inside   func(addr string, conn net.Conn) net.Conn
	warnings *warnLimiter // for WarnOften
	places   *places      // for Accept
}

// The limits of what a registry may ask of a node.
const (
	MaxPayload = 8 << 20 // bytes of a message
	MaxLease   = 24 * time.Hour
)

// MaxReminders is how often a member is asked the same question again when it comes back without an
// answer. A connection does not end by chance so many times in a row. But a member that cannot read
// the question hangs up each time, and the run must end.
const MaxReminders = 4

// Prepare checks the options, and puts a queue of records bytes before the log. Its errors name the
// option.
func (c *Config) Prepare(records int) error {
	switch {
	case c.Codec == nil:
		return errors.New("WithCodec: the codec is nil")
	case len(c.Codec.Name()) > 255 || c.Codec.Name() == "":
		return fmt.Errorf("WithCodec: the codec's name must have 1 to 255 bytes, it has %d", len(c.Codec.Name()))
	case c.Transport == nil:
		return errors.New("WithTransport: the transport is nil")
	case c.Log == nil:
		return errors.New("WithLogger: the logger is nil")
	case len(c.RingName) > 255:
		return fmt.Errorf("WithRing: a name has at most 255 bytes, this one has %d", len(c.RingName))
	case c.Timeout <= 0:
		return fmt.Errorf("WithHandshakeTimeout: %v is not positive", c.Timeout)
	}
	c.Transport = checkedTransport{c.Transport}
	least := slog.LevelDebug
	if _, ours := c.Log.Handler().(panicLog); ours {
		least = slog.LevelError
	}
	c.warnings, c.places = new(warnLimiter), newPlaces(c.Timeout)
	c.Log, c.Records = logqueue.New(c.Log.Handler(), least, records)
	return nil
}

// DrawID draws a random number below n; 0 means 2^64.
func DrawID(n uint64) uint64 {
	if n == 0 {
		return rand.Uint64()
	}
	return rand.Uint64N(n)
}
