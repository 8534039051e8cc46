package ringtest

import (
	"errors"
	"sync/atomic"

	"github.com/x/ringdht/internal/codec"
)

// FailingCodec is the default codec of a member that cannot decode some messages.
type FailingCodec struct {
	codec.Msgpack
	Fails  func(v any) bool // whether decoding into v fails
	Failed atomic.Int64     // calls that failed
}

// Decode decodes data into v, unless Fails says otherwise.
func (c *FailingCodec) Decode(data []byte, v any) error {
	if c.Fails(v) {
		c.Failed.Add(1)
		return errors.New("illegible")
	}
	return c.Msgpack.Decode(data, v)
}
