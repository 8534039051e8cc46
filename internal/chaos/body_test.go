//go:build linux

package chaos

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// A message's body: who sent it (the number of the process, not an ID, which can be
// given out again), for which ID, which in the row from there to there, when its
// source wanted to send it, padding, and a checksum over all of it.
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

// put writes the header into a body, whose padding stays what it was.
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
