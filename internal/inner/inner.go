// Package inner gives this module's tests access to what the types of the root package wrap. The
// root package sets its functions.
package inner

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
	// Option returns an option of nodes and registries that changes what they share.
	Option func(func(*handshake.Config)) any
	// NodeOption returns an option of a node that changes its configuration.
	NodeOption func(func(*node.Config)) any
	// RegistryOption returns an option of a registry that changes its configuration.
	RegistryOption func(func(*registry.Config)) any
)
