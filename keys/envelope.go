package keys

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/x/ringdht"
	"github.com/x/ringdht/rpc"
)

// envelope is the body of a message as it travels:
//
//	flags   1 byte, see below
//	left    4 bytes, only with flagDeadline: milliseconds until the caller gives up, from its sending
//	key     its length in 2 bytes, and the key
//	method  its length in a byte, and its name; empty for messages of Keys
//	meta    the number of entries in a byte; for each the key behind its length in a byte, and the value
//	        behind its length in 2 bytes
//	value   the rest
type envelope struct {
	flags  byte
	left   time.Duration
	key    string
	method string
	meta   []byte // checked
	value  []byte
}

const (
	flagNested   = 1 << iota // a handler has sent it: it takes no place of others
	flagDeadline             // left follows
	flagWhere                // it asks for the owner, and is not handled
)

const (
	maxKey    = 4 << 10  // bytes of a key
	maxName   = 255      // bytes of a method's name, a code, a key of the metadata
	maxMeta   = 64       // entries
	metaBytes = 16 << 10 // of all keys and values
	maxText   = 1 << 10  // bytes of an error's text
)

// appendEnvelope appends all but the value.
func appendEnvelope(b []byte, e envelope, meta rpc.Meta) ([]byte, error) {
	switch {
	case len(e.key) > maxKey:
		return nil, fmt.Errorf("%w: the key has %d bytes, at most %d", ringdht.ErrTooLarge, len(e.key), maxKey)
	case len(e.method) > maxName:
		return nil, fmt.Errorf("%w: the name of the method has %d bytes, at most %d", ringdht.ErrTooLarge, len(e.method), maxName)
	}
	if e.left > 0 {
		e.flags |= flagDeadline
	}
	b = append(b, e.flags)
	if e.left > 0 {
		b = binary.BigEndian.AppendUint32(b, milliseconds(e.left))
	}
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(e.key))), e.key...)
	b = append(append(b, byte(len(e.method))), e.method...)
	b = append(b, byte(len(meta)))
	bytes := 0
	for k, v := range meta {
		if bytes += len(k) + len(v); len(k) > maxName || len(meta) > maxMeta || bytes > metaBytes {
			return nil, fmt.Errorf("%w: the metadata has more than %d entries, a key of more than %d bytes, or more than %d bytes in all", ringdht.ErrTooLarge, maxMeta, maxName, metaBytes)
		}
		b = append(append(b, byte(len(k))), k...)
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(v))), v...)
	}
	return b, nil
}

// milliseconds rounds up.
func milliseconds(d time.Duration) uint32 {
	return uint32(min((d+time.Millisecond-1)/time.Millisecond, math.MaxUint32))
}

// parseEnvelope reads what a source has written. The value and the metadata point into b.
func parseEnvelope(b []byte) (e envelope, ok bool) {
	if len(b) == 0 {
		return e, false
	}
	e.flags, b = b[0], b[1:]
	if e.flags&flagDeadline != 0 {
		if len(b) < 4 {
			return e, false
		}
		e.left, b = time.Duration(binary.BigEndian.Uint32(b))*time.Millisecond, b[4:]
	}
	key, b, ok := cut(b, 2)
	if !ok || len(key) > maxKey {
		return e, false
	}
	method, b, ok := cut(b, 1)
	if !ok || len(b) == 0 || b[0] > maxMeta {
		return e, false
	}
	e.key, e.method = string(key), string(method)
	n, from := int(b[0]), b[1:]
	b = from
	for range n {
		if _, b, ok = cut(b, 1); !ok {
			return e, false
		}
		if _, b, ok = cut(b, 2); !ok {
			return e, false
		}
	}
	e.meta, e.value = from[:len(from)-len(b)], b
	return e, true
}

// cut takes a part of b behind its length, which has 1 or 2 bytes.
func cut(b []byte, size int) (part, rest []byte, ok bool) {
	if len(b) < size {
		return nil, nil, false
	}
	n := int(b[0])
	if size == 2 {
		n = int(binary.BigEndian.Uint16(b))
	}
	if b = b[size:]; len(b) < n {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

// metaOf makes a map of checked metadata.
func metaOf(b []byte) rpc.Meta {
	m := make(rpc.Meta)
	for len(b) > 0 {
		var k, v []byte
		k, b, _ = cut(b, 1)
		v, b, _ = cut(b, 2)
		m[string(k)] = string(v)
	}
	return m
}

// A reply begins with its kind: a value follows, or the length of a code in a byte, the code, and a text.
const (
	replyValue byte = 1
	replyError byte = 2
)

func appendFailure(b []byte, code, text string) []byte {
	text = strings.ToValidUTF8(text[:min(len(text), maxText)], "")
	code = code[:min(len(code), maxName)]
	return append(append(append(b, replyError, byte(len(code))), code...), text...)
}

// parseReply reads a reply: a value, or an error of the owner.
func parseReply(b []byte, from ringdht.ID) (value []byte, err error) {
	if len(b) > 0 && b[0] == replyValue {
		return b[1:], nil
	}
	if len(b) > 0 && b[0] == replyError {
		if code, text, ok := cut(b[1:], 1); ok && utf8.Valid(text) {
			return nil, &rpc.Error{Code: string(code), Text: string(text), Remote: true, From: from}
		}
	}
	return nil, &rpc.Error{Code: codeAnswer, Text: "the answer makes no sense", Remote: true, From: from}
}
