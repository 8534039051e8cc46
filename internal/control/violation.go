package control

import (
	"fmt"
	"time"

	"github.com/x/ringdht/internal/wire"
)

// Violation is the last message of a connection that is closed since the other side has broken a
// rule: what [wire.Violation] is between nodes.
type Violation struct {
	Code uint64 `json:"code"` // the number of the rule
	Rule string `json:"rule"` // as PROTOCOL.md writes it
	Text string `json:"text"` // for people
}

// accuseTimeout bounds the time that a violation may take to be written.
const accuseTimeout = time.Second

// Accuse closes the connection if err says that the other side has broken a rule, and tells it
// which, as far as it reads. For any other error it does nothing.
func (c *Conn) Accuse(err error) {
	v, ok := wire.ViolationOf(err)
	if !ok {
		return
	}
	frame, failed := Encode(c.codec, TypeViolation, Violation(v))
	if failed != nil {
		return
	}
	c.w.FailWith(err, frame, accuseTimeout)
}

// Accused is the error of a [Violation] that was received. It is never answered with another.
func (c *Conn) Accused(body []byte) error {
	var v Violation
	if err := c.codec.Decode(body, &v); err != nil {
		return fmt.Errorf("%w: and what it says cannot be read: %w", wire.Violation{}, err)
	}
	return wire.Violation(v)
}

// Unexpected is the error of a message that this side cannot take: its type is unknown, or only
// the other side takes it.
func Unexpected(t wire.Type) error {
	if t >= wire.FirstControl && t < nextType {
		return fmt.Errorf("%w: a message of type 0x%02X", wire.ErrWrongWay, uint8(t))
	}
	return fmt.Errorf("%w: a message of type 0x%02X", wire.ErrType, uint8(t))
}
