// Package unwrap gives the tests and the packages of this module what the root package hides: the internal
// node and registry, and options that change their configuration. The root package sets the
// functions when it is initialised. They take and return any, since the import goes the
// other way.
package unwrap

import (
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/node"
	"github.com/x/ringdht/internal/registry"
)

var (
	// Node returns the internal node of a *ringdht.Node.
	Node func(any) *node.Node
	// Registry returns the internal registry of a *ringdht.Registry.
	Registry func(any) *registry.Registry
	// WithConfig returns a ringdht.Option that changes what nodes and registries share.
	WithConfig func(func(*handshake.Config)) any
	// WithNodeConfig returns a ringdht.NodeOption that changes a node's configuration.
	WithNodeConfig func(func(*node.Config)) any
	// WithRegistryConfig returns a ringdht.RegistryOption that changes a registry's configuration.
	WithRegistryConfig func(func(*registry.Config)) any
)
