package registry

import (
	"time"

	"github.com/x/ringdht/internal/handshake"
)

// Config is what a registry goes by. The root package's options fill it and check it.
type Config struct {
	handshake.Config
	Bits       int
	MaxPayload int
	Lease      time.Duration
	Beats      int // see membership.Config
	Grace      time.Duration
	TimeOfDay  func() time.Time // incarnations are made from it
}

// Of a registry: 500 addresses that are silent and come again and again make some 100 dials
// a second, of which each takes a slot for a tenth of a second.
const (
	registryDials = 64
	registrySlow  = 1024
)
