package ringtest

import (
	"log/slog"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/inner"
	"github.com/x/ringdht/internal/node"
	"github.com/x/ringdht/internal/registry"
)

// In is what a registry wraps.
func In(r *ringdht.Registry) *registry.Registry { return inner.Registry(r) }

// Of is what a node wraps.
func Of(n *ringdht.Node) *node.Node { return inner.Node(n) }

// Option is an option of nodes and registries that programs do not have.
func Option(f func(*handshake.Config)) ringdht.Option { return inner.Option(f).(ringdht.Option) }

// NodeOption is an option of nodes that programs do not have.
func NodeOption(f func(*node.Config)) ringdht.NodeOption {
	return inner.NodeOption(f).(ringdht.NodeOption)
}

// RegistryOption is an option of registries that programs do not have.
func RegistryOption(f func(*registry.Config)) ringdht.RegistryOption {
	return inner.RegistryOption(f).(ringdht.RegistryOption)
}

// Dialler has what a member dials with by default.
func Dialler() *handshake.Config {
	return &handshake.Config{Codec: ringdht.Msgpack(), Transport: ringdht.TCP{}, Log: slog.New(slog.DiscardHandler), RingName: "ring", Timeout: 5 * time.Second}
}
