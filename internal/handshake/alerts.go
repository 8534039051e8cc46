package handshake

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"

	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
)

// errMistaken is the error of a side that has dialled something else than it wanted.
var errMistaken = fmt.Errorf("%w: not what was dialled", errs.ErrHandshake)

// errNoProtocol is the error of a handshake that has agreed on no protocol.
var errNoProtocol = errors.New("refused: TLS without a protocol (ALPN): this is a port for nodes of a ring")

// The alerts of TLS that say more than that it failed (RFC 8446, section 6.2).
const (
	alertBadCertificate     = 42
	alertCertificateRevoked = 44
	alertCertificateExpired = 45
	alertCertificateUnknown = 46
	alertUnknownAuthority   = 48
	alertAccessDenied       = 49
	alertProtocolVersion    = 70
	alertInternalError      = 80
	alertNoCertificate      = 116
	alertNoProtocol         = 120
)

// alertOf returns the number of the alert of TLS that the other side has sent. Package tls has no
// type for it that can be named.
func alertOf(err error) (number uint8, ok bool) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" || op.Err == nil {
		return 0, false
	}
	v := reflect.ValueOf(op.Err)
	if v.Kind() != reflect.Uint8 {
		return 0, false
	}
	return uint8(v.Uint()), true
}

// explained returns the error of the dialling side's TLS with what to do about it. A refusal
// matches errs.ErrHandshake. What may pass, such as a connection that broke, does not.
//
// None matches an error of package secure, whatever the alert says: an alert may come in the clear,
// from a side that has proven nothing, and a node that believed it would end for good. A side of a
// ring says that in its answer to the hello, after it has proven itself.
func explained(err error, protocol string) error {
	refused := func(text string, args ...any) error {
		return fmt.Errorf("%w: %w", errs.ErrHandshake, fmt.Errorf(text, args...))
	}
	if header, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		switch first := header.RecordHeader[:]; string(first[:4]) {
		case "RDHT":
			return refused("%s", openRing)
		case "HTTP":
			return refused("a web server answers there, not a ring: is the port that of the page?")
		default:
			return refused("the other side does not speak TLS: it starts with %q", first)
		}
	}
	alert, ok := alertOf(err)
	switch {
	case !ok && isHangUp(err):
		return fmt.Errorf("the other side closed the connection in the middle of TLS: it is closing or crowded, or of an earlier version, without security: %w", err)
	case !ok && isPassing(err):
		return err
	case !ok:
		return refused("%w", err)
	}
	switch alert {
	case alertNoProtocol:
		switch protocol {
		case secure.JoinProtocol:
			return refused("the other side is a node and not a registry, or of another version than %s: join at the registry's address, with its join line", protocol)
		case secure.ProbeProtocol:
			return refused("the other side is a registry and not a node, or of another version than %s", protocol)
		}
		return refused("the other side is of another version than %s", protocol)
	case alertProtocolVersion:
		return refused("the other side speaks another version of TLS than 1.3")
	case alertBadCertificate, alertCertificateRevoked, alertCertificateExpired, alertCertificateUnknown, alertUnknownAuthority, alertAccessDenied, alertNoCertificate:
		return refused("the other side does not believe this one: is it of this ring?")
	case alertInternalError:
		return fmt.Errorf("the other side cannot present itself now, it may be closing or joining: %w", err)
	}
	return refused("%w", err)
}

// explainedAccept is explained for the accepting side: offered is what the other side speaks.
func explainedAccept(err error, offered, accepts []string) error {
	alert, ok := alertOf(err)
	switch {
	case isUnsuited(offered, accepts):
		return unsuited(offered, accepts)
	case !ok:
		return err
	}
	switch alert {
	case alertBadCertificate, alertCertificateUnknown, alertUnknownAuthority, alertAccessDenied:
		return errors.New("a node expected another key than this side's: its join line is of another ring, or older than the ring's key; if this is a registry, it may lack the state of the one before")
	}
	return err
}

// isUnsuited reports whether a side offered protocols, and none that this side takes.
func isUnsuited(offered, accepts []string) bool {
	return len(offered) > 0 && !slices.ContainsFunc(offered, func(o string) bool { return slices.Contains(accepts, o) })
}

// refusedFor returns the answer to a side that is not believed. It says nothing that the side did
// not present.
func refusedFor(verdict error) wire.Answer {
	switch {
	case errors.Is(verdict, secure.ErrExpired):
		return wire.Answer{Status: wire.Expired, Reason: "join again with the join line; if that happens often, a clock is wrong"}
	case errors.Is(verdict, secure.ErrRevoked):
		return wire.Answer{Status: wire.Expelled, Reason: "the ring takes this key no more"}
	case errors.Is(verdict, secure.ErrOtherKey):
		return wire.Answer{Status: wire.NotAdmitted, Reason: "the admission is of another key than the connection"}
	}
	return wire.Answer{Status: wire.NotAdmitted, Reason: "join with the join line of this ring's registry"}
}

// refusalBy returns the error of a refusal. It wraps what package secure has for the status.
func refusalBy(addr string, a wire.Answer) error {
	cause := map[wire.Status]error{wire.NotAdmitted: secure.ErrNotAdmitted, wire.Expired: secure.ErrExpired, wire.Expelled: secure.ErrRevoked}[a.Status]
	if cause == nil {
		return fmt.Errorf("%w by %s: %s", errs.ErrHandshake, addr, Quote(a.Reason))
	}
	return fmt.Errorf("%w by %s: %w: %s", errs.ErrHandshake, addr, cause, Quote(a.Reason))
}
