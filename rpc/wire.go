package rpc

import (
	"encoding/binary"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// The kinds of messages, their first byte. docs/rpc.md has their layout.
const (
	kindRequest byte = 1 // to the callee
	kindAsk     byte = 2 // to the callee: are these calls known?
	kindAnswer  byte = 3 // to the caller: the handler's value
	kindFailure byte = 4 // to the caller: an error in the place of a value
	kindUnknown byte = 5 // to the caller: these calls are not known
	kindCancel  byte = 6 // to the callee: these calls are not waited for
	kindCheck   byte = 7 // to the caller: are these calls waited for?
)

// The bounds of a message's parts.
const (
	maxName   = 255      // bytes of a method's name, of a code, of a key of the metadata
	maxMeta   = 64       // entries
	metaBytes = 16 << 10 // of all keys and values
	maxText   = 1 << 10  // bytes of an error's text
	maxListed = 1024     // calls in one message
)

// callHeader is the length of what each request, answer and failure begins with: the kind and the
// number of the call.
const callHeader = 1 + 8

func appendCall(b []byte, kind byte, number uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, kind), number)
}

// setCall writes the number of a call into a message that has been made before the number was drawn.
func setCall(b []byte, number uint64) { binary.BigEndian.PutUint64(b[1:], number) }

// parseCall reads the number of a call. The message is longer than its kind and number, or as long.
func parseCall(b []byte) (number uint64, rest []byte, ok bool) {
	if len(b) < callHeader {
		return 0, nil, false
	}
	return binary.BigEndian.Uint64(b[1:]), b[callHeader:], true
}

// request is a parsed request. Its parts point into the message.
type request struct {
	left   time.Duration // until the caller gives up; 0 if it does not
	method []byte
	meta   []byte // checked
	value  []byte
}

// appendRequest appends a request without its value, which follows.
func appendRequest(b []byte, left time.Duration, method string, meta Meta) []byte {
	b = appendCall(b, kindRequest, 0)
	b = binary.BigEndian.AppendUint32(b, milliseconds(left))
	b = append(append(b, byte(len(method))), method...)
	b = append(b, byte(len(meta)))
	for k, v := range meta {
		b = append(append(b, byte(len(k))), k...)
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(v))), v...)
	}
	return b
}

// milliseconds rounds up, so that a handler's time does not end before its caller's. No time and
// more than 49 days are 0.
func milliseconds(d time.Duration) uint32 {
	ms := (d-1)/time.Millisecond + 1
	if d <= 0 || ms > math.MaxUint32 {
		return 0
	}
	return uint32(ms)
}

// parseRequest parses a request behind its number.
func parseRequest(b []byte) (r request, ok bool) {
	if len(b) < 4 {
		return r, false
	}
	r.left = time.Duration(binary.BigEndian.Uint32(b)) * time.Millisecond
	if r.method, b, ok = cut8(b[4:]); !ok || len(b) == 0 {
		return r, false
	}
	n, from := int(b[0]), b[1:]
	if b = from; n > maxMeta {
		return r, false
	}
	for range n {
		if _, b, ok = cut8(b); !ok {
			return r, false
		}
		if _, b, ok = cut16(b); !ok {
			return r, false
		}
	}
	r.meta, r.value = from[:len(from)-len(b)], b
	return r, len(r.meta) <= metaBytes+3*maxMeta
}

// metaOf makes a map of checked metadata, nil if there is none.
func metaOf(b []byte) (m Meta) {
	for len(b) > 0 {
		if m == nil {
			m = make(Meta, 4)
		}
		var k, v []byte
		k, b, _ = cut8(b)
		v, b, _ = cut16(b)
		m[string(k)] = string(v)
	}
	return m
}

func cut8(b []byte) (part, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return nil, nil, false
	}
	n := 1 + int(b[0])
	return b[1:n], b[n:], true
}

func cut16(b []byte) (part, rest []byte, ok bool) {
	if len(b) < 2 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
		return nil, nil, false
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	return b[2:n], b[n:], true
}

func appendFailure(b []byte, number uint64, code, text string) []byte {
	b = appendCall(b, kindFailure, number)
	b = append(append(b, byte(len(code))), code...)
	return append(b, shorten(text, maxText)...)
}

// parseFailure parses a failure behind its number.
func parseFailure(b []byte) (code, text string, ok bool) {
	c, t, ok := cut8(b)
	if !ok || len(t) > maxText {
		return "", "", false
	}
	return string(c), strings.ToValidUTF8(string(t), "\uFFFD"), true
}

// shorten cuts a text to a number of bytes, between two characters.
func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

func appendList(b []byte, kind byte, calls ...uint64) []byte {
	b = append(b, kind)
	for _, n := range calls {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

// parseList parses the calls of a message behind its kind.
func parseList(b []byte) (calls []uint64, ok bool) {
	if len(b)%8 != 0 || len(b) == 0 || len(b) > 8*maxListed {
		return nil, false
	}
	calls = make([]uint64, 0, len(b)/8)
	for ; len(b) > 0; b = b[8:] {
		calls = append(calls, binary.BigEndian.Uint64(b))
	}
	return calls, true
}
