package node

import (
	"errors"
	"fmt"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/handshake"
)

// refusal is the error that a Refused stands for.
func refusal(ctl *control.Conn, body []byte) error {
	var r control.Refused
	if err := ctl.Decode(body, &r); err != nil {
		return err
	}
	for _, c := range refusals {
		if c.code == r.Code {
			return fmt.Errorf("%w: %s", c.err, handshake.Quote(r.Reason))
		}
	}
	return fmt.Errorf("%w: %s", errRefused, handshake.Quote(r.Reason))
}

var refusals = []struct {
	code control.Code
	err  error
}{
	{control.CodeFull, errs.ErrRingFull},
	{control.CodeAddrTaken, errAddressTaken},
	{control.CodeIDTaken, errIDTaken},
	{control.CodeNameTaken, errNameTaken},
	{control.CodeHost, errOtherHost},
	{control.CodeUnreachable, errs.ErrUnreachable},
	{control.CodeNotMember, errs.ErrNotMember},
	{control.CodeNotYours, errs.ErrNotMember},
	{control.CodeEvicted, errs.ErrEvicted},
	{control.CodeWait, errs.ErrRebuilding},
	{control.CodeOtherRing, errs.ErrOtherRing},
	{control.CodeCredentials, errCredentials},
	{control.CodeExpelled, errExpelled},
}

// Cases of errors that stand for several. Programs see them in the text only.
var (
	errAddressTaken = special{errs.ErrTaken, "address already registered"}
	errIDTaken      = special{errs.ErrTaken, "ID already taken"}
	errNameTaken    = special{errs.ErrTaken, "name already taken"}
	errOtherHost    = special{errs.ErrUnreachable, "advertised host is not where the connection comes from"}
	errCredentials  = special{errs.ErrHandshake, "the registry does not accept this node's credentials"}
	errExpelled     = special{errs.ErrNotMember, "this node was expelled from the ring, for good: it does not join again"}
	errRefused      = special{errs.ErrHandshake, errs.ErrHandshake.Error()} // by the registry, for no reason above
)

// special is an error with a text of its own.
type special struct {
	err  error
	text string
}

func (s special) Error() string { return s.text }
func (s special) Unwrap() error { return s.err }

// isRefusal reports whether the registry has answered with a refusal.
func isRefusal(err error) bool {
	if errors.Is(err, errs.ErrHandshake) {
		return true
	}
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			return true
		}
	}
	return false
}

// byeError is the error that a Bye stands for.
func byeError(ctl *control.Conn, body []byte) error {
	var bye control.Bye
	if err := ctl.Decode(body, &bye); err != nil {
		return err
	}
	return errors.New(handshake.Quote(bye.Reason))
}
