// Package codec has the library's own codecs. The root package documents what programs may expect
// of them.
//
//   - msgpack.go, json.go: the codecs.
//   - sendable.go: refuses values that MessagePack's library would send in part.
//   - strict.go: refuses data that the library would decode in part.
//   - limits.go: refuses lists that are too long, before memory is made for them.
//   - fields.go: a struct's fields as the library encodes them, for both checks.
package codec

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

// Msgpack is the default codec.
type Msgpack struct{}

// All calls share one handle, and encoders and decoders are reused. A handle per call takes seven
// times the time and 25 times the allocations.
var (
	msgpackHandle   = newMsgpackHandle()
	msgpackEncoders = sync.Pool{New: func() any { return codec.NewEncoderBytes(new([]byte), msgpackHandle) }}
	msgpackDecoders = sync.Pool{New: func() any { return codec.NewDecoderBytes(nil, msgpackHandle) }}
)

// The interfaces of types that encode themselves, and the types that the library encodes in its own
// way.
var (
	selfer           = reflect.TypeFor[codec.Selfer]()
	marshaler        = reflect.TypeFor[encoding.BinaryMarshaler]()
	unmarshaler      = reflect.TypeFor[encoding.BinaryUnmarshaler]()
	encodedByLibrary = []reflect.Type{reflect.TypeFor[time.Time](), reflect.TypeFor[codec.Raw](), reflect.TypeFor[codec.RawExt]()}
)

// newMsgpackHandle configures the library.
func newMsgpackHandle() *codec.MsgpackHandle {
	h := new(codec.MsgpackHandle)
	h.WriteExt = true // the current format, which tells strings from bytes
	h.MapType = reflect.TypeFor[map[string]any]()
	h.MaxInitLen = 1024 // a claimed length is untrusted: slices grow with the data that follows
	return h
}

// Name implements the root's Codec, as do Append and Decode.
func (Msgpack) Name() string { return "msgpack" }

func (Msgpack) Append(dst []byte, v any) ([]byte, error) {
	if err := checkSendable(v); err != nil {
		return dst, err
	}
	e := msgpackEncoders.Get().(*codec.Encoder)
	defer msgpackEncoders.Put(e)
	b := dst[len(dst):] // the encoder begins there, and makes 1 KiB if there is no slice at all
	e.ResetBytes(&b)
	err := e.Encode(v)
	return append(dst, b...), err // onto itself if there was room
}

func (Msgpack) Decode(data []byte, v any) error {
	if len(data) == 0 {
		return errors.New("msgpack: no data")
	}
	d := msgpackDecoders.Get().(*codec.Decoder)
	defer msgpackDecoders.Put(d)
	d.ResetBytes(data)
	if err := d.Decode(v); err != nil {
		return err
	}
	if n := d.NumBytesRead(); n != len(data) {
		return fmt.Errorf("msgpack: %d bytes follow the value", len(data)-n)
	}
	return checkDecoded(data, v)
}
