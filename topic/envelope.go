package topic

import (
	"encoding/binary"
	"fmt"

	"github.com/x/ringdht"
	"github.com/x/ringdht/rpc"
)

// envelope is a message as it travels, the body of the core's frames:
//
//	stamp    8 bytes
//	subject  its length in a byte, and the subject
//	meta     the number of entries in a byte; for each the key, as the subject, and the value behind
//	         its length in 2 bytes
//	value    by the codec of the ring
//
// Stamps are Lamport times: a message has a greater one than each that its publisher had got. They
// order the messages of several publishers, for the sake of retained ones. At maxStamp they stand still, so
// that no member's stamp makes those of the others wrap.
type envelope struct {
	stamp   uint64
	subject []byte
	meta    []byte // checked
	value   []byte
	all     []byte // what the others are parts of
}

// The bounds of an envelope's parts are those of requests.
const (
	stampSize = 8
	maxName   = 255      // bytes of a subject, of a key of the metadata
	maxMeta   = 64       // entries
	metaBytes = 16 << 10 // of all keys and values
	maxStamp  = 1 << 62  // messages of a sound ring do not get there
)

// appendEnvelope appends all but the value, with no stamp yet.
func appendEnvelope(b []byte, subject string, meta rpc.Meta) ([]byte, error) {
	if len(subject) > maxName {
		return nil, fmt.Errorf("%w: the subject has %d bytes, at most %d", ringdht.ErrTooLarge, len(subject), maxName)
	}
	b = append(b, make([]byte, stampSize)...)
	b = append(append(b, byte(len(subject))), subject...)
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

func setStamp(b []byte, stamp uint64) { binary.BigEndian.PutUint64(b, stamp) }

// parseEnvelope reads what a publisher has written.
func parseEnvelope(b []byte) (e envelope, ok bool) {
	if len(b) < stampSize {
		return envelope{}, false
	}
	if e.all, e.stamp = b, binary.BigEndian.Uint64(b); e.stamp > maxStamp {
		return envelope{}, false
	}
	if e.subject, b, ok = cut(b[stampSize:], 1); !ok || len(b) == 0 || b[0] > maxMeta {
		return envelope{}, false
	}
	n, from := int(b[0]), b[1:]
	b = from
	for range n {
		if _, b, ok = cut(b, 1); !ok {
			return envelope{}, false
		}
		if _, b, ok = cut(b, 2); !ok {
			return envelope{}, false
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

// metaOf makes a map of checked metadata, nil if there is none.
func metaOf(b []byte) (m rpc.Meta) {
	for len(b) > 0 {
		if m == nil {
			m = make(rpc.Meta, 4)
		}
		var k, v []byte
		k, b, _ = cut(b, 1)
		v, b, _ = cut(b, 2)
		m[string(k)] = string(v)
	}
	return m
}
