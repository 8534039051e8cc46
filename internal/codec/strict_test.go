package codec

import (
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"github.com/x/ringdht/internal/control"
)

// numbers has a place for every kind of number, in every kind of container.
type numbers struct {
	I8  int8
	I16 int16
	I32 int32
	I64 int64
	I   int
	U8  uint8
	U16 uint16
	U32 uint32
	U64 uint64
	U   uint
	UP  uintptr
	F32 float32
	F64 float64
	P   *int64
	S   []int64
	B   []byte
	A   [3]int16
	AB  [2]byte
	M   map[string]int64
	K   map[int64]uint16
	N   struct{ X int64 }
	L   []struct {
		X int64
		Y *float64
	}
	Any any
	T   string
	Inner2
}

type Inner2 struct{ E, G int64 }

// What comes back is the number that was sent, or an error.
func TestMsgpackNumbersFit(t *testing.T) {
	wide := []byte{0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0} // 2^63
	most := []byte{0xcf, 255, 255, 255, 255, 255, 255, 255, 255}
	join := func(parts ...any) []byte {
		var b []byte
		for _, p := range parts {
			switch p := p.(type) {
			case int:
				b = append(b, byte(p))
			case string:
				b = append(append(b, byte(0xa0+len(p))), p...)
			case []byte:
				b = append(b, p...)
			}
		}
		return b
	}
	for _, tt := range []struct {
		data []byte
		want string
	}{
		{join(0x81, "I64", wide), "field I64: 9223372036854775808 does not fit into int64"},
		{join(0x81, "I8", most), "field I8: 18446744073709551615 does not fit into int8"},
		{join(0x81, "I16", most), "field I16: "},
		{join(0x81, "I32", most), "field I32: "},
		{join(0x81, "I", wide), ""},
		{join(0x81, "F64", wide), "field F64: "},
		{join(0x81, "F32", most), "field F32: "},
		{join(0x81, "P", wide), "field P: "},
		{join(0x81, "S", 0x92, 1, wide), "field S[1]: "},
		{join(0x81, "S", 0x81, 1, wide), "field S[1]: "},
		{join(0x81, "M", 0x81, "x", wide), "field M[a value]: "},
		{join(0x81, "K", 0x81, wide, 1), "field K[a key]: "},
		{join(0x81, "N", 0x81, "X", wide), "field N.X: "},
		{join(0x81, "N", 0x91, wide), "field N.X: "},
		{join(0x82, "other", 0x93, 1, 0xc0, wide, "L", 0x92, 0x80, 0x82, "Z", wide, "Y", wide), "field L[1].Y: "},
		{join(0x81, "E", wide), "field E: "},
		{join(0x83, "N", 0x93, 1, 2, 0x92, 3, 4, "other", 0xc7, 2, 5, 0xcf, 0xff, "E", wide), "field E: "},
		{join(0x82, "other", 0xd5, 5, 0xcf, 0xff, "E", wide), "field E: "},
		{join(0x82, "U64", wide, "G", wide), "field G: "},
		{join(0x91, most), "field I8: "},
		{join(0x81, "A", 0x94, 1, 2, 3, 4), "field A: 4 elements do not fit into [3]int16"},
		{join(0x81, "AB", 0xc4, 3, 1, 2, 3), "field AB: 3 elements do not fit into [2]uint8"},
		{join(0x81, "I8", 0xcc, 128), ""},
		{join(0x81, "U8", 0xff), ""},
		{join(0x81, "U16", 0xd3, 255, 255, 255, 255, 255, 255, 255, 255), ""},
		{join(0x81, "U16", 0xce, 0, 1, 0, 0), ""},
		{join(0x81, "I64", 0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0), ""},
		{join(0x81, "F32", 0xcb, 0x7f, 0xe0, 0, 0, 0, 0, 0, 0), ""},
	} {
		err := msgpack.Decode(tt.data, new(numbers))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("% x: %v, expected %q", tt.data, err, tt.want)
		}
	}
	var m map[string]int
	if err := msgpack.Decode(append([]byte{0x90}, strings.Repeat("\xa1x\x01", 16)...), &m); err == nil {
		t.Errorf("a list was read as %v", m)
	}
	for _, data := range [][]byte{
		join(0x83, "U64", most, "UP", 1, "Any", wide),
		join(0x82, "T", "\xcf\xff", "B", 0xc4, 9, wide),
		join(0x82, "none", wide, "more", 0x81, wide, 0x92, most, most),
		join(0x82, "A", 0x92, 1, 2, "AB", 0xc4, 1, 9),
	} {
		if err := msgpack.Decode(data, new(numbers)); err != nil {
			t.Errorf("% x: %v", data, err)
		}
	}
	var into any = new(int64) // an interface that holds a place
	if err := msgpack.Decode(wide, &into); err == nil {
		t.Errorf("2^63 became %d", *into.(*int64))
	}
}

// Every message that a registry or a node reads says so, too.
func TestControlNumbersFit(t *testing.T) {
	for _, v := range []any{
		new(control.Register), new(control.Registered), new(control.Manifest), new(control.Update), new(control.Announce), new(control.Beat), new(control.BeatAnswer), new(control.Task),
		new(control.Summary), new(control.Pairs), new(control.Traced), new(control.Refused),
	} {
		for _, f := range packed(reflect.TypeOf(v).Elem()).fields {
			if k := f.typ.Kind(); k < reflect.Int || k > reflect.Int64 {
				continue
			}
			for _, n := range []string{"9223372036854775808", "18446744073709551615"} {
				u, _ := new(big.Int).SetString(n, 10)
				data := append([]byte{0x81, byte(0xa0 + len(f.name))}, f.name...)
				if err := msgpack.Decode(append(append(data, 0xcf), bigEndian(u.Uint64(), 8)...), v); err == nil {
					t.Errorf("%T: %s took %s", v, f.name, n)
				}
				if err := jsonText.Decode(fmt.Appendf(nil, `{%q:%s}`, f.name, n), v); err == nil {
					t.Errorf("%T: %s took %s in JSON", v, f.name, n)
				}
			}
		}
	}
}

func BenchmarkMsgpackDecode(b *testing.B) {
	status := control.Status{Epoch: 7, Members: 10000, Counters: make([]int64, 20), Hops: make([]int64, 14), Latency: make([]int64, 20), Streams: make([]int64, 6), Limits: make([]int64, 6)}
	for i := range 14 {
		status.Links = append(status.Links, uint64(i)*1021, 1, 1<<30+uint64(i), 0)
		status.Counters[i], status.Hops[i], status.Latency[i] = 1<<(2*i), 1000*int64(i), 1<<i
	}
	wide := status
	wide.Links = append([]uint64{math.MaxUint64}, status.Links[1:]...)
	for _, of := range []struct {
		name string
		beat control.Beat
	}{
		{"beat", control.Beat{Every: 1, Sent: 123456, Received: 654321}},
		{"status", control.Beat{Every: 1, Status: []control.Status{status}}},
		{"status with an ID of 64 bits", control.Beat{Every: 1, Status: []control.Status{wide}}},
	} {
		data, err := msgpack.Append(nil, of.beat)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(of.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var m control.Beat
				if err := msgpack.Decode(data, &m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

var (
	msgpack  Msgpack
	jsonText JSON
)
