package registry

import (
	"time"

	"github.com/x/ringdht/internal/handshake"
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
}

// The limits of dials to newcomers, and of dials to suspects. 500 silent addresses that come again
// and again make some 100 dials a second, and each holds a slot for a tenth of a second.
const (
	registryDials = 64
	registrySlow  = 1024
)
