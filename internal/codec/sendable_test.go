package codec

import (
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

type job struct {
	Name string
	Done func()
}

type batch struct {
	Jobs  []job
	Extra any
	Next  *batch
}

type (
	closer    func() error
	silent    struct{ done func() }
	twoNames  struct{ A, B int }
	sameName  struct{ A, B int }
	embedding struct {
		silent // unexported, and so are its fields
		twoNames
		sync.Mutex
		N int
	}
	ambiguous struct {
		twoNames
		sameName
	}
	Inner    struct{ Name, Only string }
	shadowed struct {
		Inner
		Name string // hides the one in Inner
	}
	left struct { // all that cannot be sent is excluded
		N    int
		done chan int
		Skip func()     `codec:"-"`
		Too  complex128 `json:"-"`
	}
	embedsFunc struct{ closer }
	EmbedsFunc struct{ Closer }
	Closer     func() error
	inText     struct{ s string }
	inBytes    struct{ s string }
	inItself   struct{ f func() }
	coils      []coils
	rounds     map[string]rounds
	pointer    *pointer
)

// A text marshaler is not asked by MessagePack.
func (t inText) MarshalText() ([]byte, error)    { return []byte(t.s), nil }
func (t *inText) UnmarshalText(b []byte) error   { t.s = string(b); return nil }
func (b inBytes) MarshalBinary() ([]byte, error) { return []byte(b.s), nil }
func (b *inBytes) UnmarshalBinary(d []byte) error {
	b.s = string(d)
	return nil
}
func (s *inItself) CodecEncodeSelf(e *codec.Encoder) { e.MustEncode(5) }
func (s *inItself) CodecDecodeSelf(d *codec.Decoder) { d.MustDecode(new(int)) }

func TestMsgpackRefusesWhatDoesNotComeBack(t *testing.T) {
	knot := &batch{}
	knot.Next = knot
	var itself any
	itself = &itself
	coil := coils{nil}
	coil[0] = coil
	round := rounds{}
	round["x"] = round
	var end pointer
	end = &end
	listed := []any{1, nil}
	listed[1] = listed
	for _, tt := range []struct {
		v    any
		want string
	}{
		{func() {}, "a func cannot be sent"},
		{(func())(nil), "a func cannot be sent"},
		{closer(nil), "a func cannot be sent"},
		{make(chan int), "a chan cannot be sent"},
		{make(<-chan byte), "a chan cannot be sent"},
		{complex64(1), "a complex64 cannot be sent"},
		{complex(1, 2), "a complex128 cannot be sent"},
		{unsafe.Pointer(knot), "an unsafe.Pointer cannot be sent"},
		{job{}, "field Done: a func cannot be sent"},
		{&job{}, "field Done: a func cannot be sent"},
		{struct{ C complex64 }{}, "field C: a complex64 cannot be sent"},
		{struct{ P unsafe.Pointer }{}, "field P: an unsafe.Pointer cannot be sent"},
		{struct {
			C chan int `json:"c,omitempty"`
		}{}, "field C: a chan cannot be sent"},
		{batch{Jobs: []job{{}, {}}}, "field Jobs[0].Done: a func cannot be sent"},
		{batch{Extra: []any{1, map[string]any{"x": job{}}}}, `field Extra[1]["x"].Done: a func cannot be sent`},
		{batch{Next: &batch{Extra: make(chan int)}}, "field Next.Extra: a chan cannot be sent"},
		{[2]chan int{}, "element [0]: a chan cannot be sent"},
		{[]any{nil, 5, func() {}}, "element [2]: a func cannot be sent"},
		{map[string]func(){"f": nil}, `element ["f"]: a func cannot be sent`},
		{map[chan int]bool{nil: true}, "element [a key]: a chan cannot be sent"},
		{map[any]int{complex(1, 1): 1}, "element [a key]: a complex128 cannot be sent"},
		{map[[1]any]int{{make(chan int)}: 1}, "element [a key][0]: a chan cannot be sent"},
		{EmbedsFunc{}, "field Closer: a func cannot be sent"},
		{struct{ E error }{errors.New("x")}, "field E: a value of type errors.errorString has no exported fields"},
		{*big.NewInt(5), "a value of type big.Int has no exported fields"},
		{silent{}, "a value of type codec.silent has no exported fields"},
		{struct{ N atomic.Int64 }{}, "field N: a value of type atomic.Int64 has no exported fields"},
		{inText{"x"}, "a value of type codec.inText has no exported fields"},
		{ambiguous{}, `field A: it is sent by the name "A", as A is`},
		{struct {
			A int `codec:"x"`
			B int `codec:"x"`
		}{}, `field B: it is sent by the name "x", as A is`},
		{knot, "contains itself"},
		{itself, "contains itself"},
		{coil, "contains itself"},
		{round, "contains itself"},
		{end, "contains itself"},
		{listed, "contains itself"},
	} {
		b, err := msgpack.Append(nil, tt.v)
		if err == nil || !strings.Contains(err.Error(), tt.want) || len(b) > 0 {
			t.Errorf("%T: %v, expected %q", tt.v, err, tt.want)
		} else if n := len(err.Error()); n > 400 {
			t.Errorf("%T: an error of %d bytes", tt.v, n)
		}
	}
}

func TestMsgpackReturnsWhatItTakes(t *testing.T) {
	five := 5
	deep := &batch{Jobs: []job{}}
	for range 20 {
		deep = &batch{Jobs: []job{}, Extra: "x", Next: deep}
	}
	for _, v := range []any{
		true, int8(-128), int16(-3), int32(-4), int64(-1 << 63), uint8(255), uint16(7), uint32(8), uint64(1<<64 - 1), uint(9), uintptr(10), float32(1.5), 2.5, "x", "\xff\xfe",
		[]byte("b"), []byte{}, []byte(nil), []int{}, []int(nil), map[string]int{}, map[string]int(nil), [3]byte{1, 2, 3}, [2]int16{-1, 2}, []string{"a"}, [][2]bool{{true, false}},
		map[int64][]string{-5: {"x"}}, map[bool]float64{true: 1}, map[twoNames]string{{1, 2}: "y"}, map[[2]int8]string{{1, 2}: "y"}, map[float64]int{1.5: 2}, map[any]any{"x": int64(-5), int64(-6): true},
		twoNames{1, 2}, struct{}{}, struct{ P **int }{}, &five, shadowed{Inner{"", "o"}, "n"}, left{N: 1, done: nil}, struct{ F []func() }{}, struct{ J *job }{}, struct{ M map[string]chan int }{},
		[]any{nil, int64(-1), uint64(1 << 63), uint64(200), 1.5, "s", []byte("b"), true, map[string]any{"x": []any{}}, time.Unix(5, 6).UTC()},
		time.Unix(-5, 7).UTC(), time.Time{}, time.Unix(1<<35, 9).UTC(), time.Second, netip.MustParseAddr("::1"), net.ParseIP("1.2.3.4"), url.URL{Scheme: "http", Host: "x", Path: "/y"}, inBytes{"b"}, &inBytes{"c"}, []inBytes{{"d"}},
		deep, struct{ Next *int }{}, struct{ E error }{}, [0]func(){}, []func(){}, map[string]any(nil),
	} {
		b, err := msgpack.Append(nil, v)
		if err != nil {
			t.Errorf("%T: %v", v, err)
			continue
		}
		back := reflect.New(reflect.TypeOf(v))
		if err := msgpack.Decode(b, back.Interface()); err != nil || !reflect.DeepEqual(back.Elem().Interface(), v) {
			t.Errorf("%T %+v came back as %+v, %v", v, v, back.Elem(), err)
		}
	}
	for _, v := range []any{nil, (*job)(nil), &inItself{}, inItself{f: func() {}}, struct{ S inItself }{}, &embedding{silent: silent{func() {}}, N: 3}, embedsFunc{closer: nil}} {
		if _, err := msgpack.Append(nil, v); err != nil {
			t.Errorf("%T: %v", v, err)
		}
	}
}

// What is nested as deep as can be read is sent, and nothing deeper.
func TestMsgpackNesting(t *testing.T) {
	nested := func(depth int, inner any) any {
		for range depth {
			inner = []any{inner}
		}
		return inner
	}
	for _, inner := range []any{1, []int{1}, [][]int{{1}}, map[string][1]twoNames{"x": {}}, &twoNames{}} {
		depth := 0
		for ; checkSendable(nested(depth, inner)) == nil; depth++ {
		}
		b, err := msgpack.Append(nil, nested(depth-1, inner))
		if err != nil {
			t.Fatal(err)
		}
		var back any
		if err := msgpack.Decode(b, &back); err != nil {
			t.Errorf("%T: %d levels are sent, but not read: %v", inner, depth-1, err)
		}
		if err := msgpack.Decode(slices.Concat([]byte{0x91}, b), new(any)); err == nil {
			t.Errorf("%T: %d levels are refused, but could be read", inner, depth)
		}
	}
	// Pointers do not count: none is sent.
	type list struct{ Next *list }
	var l *list
	for range 1023 {
		l = &list{l}
	}
	b, err := msgpack.Append(nil, l)
	if err != nil {
		t.Fatal(err)
	}
	if err := msgpack.Decode(b, new(list)); err != nil {
		t.Error(err)
	}
}

// The rules by which fields are found are the library's: it is asked which names it
// writes, and where it puts a value by that name.
func TestMsgpackFields(t *testing.T) {
	type Deep struct{ Inner }
	type recursive struct {
		N int
		*shadowed
	}
	type Pointed struct{ P int }
	for _, v := range []any{
		twoNames{}, shadowed{}, embedding{}, left{}, struct{ Deep }{}, recursive{}, struct{ *Pointed }{&Pointed{}}, struct {
			Inner `json:"in"`
			X     int `codec:"y,omitempty" json:"z"`
		}{X: 1}, struct {
			A int `json:",omitempty"`
			B int `codec:"" json:"bee"`
			c int
		}{A: 1}, struct {
			Deep
			Inner
		}{}, struct{ fmt.Stringer }{}, struct {
			_struct bool `codec:",omitempty"`
			N       int
		}{N: 1},
	} {
		b, err := msgpack.Append(nil, v)
		if err != nil {
			t.Fatalf("%T: %v", v, err)
		}
		wrote := map[string]codec.Raw{}
		h := newMsgpackHandle()
		h.Raw = true
		if err := codec.NewDecoderBytes(b, h).Decode(&wrote); err != nil {
			t.Fatalf("%T: %v", v, err)
		}
		var wrong []string
		for _, f := range packed(reflect.TypeOf(v)).fields {
			if _, ok := wrote[f.name]; !ok {
				wrong = append(wrong, "not written: "+f.name)
			}
			delete(wrote, f.name)
		}
		for name := range wrote {
			wrong = append(wrong, "not known: "+name)
		}
		if wrong != nil {
			t.Errorf("%T: %q", v, wrong)
		}
	}
	f := packed(reflect.TypeFor[shadowed]()).fields
	if len(f) != 2 || !slices.Equal(f[0].index, []int{0, 1}) || !slices.Equal(f[1].index, []int{1}) {
		t.Errorf("%+v", f)
	}
}

type greeting struct {
	Text string   `json:"text"`
	N    int64    `json:"n"`
	IDs  []uint64 `json:"ids"`
}

func BenchmarkMsgpackAppend(b *testing.B) {
	for name, v := range map[string]any{
		"struct": greeting{"hello", 5, []uint64{1, 2, 3}},
		"any":    map[string]any{"a": 1, "b": "x", "c": []any{1.5, "y"}, "d": true},
		"list":   &batch{Next: &batch{Next: &batch{}}},
	} {
		b.Run(name, func(b *testing.B) {
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if buf, err = msgpack.Append(buf[:0], v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
