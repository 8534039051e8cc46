package handshake

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"reflect"

	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
)

// errMistaken is the error of a side that has dialled something else than it wanted.
var errMistaken = fmt.Errorf("%w: not what was dialled", errs.ErrHandshake)

// alertOf returns the number of the alert of TLS that the other side has sent (RFC 8446, section
// 6). Package tls has no type for it that can be named.
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

// explained returns the error of a TLS handshake with what to do about it. What may pass, such as a
// connection that broke, is no refusal.
func explained(err error, protocol string) error {
	_, alert := alertOf(err)
	_, header := errors.AsType[tls.RecordHeaderError](err)
	var network net.Error
	if errors.As(err, &network) && !alert && !header {
		return err
	}
	return fmt.Errorf("%w: %w", errs.ErrHandshake, err)
}

// refusedFor returns the answer to a side that is not believed.
func refusedFor(verdict error) wire.Answer {
	switch {
	case errors.Is(verdict, secure.ErrExpired):
		return wire.Answer{Status: wire.Expired, Reason: "the admission has expired: join again with the join line"}
	case errors.Is(verdict, secure.ErrRevoked):
		return wire.Answer{Status: wire.Expelled, Reason: "this node was expelled from the ring"}
	case errors.Is(verdict, secure.ErrOtherKey):
		return wire.Answer{Status: wire.NotAdmitted, Reason: "the admission is of another key than the connection"}
	}
	return wire.Answer{Status: wire.NotAdmitted, Reason: "the admission is not of this ring: join with the join line of this ring's registry"}
}

// refusalBy returns the error of a refusal. It wraps what package secure has for the status.
func refusalBy(addr string, a wire.Answer) error {
	reason := Printable(a.Reason)
	switch a.Status {
	case wire.NotAdmitted:
		return fmt.Errorf("%w by %s: %w: %s", errs.ErrHandshake, addr, secure.ErrNotAdmitted, reason)
	case wire.Expired:
		return fmt.Errorf("%w by %s: %w: %s", errs.ErrHandshake, addr, secure.ErrExpired, reason)
	case wire.Expelled:
		return fmt.Errorf("%w by %s: %w: %s", errs.ErrHandshake, addr, secure.ErrRevoked, reason)
	}
	return fmt.Errorf("%w by %s: %s", errs.ErrHandshake, addr, reason)
}
