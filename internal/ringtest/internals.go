package ringtest

import (
	"context"
	"log/slog"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/node"
	"github.com/x/ringdht/internal/plane"
	"github.com/x/ringdht/internal/registry"
	"github.com/x/ringdht/internal/unwrap"
)

// RegistryOf returns the internal registry of r.
func RegistryOf(r *ringdht.Registry) *registry.Registry { return unwrap.Registry(r) }

// NodeOf returns the internal node of n.
func NodeOf(n *Node) *node.Node { return unwrap.Node(n.Node) }

// WithConfig returns an option that changes the configuration that nodes and registries share.
func WithConfig(change func(*handshake.Config)) ringdht.Option {
	return unwrap.WithConfig(change).(ringdht.Option)
}

// WithNodeConfig returns an option that changes a node's configuration.
func WithNodeConfig(change func(*node.Config)) ringdht.NodeOption {
	return unwrap.WithNodeConfig(change).(ringdht.NodeOption)
}

// WithRegistryConfig returns an option that changes a registry's configuration.
func WithRegistryConfig(change func(*registry.Config)) ringdht.RegistryOption {
	return unwrap.WithRegistryConfig(change).(ringdht.RegistryOption)
}

// DialConfig returns the default configuration with which a member dials.
func DialConfig() *handshake.Config {
	return &handshake.Config{Codec: ringdht.Msgpack(), Transport: ringdht.TCP{}, Log: slog.New(slog.DiscardHandler), RingName: "ring", Timeout: 5 * time.Second}
}

// Announces returns an option of a node that says that it handles services.
func Announces(services ...string) ringdht.NodeOption {
	return register(services, func(context.Context, *plane.Delivery) {})
}

// Uses returns an option of a node that registers services which it does not handle.
func Uses(services ...string) ringdht.NodeOption {
	return register(services, nil)
}

func register(services []string, h func(context.Context, *plane.Delivery)) ringdht.NodeOption {
	return WithNodeConfig(func(c *node.Config) {
		if len(c.Services) == 0 {
			c.Services = make([]node.Service, 1)
		}
		for _, name := range services {
			c.Services = append(c.Services, node.Service{Name: name, Handler: h})
		}
	})
}
