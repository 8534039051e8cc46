package ringdht

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"

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

// Msgpack is the default codec: MessagePack with the names of struct fields, so
// that members of different versions understand each other.
func Msgpack() Codec { return msgpack{} }

// JSON is the codec for those who want to read along, or write a member in a
// language without MessagePack. It is several times slower. Incarnations and
// tokens use all 64 bits of an integer, so its reader must not make them floats.
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

func newMsgpackHandle() *codec.MsgpackHandle {
	h := new(codec.MsgpackHandle)
	h.WriteExt = true // the current format: strings and bytes apart
	h.RawToString = true
	h.MapType = reflect.TypeFor[map[string]any]()
	h.MaxInitLen = 1024 // a length is a claim: slices grow with what really follows
	return h
}

func (msgpack) Name() string { return "msgpack" }

func (msgpack) Append(dst []byte, v any) ([]byte, error) {
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
	return nil
}
