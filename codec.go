package ringdht

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

// Codec turns values into bytes and back: the messages between nodes and their
// registry, and what programs send with [Node.SendValue]. All members of a ring
// use the same; the handshake compares names. Relays never use it.
//
// A codec must be safe for concurrent use. It meets structs with fields of
// integers, booleans, strings, and slices of these or of such structs, tagged for
// encoding/json, and whatever the program itself sends.
type Codec interface {
	// Name identifies the codec in the handshake; at most 255 bytes.
	Name() string
	// Append appends the encoding of v to dst.
	Append(dst []byte, v any) ([]byte, error)
	// Decode decodes data, all of it, into v, a pointer. It must not keep data,
	// must not trust it, and must not take more memory than a small multiple of
	// its length.
	Decode(data []byte, v any) error
}

// Msgpack is the default codec: MessagePack with the names of struct fields, so that
// members of different versions understand each other. Tags are those of encoding/json, or
// `codec` tags, which come first.
//
// A value that would not come back is an error at the sender, which names the field: a
// func, chan, complex number or unsafe.Pointer, wherever in the value it is; a struct with
// fields but no exported one (big.Int, most errors); two fields of one name; what contains
// itself, or is nested more than 1,023 levels deep. Unexported fields, and those with the
// tag "-", are not sent. Types that implement encoding.BinaryMarshaler and BinaryUnmarshaler
// encode themselves. (Text marshalers are not asked.)
//
// A number that does not fit where it is decoded is an error at the receiver, and so are a
// float for an integer and a list longer than its array. These come back changed:
//
//   - time.Time in UTC, without its monotonic clock
//   - an integer in a float, rounded; a float64 in a float32, too
//   - pointers as what they point at: two to one value become two values
//   - in an interface, integers as int64 or uint64, float32 as float64, lists as []any, and
//     structs and maps as map[string]any; a key that is no string is an error there
//
// A nil slice or map comes back as nil and an empty one as empty; strings may hold any bytes.
func Msgpack() Codec { return msgpack{} }

// JSON is the codec for those who want to read along, or write a member in a
// language without MessagePack. It is several times slower. Incarnations and
// tokens use all 64 bits of an integer, so its reader must not make them floats.
//
// What may be sent is up to encoding/json: funcs, chans, complex numbers, NaN and infinities, and
// values that contain themselves are errors at the sender, and numbers that do not fit at the
// receiver. Without an error, it replaces bytes that are not UTF-8 in strings, sends a struct without
// exported fields as an empty one, leaves out fields that share a name, and makes every number
// in an interface a float64.
func JSON() Codec { return jsonCodec{} }

type jsonCodec struct{}

func (jsonCodec) Name() string { return "json" }

func (jsonCodec) Append(dst []byte, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	return append(dst, b...), err
}

func (jsonCodec) Decode(data []byte, v any) error { return json.Unmarshal(data, v) }

type msgpack struct{}

// One handle for all, and encoders that are used again: a handle per call costs
// seven times the time and 25 times the allocations.
var (
	msgpackHandle   = newMsgpackHandle()
	msgpackEncoders = sync.Pool{New: func() any { return codec.NewEncoderBytes(new([]byte), msgpackHandle) }}
	msgpackDecoders = sync.Pool{New: func() any { return codec.NewDecoderBytes(nil, msgpackHandle) }}
)

// Types that encode themselves, and those that the library knows.
var (
	selfer          = reflect.TypeFor[codec.Selfer]()
	marshaler       = reflect.TypeFor[encoding.BinaryMarshaler]()
	unmarshaler     = reflect.TypeFor[encoding.BinaryUnmarshaler]()
	packedByLibrary = []reflect.Type{reflect.TypeFor[time.Time](), reflect.TypeFor[codec.Raw](), reflect.TypeFor[codec.RawExt]()}
)

func newMsgpackHandle() *codec.MsgpackHandle {
	h := new(codec.MsgpackHandle)
	h.WriteExt = true // the current format: strings and bytes apart
	h.MapType = reflect.TypeFor[map[string]any]()
	h.MaxInitLen = 1024 // a length is a claim: slices grow with what really follows
	return h
}

func (msgpack) Name() string { return "msgpack" }

func (msgpack) Append(dst []byte, v any) ([]byte, error) {
	if err := checkSendable(v); err != nil {
		return dst, err
	}
	e := msgpackEncoders.Get().(*codec.Encoder)
	defer msgpackEncoders.Put(e)
	var b []byte
	e.ResetBytes(&b)
	err := e.Encode(v)
	return append(dst, b...), err
}

func (msgpack) Decode(data []byte, v any) error {
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
