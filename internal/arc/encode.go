package arc

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrKind is the error of what a later version has added. A reader ignores it.
var ErrKind = errors.New("unknown kind")

var (
	errShort = errors.New("too short")
	errLong  = errors.New("too long")
	errArc   = errors.New("an arc that ends before it begins")
	errValue = errors.New("a value out of bounds")
)

// Append appends a frame: its kind, then what the kind has. Numbers have 8 bytes, since they are spread
// over all 64 bits; a seq is a uvarint.
//
//	Grant              arc, term, life        Settled, Took, Pull   arc, term
//	Give               arc, term, body        Is                    arc, term, point
//	Ask                point                  No                    point, life
//	Msg                point, term, seq, body Ans                   refused (0, 1), seq, body
func (f Frame) Append(b []byte) []byte {
	b = append(b, byte(f.Kind))
	switch f.Kind {
	case Grant:
		return number(appendHeld(b, Held{f.Arc, f.Term}), f.Life)
	case Settled, Took, Pull:
		return appendHeld(b, Held{f.Arc, f.Term})
	case Give:
		return append(appendHeld(b, Held{f.Arc, f.Term}), f.Body...)
	case Is:
		return number(appendHeld(b, Held{f.Arc, f.Term}), f.Point)
	case Ask:
		return number(b, f.Point)
	case No:
		return number(number(b, f.Point), f.Life)
	case Where:
		return append(number(number(b, f.Life), f.Point), bit(f.Refused, 1))
	case Msg:
		return append(binary.AppendUvarint(number(number(b, f.Point), f.Term), f.Seq), f.Body...)
	case Ans:
		return append(binary.AppendUvarint(append(b, bit(f.Refused, 1)), f.Seq), f.Body...)
	}
	return b
}

func number(b []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(b, v) }

func appendHeld(b []byte, h Held) []byte { return number(number(number(b, h.First), h.Last), h.Term) }

// bit is a flag of a byte, if it is set.
func bit(set bool, flag byte) byte {
	if set {
		return flag
	}
	return 0
}

// ParseFrame reads a frame. Its body is a part of b. There is one encoding of each frame: another is an
// error.
func ParseFrame(b []byte) (f Frame, err error) {
	p := parser{b: b}
	f.Kind = Kind(p.byte())
	switch f.Kind {
	case Grant:
		f.Arc, f.Term = p.held()
		f.Life = p.number()
	case Settled, Took, Pull:
		f.Arc, f.Term = p.held()
	case Give:
		f.Arc, f.Term = p.held()
		f.Body = p.rest()
	case Is:
		f.Arc, f.Term = p.held()
		if f.Point = p.number(); p.err == nil && !f.Arc.Has(f.Point) {
			p.err = errArc
		}
	case Ask:
		f.Point = p.number()
	case No:
		f.Point, f.Life = p.number(), p.number()
	case Where:
		f.Life, f.Point = p.number(), p.number()
		refused := p.byte()
		if f.Refused = refused == 1; p.err == nil && refused > 1 {
			p.err = errValue
		}
	case Msg:
		f.Point, f.Term, f.Seq = p.number(), p.number(), p.uvarint()
		f.Body = p.rest()
	case Ans:
		refused := p.byte()
		f.Refused, f.Seq, f.Body = refused == 1, p.uvarint(), p.rest()
		if p.err == nil && (refused > 1 || f.Refused && len(f.Body) > 0) {
			p.err = errValue
		}
	case Retired, Retire, Left, Closed:
	default:
		if p.err == nil {
			p.err = ErrKind
		}
	}
	if err := p.end(); err != nil {
		return Frame{}, fmt.Errorf("a frame of kind %d: %w", f.Kind, err)
	}
	return f, nil
}

// parser reads what others have written. After an error all values are zero.
type parser struct {
	b   []byte
	err error
}

// next returns the next n bytes.
func (p *parser) next(n int) []byte {
	if p.err == nil && len(p.b) < n {
		p.err = errShort
	}
	if p.err != nil {
		return nil
	}
	b := p.b[:n]
	p.b = p.b[n:]
	return b
}

func (p *parser) byte() byte {
	if b := p.next(1); b != nil {
		return b[0]
	}
	return 0
}

func (p *parser) number() uint64 {
	if b := p.next(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (p *parser) uvarint() uint64 {
	v, n := binary.Uvarint(p.b)
	switch {
	case p.err != nil:
		return 0
	case n <= 0 || n > 1 && p.b[n-1] == 0: // it has no end, does not fit, or is longer than it need be
		p.err = errValue
		return 0
	}
	p.b = p.b[n:]
	return v
}

func (p *parser) held() (Arc, uint64) {
	a := Arc{p.number(), p.number()}
	if p.err == nil && a.First > a.Last {
		p.err = errArc
	}
	return a, p.number()
}

// rest is all that is left, or nil.
func (p *parser) rest() []byte {
	b := p.next(len(p.b))
	if len(b) == 0 {
		return nil
	}
	return b[:len(b):len(b)]
}

// end returns the error, or one if something is left.
func (p *parser) end() error {
	if p.err == nil && len(p.b) > 0 {
		return errLong
	}
	return p.err
}
