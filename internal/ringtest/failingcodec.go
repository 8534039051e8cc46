package ringtest

import (
	"errors"
	"sync/atomic"

	"github.com/x/ringdht/internal/codec"
)

// Illiterate is the default codec of a member that cannot read some messages.
type Illiterate struct {
	codec.Msgpack
	Cannot func(v any) bool
	Tried  atomic.Int64
}

func (c *Illiterate) Decode(data []byte, v any) error {
	if c.Cannot(v) {
		c.Tried.Add(1)
		return errors.New("illegible")
	}
	return c.Msgpack.Decode(data, v)
}
