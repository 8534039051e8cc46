package wire

import (
	"encoding/binary"
	"fmt"
)

// Scan returns how many bytes at the start of b are whole frames between nodes, and how many
// bytes the first incomplete frame has in all (0 if its prefix is incomplete). A frame of more
// than max bytes is an error, found by its prefix alone, before memory is allocated for it.
func Scan(b []byte, max int) (whole, need int, err error) {
	return scan(b, max, HeaderSize, routed, connection)
}

// ScanFirst is [Scan] for the first frame only.
func ScanFirst(b []byte, max int) (whole, need int, err error) {
	if n := Whole(b, max); n > 0 {
		return n, 0, nil
	}
	return Scan(b, max)
}

// Whole returns the length of the frame at the start of b if it is a whole frame between nodes
// of at most max bytes, and else 0.
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
			return whole, 0, fmt.Errorf("%w: unknown type 0x%02X", ErrType, uint8(t))
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

// Fit returns how many bytes of whole frames at the start of b fit into room bytes.
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

// Count returns the number of messages in b, which must hold whole frames only. Each frame that is no
// message counts as one.
func Count(b []byte) int {
	n := 0
	for len(b) > 0 {
		var f Frame
		f, b = Next(b)
		n += f.Messages()
	}
	return n
}
