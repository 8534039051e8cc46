package stream

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// FuzzStream feeds operations and frames made of arbitrary bytes to both halves. They are not
// connected: each must keep to its model whatever the other side sends.
func FuzzStream(f *testing.F) {
	open := []byte{7, 1, 0, 0, 0, 0, 200, 5, 0, 0} // a window of 6,400 bytes
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		ops := bytes.Clone(open)
		for range 400 {
			ops = append(ops, byte(r.Uint32()))
		}
		f.Add(ops)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in := input(data[:min(len(data), 4000)])
		src, dst := newSenderModel(t), newReceiverModel(t)
		for len(in) > 0 {
			if op := in.byte(); op < 128 {
				src.do(op, &in)
			} else {
				dst.do(op, &in)
			}
		}
	})
}

// input deals out the bytes of a test case, and zeroes behind its end.
type input []byte

func (in *input) byte() byte {
	if len(*in) == 0 {
		return 0
	}
	b := (*in)[0]
	*in = (*in)[1:]
	return b
}

func (in *input) bytes(n int) []byte {
	b := make([]byte, n)
	*in = (*in)[copy(b, *in):]
	return b
}

// number returns a number near one of the interesting ones, or any other.
func (in *input) number(near ...uint64) uint64 {
	how := in.byte()
	if how == 255 {
		return binary.BigEndian.Uint64(in.bytes(8))
	}
	return near[int(how)%len(near)] + uint64(int64(int8(in.byte())))
}
