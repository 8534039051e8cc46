package registry

import (
	"errors"
	"fmt"
	"time"

	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/ring"
)

// Config is a registry's configuration. The root package's options fill and check it.
type Config struct {
	handshake.Config
	Bits       int
	MaxPayload int
	Lease      time.Duration
	Beats      int // heartbeats of a lease, see membership.Config
	Grace      time.Duration
	TimeOfDay  func() time.Time // a new incarnation's number is drawn from it
	SelfSetup  *SelfSetup       // nil: an operator sets the ring up
	StateDir   *string          // nil: nothing is kept
	Secure     *Secure          // nil: the ring is open
}

// SelfSetup is the layout of a ring that its first member makes live.
type SelfSetup struct {
	K      int
	Fewest bool
	Err    error // why it makes no sense; for the check of the options
}

// Secure is what makes a ring a secure one.
type Secure struct {
	Validity time.Duration // of an admission
	After    *Registry     // whose key and tokens to take over, for tests of a registry that keeps no state; nil otherwise
}

// maxValidity bounds the validity of an admission.
const maxValidity = 10 * 365 * 24 * time.Hour

// The limits of dials to newcomers, and of dials to suspects. 500 silent addresses that come again
// and again make some 100 dials a second, and each holds a slot for a tenth of a second.
const (
	registryDials = 64
	registrySlow  = 1024
)

// Prepare checks the options, and puts a queue of records bytes before the log. Its errors name the
// option.
func (c *Config) Prepare(records int) error {
	switch err := c.Config.Prepare(records); {
	case err != nil:
		return err
	case c.Bits < 1 || c.Bits > ring.MaxBits:
		return fmt.Errorf("WithBits: an ID has 1 to %d bits, not %d", ring.MaxBits, c.Bits)
	case c.MaxPayload < 4 || c.MaxPayload > handshake.MaxPayload:
		return fmt.Errorf("WithMaxPayload: %d is not between 4 and %d bytes", c.MaxPayload, handshake.MaxPayload)
	case c.Grace < 0 || c.Grace > handshake.MaxLease:
		return fmt.Errorf("WithGrace: %v is not between 0 and %v", c.Grace, handshake.MaxLease)
	case c.Lease < 10*time.Millisecond || c.Lease > handshake.MaxLease:
		return fmt.Errorf("WithLease: %v is not between 10ms, within which nodes must be able to answer, and %v", c.Lease, handshake.MaxLease)
	case c.SelfSetup != nil && c.SelfSetup.Err != nil:
		return fmt.Errorf("WithSelfSetup: %w", c.SelfSetup.Err)
	case c.SelfSetup != nil && c.SelfSetup.K < 0:
		return fmt.Errorf("WithSelfSetup: a table cannot have %d entries", c.SelfSetup.K)
	case c.Secure != nil && (c.Secure.Validity < 4*c.Lease || c.Secure.Validity > maxValidity):
		return fmt.Errorf("WithSecurity: %v is not between 4 leases, %v, within which members must be able to renew their admissions, and %v", c.Secure.Validity, 4*c.Lease, maxValidity)
	case c.StateDir != nil && *c.StateDir == "":
		return errors.New("WithState: the directory has no name")
	}
	return nil
}
