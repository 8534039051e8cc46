//go:build linux

package chaos

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// header is the start of a message's body: the number of the process that sent it (an ID can
// be given out again), the ID of the sink, the number among the messages of this pair, and
// the time at which the source wanted to send it. Padding and a checksum over the whole
// body follow.
type header struct {
	process uint64
	sink    uint64
	n       uint64
	at      int64 // nanoseconds of the clock that all processes share
}

const (
	headerSize = 32
	sumSize    = 4
	minBody    = headerSize + sumSize
)

var errBody = errors.New("not a body of this test")

// put writes the header and the checksum into a body, and leaves the padding.
func (h header) put(body []byte) {
	binary.BigEndian.PutUint64(body, h.process)
	binary.BigEndian.PutUint64(body[8:], h.sink)
	binary.BigEndian.PutUint64(body[16:], h.n)
	binary.BigEndian.PutUint64(body[24:], uint64(h.at))
	end := len(body) - sumSize
	binary.BigEndian.PutUint32(body[end:], crc32.ChecksumIEEE(body[:end]))
}

func parse(body []byte) (header, error) {
	if len(body) < minBody {
		return header{}, fmt.Errorf("%w: %d bytes", errBody, len(body))
	}
	end := len(body) - sumSize
	if crc32.ChecksumIEEE(body[:end]) != binary.BigEndian.Uint32(body[end:]) {
		return header{}, fmt.Errorf("%w: wrong checksum", errBody)
	}
	return header{
		process: binary.BigEndian.Uint64(body),
		sink:    binary.BigEndian.Uint64(body[8:]),
		n:       binary.BigEndian.Uint64(body[16:]),
		at:      int64(binary.BigEndian.Uint64(body[24:])),
	}, nil
}
