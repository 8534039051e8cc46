package handshake

import (
	"errors"
	"fmt"
	"os"

	"github.com/x/ringdht/internal/wire"
)

// Errors of Welcome in a secure ring match these if the other end is a stranger: not if it hung up,
// does not believe this end, or has another name or codec.
var (
	ErrPlain    = errors.New("it does not speak TLS")
	ErrStranger = errors.New("it is no node of this ring, or not the one that it says")
)

// IsStranger reports whether an error of Welcome matches one of these.
func IsStranger(err error) bool { return errors.Is(err, ErrPlain) || errors.Is(err, ErrStranger) }

// strangerError is an error that matches one of these as well. Its text is its own.
type strangerError struct {
	error
	as error
}

func (e strangerError) Is(target error) bool { return target == e.as }
func (e strangerError) Unwrap() error        { return e.error }

// brokenOffError is an error of the accepting side that a restart of the other one explains: it hung
// up in the middle of TLS, or had nothing to present yet or any more.
type brokenOffError struct{ error }

func (e brokenOffError) Unwrap() error { return e.error }

// strangerAt marks the error of a TLS handshake on the accepting side, given as for people.
func strangerAt(err, shown error) error {
	alert, refusedUs := alertOf(err)
	switch {
	case errors.Is(err, ErrNoAdmission): // a peer was faster than this node's admission
		return &outdatedError{err.Error()}
	case refusedUs && alert != alertInternalError:
		return shown
	case os.IsTimeout(err):
		return fmt.Errorf("the other side did not finish its handshake in time: %w", shown)
	case refusedUs, isPassing(err):
		return brokenOffError{fmt.Errorf("the other side broke off: %w", shown)}
	}
	return strangerError{shown, ErrStranger}
}

// strangerIf marks the error of a refusal.
func strangerIf(s wire.Status, err error) error {
	switch s {
	case wire.NotAdmitted, wire.Expired, wire.Expelled:
		return strangerError{err, ErrStranger}
	}
	return err
}
