// Package inner leads this module's tests from the types of the root package to those that
// they wrap. The root package sets its functions.
package inner

import (
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/node"
	"github.com/x/ringdht/internal/registry"
)

var (
	// Node returns what a *ringdht.Node wraps.
	Node func(any) *node.Node
	// Registry returns what a *ringdht.Registry wraps.
	Registry func(any) *registry.Registry
	// Option returns an option of both that changes what they share.
	Option func(func(*handshake.Config)) any
	// NodeOption returns an option of a node.
	NodeOption func(func(*node.Config)) any
	// RegistryOption returns an option of a registry.
	RegistryOption func(func(*registry.Config)) any
)
