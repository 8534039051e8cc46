package ringdht

import "github.com/x/ringdht/internal/codec"

// Codec turns values into bytes and back: the messages between nodes and registry, and what
// programs send with [Service.SendValue]. All members of a ring use the same codec; the handshake
// compares names. Relays never use it.
//
// A codec must be safe for concurrent use. It must carry structs with fields of integers, booleans,
// strings, and slices of these or of such structs, tagged for encoding/json, and what the program
// itself sends.
type Codec interface {
	// Name identifies the codec in the handshake. It has 1 to 255 bytes.
	Name() string
	// Append appends the encoding of v to dst.
	Append(dst []byte, v any) ([]byte, error)
	// Decode decodes data, all of it, into v, a pointer. It must not keep data, must not trust it,
	// and must not take more memory than a small multiple of its length.
	Decode(data []byte, v any) error
}

// Msgpack is the default codec: MessagePack with the names of struct fields, so that members of
// different versions understand each other. It uses the tags of encoding/json, and `codec` tags,
// which come first.
//
// A value that would not come back is an error at the sender, which names the field: a func, chan,
// complex number or unsafe.Pointer anywhere in the value; a struct with fields of which none is
// exported (big.Int, most errors); two fields of one name; a value that contains itself, or is
// nested more than 1,023 levels deep. Unexported fields, and those with the tag "-", are not sent.
// Types that implement encoding.BinaryMarshaler and BinaryUnmarshaler encode themselves. Text
// marshalers are not used.
//
// A number that does not fit where it is decoded is an error at the receiver, and so are a float
// for an integer and a list longer than its array. These values come back changed:
//
//   - time.Time: in UTC, without its monotonic clock
//   - an integer in a float: rounded, as is a float64 in a float32
//   - pointers: as what they point at; two pointers to one value become two values
//   - in an interface: integers as int64 or uint64, float32 as float64, lists as []any,
//     structs and maps as map[string]any; a key that is no string is an error there
//
// A nil slice or map comes back as nil and an empty one as empty. Strings may hold any bytes.
func Msgpack() Codec { return codec.Msgpack{} }

// JSON is a codec that people can read, for members written in a language without MessagePack. It
// is several times slower. Incarnations and tokens use all 64 bits of an integer, so a reader must
// not convert them to floats.
//
// encoding/json decides what can be sent: funcs, chans, complex numbers, NaN, infinities, and
// values that contain themselves are errors at the sender, and numbers that do not fit are errors
// at the receiver. It silently replaces bytes that are not UTF-8 in strings, sends a struct without
// exported fields as an empty one, leaves out fields that share a name, and makes every number in
// an interface a float64.
func JSON() Codec { return codec.JSON{} }
