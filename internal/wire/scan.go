package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Errors that a byte stream can earn. They end the connection: once framing is
// lost nothing behind it can be trusted.
var (
	ErrType    = errors.New("wire: unknown frame type")
	ErrTooLong = errors.New("wire: frame too long")
	ErrShort   = errors.New("wire: frame too short")
)

// Scan reports how many bytes at the start of b are whole routed frames, and
// how many bytes the first incomplete frame needs in all (0 if it cannot be
// told yet). No frame may be longer than max bytes; that is checked on the
// prefix alone, before anybody allocates for it.
func Scan(b []byte, max int) (whole, need int, err error) {
	return scan(b, max, HeaderSize, routed, connection)
}

// ScanFirst is [Scan] for the first frame alone.
func ScanFirst(b []byte, max int) (whole, need int, err error) {
	if n := Whole(b, max); n > 0 {
		return n, 0, nil
	}
	return Scan(b, max)
}

// Whole is the length of the frame that b starts with, if it is a whole routed one of
// at most max bytes, and 0 otherwise.
func Whole(b []byte, max int) int {
	if len(b) < HeaderSize {
		return 0
	}
	head := binary.BigEndian.Uint32(b)
	n := PrefixSize + int(head&MaxLength)
	if n < HeaderSize || n > max || n > len(b) || scopes[head>>24] < routed {
		return 0
	}
	return n
}

// ScanControl is [Scan] for control frames.
func ScanControl(b []byte, max int) (whole, need int, err error) {
	return scan(b, max, PrefixSize, control, control)
}

// scan accepts types whose scope is in [least, most].
func scan(b []byte, max, min int, least, most scope) (whole, need int, err error) {
	for len(b)-whole >= PrefixSize {
		head := binary.BigEndian.Uint32(b[whole:])
		size := PrefixSize + int(head&MaxLength)
		switch t := Type(head >> 24); {
		case scopes[t] < least || scopes[t] > most:
			return whole, 0, fmt.Errorf("%w %d", ErrType, uint8(t))
		case size > max:
			return whole, 0, fmt.Errorf("%w: a %v frame of %d bytes, the limit is %d", ErrTooLong, t, size, max)
		case size < min:
			return whole, 0, fmt.Errorf("%w: a %v frame of %d bytes, the header alone is %d", ErrShort, t, size, min)
		}
		if size > len(b)-whole {
			return whole, size, nil
		}
		whole += size
	}
	return whole, 0, nil
}

// Fit reports how many bytes of whole frames at the start of b fit into room
// bytes.
func Fit(b []byte, room int) int {
	if len(b) <= room {
		return len(b)
	}
	n := 0
	for n < len(b) {
		size := Size(b[n:])
		if n+size > room {
			break
		}
		n += size
	}
	return n
}

// Count reports how many whole frames b holds.
func Count(b []byte) int {
	n := 0
	for len(b) > 0 {
		b = b[Size(b):]
		n++
	}
	return n
}
