package handshake

import (
	"fmt"

	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
)

// mayPresent decides in a secure ring whether a hello agrees with what the dialling side has
// proven. protocol is the one that TLS agreed on. The answer to a stranger tells nothing that it
// did not say itself.
func mayPresent(h wire.Hello, p secure.Proof, protocol string) wire.Answer {
	refuse := func(status wire.Status, format string, args ...any) wire.Answer {
		return wire.Answer{Status: status, Reason: fmt.Sprintf(format, args...)}
	}
	switch h.Role {
	case wire.RoleLink:
		switch {
		case protocol != secure.Protocol || p.Kind != secure.Member:
			return refuse(wire.NotAdmitted, "a link needs an admission, and this connection has none: join at the registry")
		case h.From != p.Admission.ID || h.FromIncarnation != p.Admission.Incarnation:
			return refuse(wire.NotAdmitted, "the hello names another incarnation than the admission, which is of node %d", p.Admission.ID)
		}
	case wire.RoleProbe:
		if protocol != secure.ProbeProtocol || p.Kind != secure.Registry {
			return refuse(wire.NotAdmitted, "only the ring's registry may ask that: it must hold the ring's key")
		}
	case wire.RoleMember:
		switch {
		case protocol == secure.Protocol && p.Kind == secure.Member, protocol == secure.JoinProtocol && p.Kind == secure.Newcomer:
		case p.Kind == secure.Registry:
			return refuse(wire.WrongRole, "a registry cannot be a member of its own ring")
		default:
			return refuse(wire.NotAdmitted, "a member needs an admission of this ring, and a newcomer %s: use the join line", secure.JoinProtocol)
		}
	}
	return wire.Answer{}
}

// mayDial decides in a secure ring whether the side that was dialled is the right one. The
// dialling side has told it nothing yet.
func mayDial(h wire.Hello, p secure.Proof) error {
	switch {
	case h.Role == wire.RoleLink && p.Kind == secure.Registry:
		return fmt.Errorf("%w: the registry answers there, not node %d", errMistaken, h.To)
	case h.Role == wire.RoleLink && p.Kind != secure.Member:
		return fmt.Errorf("%w: the node that answers there has no admission yet: node %d may have restarted", errMistaken, h.To)
	case h.Role == wire.RoleLink && p.Admission.ID != h.To:
		return fmt.Errorf("%w: node %d answers there, not node %d: the routing table is out of date", errMistaken, p.Admission.ID, h.To)
	case h.Role == wire.RoleLink && p.Admission.Incarnation != h.ToIncarnation:
		return fmt.Errorf("%w: another incarnation of node %d answers there: the routing table is out of date", errMistaken, h.To)
	case h.Role == wire.RoleMember && p.Kind == secure.Member:
		return fmt.Errorf("%w: node %d answers there, not a registry: join at the registry's address, with its join line", errMistaken, p.Admission.ID)
	case h.Role == wire.RoleMember && p.Kind != secure.Registry:
		return fmt.Errorf("%w: %w: its key is %v: it is a node, or another ring's registry", errMistaken, secure.ErrNotRegistry, p.Key)
	}
	return nil
}
