package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/x/ringdht/internal/control"
)

// packNumber encodes an integer in any of the ways that have room for it.
func packNumber(r *rand.Rand, n *big.Int) []byte {
	var ways [][]byte
	if n.IsUint64() {
		u := n.Uint64()
		for i := range 4 {
			if i == 3 || u>>(8<<i) == 0 {
				ways = append(ways, append([]byte{byte(0xcc + i)}, bigEndian(u, 1<<i)...))
			}
		}
		if u < 128 {
			ways = append(ways, []byte{byte(u)})
		}
	}
	if n.IsInt64() {
		v := n.Int64()
		for i := range 4 {
			if i == 3 || v >= -1<<(8<<i-1) && v < 1<<(8<<i-1) {
				ways = append(ways, append([]byte{byte(0xd0 + i)}, bigEndian(uint64(v), 1<<i)...))
			}
		}
		if v >= -32 && v < 0 {
			ways = append(ways, []byte{byte(v)})
		}
	}
	return ways[r.IntN(len(ways))]
}

func bigEndian(u uint64, n int) []byte { return binary.BigEndian.AppendUint64(nil, u)[8-n:] }

// pick draws an integer, of those near an edge most of the time.
func pick(r *rand.Rand) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), []uint{0, 5, 7, 8, 15, 16, 24, 31, 32, 53, 63, 64}[r.IntN(12)])
	if r.IntN(2) == 0 {
		n.Neg(n)
	}
	n.Add(n, big.NewInt(int64(r.IntN(5)-2)))
	if !n.IsInt64() && !n.IsUint64() {
		n.SetInt64(int64(r.IntN(300) - 150))
	}
	return n
}

// packFor writes data that is meant for t, with numbers that may not fit.
func packFor(r *rand.Rand, t reflect.Type, deep int) []byte {
	if r.IntN(40) == 0 {
		return []byte{0xc0}
	}
	list := func(n int, each func(int) []byte) []byte {
		b := []byte{byte(0x90 + n)}
		for i := range n {
			b = append(b, each(i)...)
		}
		return b
	}
	switch t.Kind() {
	case reflect.Pointer:
		return packFor(r, t.Elem(), deep)
	case reflect.Struct:
		fields := packed(t).fields
		if r.IntN(5) == 0 {
			return list(r.IntN(min(len(fields), 13)+2), func(i int) []byte { return packFor(r, fields[min(i, len(fields)-1)].typ, deep+1) })
		}
		n := r.IntN(4)
		b := []byte{byte(0x80 + n)}
		for _, i := range r.Perm(len(fields) + 2)[:min(n, len(fields)+2)] {
			f := packedField{name: fmt.Sprint("other", i), typ: t}
			if i < len(fields) {
				f = fields[i]
			} else if deep > 3 {
				f.typ = reflect.TypeFor[uint64]()
			}
			b = append(append(b, byte(0xa0+len(f.name))), f.name...)
			b = append(b, packFor(r, f.typ, deep+1)...)
		}
		return b[:len(b):len(b)]
	case reflect.Map:
		n := r.IntN(4)
		b := []byte{byte(0x80 + n)}
		for range n {
			b = append(b, packFor(r, t.Key(), deep+1)...)
			b = append(b, packFor(r, t.Elem(), deep+1)...)
		}
		return b
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			n := r.IntN(4)
			return append([]byte{0xc4, byte(n)}, bigEndian(r.Uint64(), n)...)
		}
		return list(r.IntN(5), func(int) []byte { return packFor(r, t.Elem(), deep+1) })
	case reflect.String:
		return []byte{0xa2, byte(r.Uint32()), 0xcf}
	case reflect.Float32, reflect.Float64:
		if r.IntN(2) == 0 {
			return append([]byte{0xcb}, bigEndian(math.Float64bits(r.NormFloat64()*math.Pow(2, float64(r.IntN(300)-150))), 8)...)
		}
	case reflect.Interface:
		if deep < 4 {
			return packFor(r, []reflect.Type{reflect.TypeFor[map[string]int](), reflect.TypeFor[[]int](), t}[r.IntN(3)], deep+1)
		}
	}
	if r.IntN(30) == 0 {
		return append([]byte{0xcb}, bigEndian(r.Uint64(), 8)...)
	}
	return packNumber(r, pick(r))
}

// What is decoded without an error holds exactly the numbers of the data, as a reader of its
// own finds them for any data.
func FuzzDecodedNumbers(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed, []byte(nil))
	}
	f.Add(uint64(0), []byte("\x81\xa1M\x90"))
	f.Fuzz(func(t *testing.T, seed uint64, data []byte) {
		r := rand.New(rand.NewPCG(seed, 1))
		for _, of := range []any{numbers{}, control.Manifest{}, control.Beat{}, control.Register{}, map[string]map[uint8][2]int32{}, []any{}} {
			typ := reflect.TypeOf(of)
			for _, b := range [][]byte{data, packFor(r, typ, 0)} {
				into := reflect.New(typ)
				if err := msgpack.Decode(b, into.Interface()); err != nil {
					continue
				}
				reading := oracle{data: b}
				v := reading.read()
				if reading.bad || reading.twice || len(reading.data) > 0 {
					continue // twice the same key: which one counts is not said
				}
				if wrong := differs(v, into.Elem()); wrong != "" {
					t.Fatalf("% x in %T: %s\n%+v", b, of, wrong, into.Elem())
				}
			}
		}
	})
}

// oracle reads MessagePack as the specification has it: *big.Int, float64, string (and bytes),
// bool, nil, []any and pairs.
type oracle struct {
	data       []byte
	bad, twice bool
}

type pair struct{ k, v any }

func (o *oracle) take(n uint64) []byte {
	if n > uint64(len(o.data)) {
		o.bad, o.data = true, nil
		return make([]byte, min(n, 16))
	}
	b := o.data[:n]
	o.data = o.data[n:]
	return b
}

func (o *oracle) uint(n uint64) uint64 {
	return new(big.Int).SetBytes(o.take(n)).Uint64()
}

func (o *oracle) read() any {
	b := o.take(1)[0]
	list := func(n uint64) any {
		l := []any{}
		for i := uint64(0); i < n && !o.bad; i++ {
			l = append(l, o.read())
		}
		return l
	}
	pairs := func(n uint64) any {
		l := []pair{}
		for i := uint64(0); i < n && !o.bad; i++ {
			p := pair{o.read(), o.read()}
			for _, other := range l {
				o.twice = o.twice || fmt.Sprint(p.k) == fmt.Sprint(other.k)
			}
			l = append(l, p)
		}
		return l
	}
	switch {
	case b < 0x80:
		return big.NewInt(int64(b))
	case b < 0x90:
		return pairs(uint64(b - 0x80))
	case b < 0xa0:
		return list(uint64(b - 0x90))
	case b < 0xc0:
		return string(o.take(uint64(b - 0xa0)))
	case b >= 0xe0:
		return big.NewInt(int64(b) - 256)
	}
	switch b {
	case 0xc2, 0xc3:
		return b == 0xc3
	case 0xc4, 0xd9:
		return string(o.take(o.uint(1)))
	case 0xc5, 0xda:
		return string(o.take(o.uint(2)))
	case 0xc6, 0xdb:
		return string(o.take(o.uint(4)))
	case 0xca:
		return float64(math.Float32frombits(uint32(o.uint(4))))
	case 0xcb:
		return math.Float64frombits(o.uint(8))
	case 0xcc, 0xcd, 0xce, 0xcf:
		return new(big.Int).SetBytes(o.take(1 << (b - 0xcc)))
	case 0xd0, 0xd1, 0xd2, 0xd3:
		n := uint(1) << (b - 0xd0)
		v := new(big.Int).SetBytes(o.take(uint64(n)))
		if v.Bit(int(8*n-1)) == 1 {
			v.Sub(v, new(big.Int).Lsh(big.NewInt(1), 8*n))
		}
		return v
	case 0xdc:
		return list(o.uint(2))
	case 0xdd:
		return list(o.uint(4))
	case 0xde:
		return pairs(o.uint(2))
	case 0xdf:
		return pairs(o.uint(4))
	case 0xc0:
		return nil
	}
	o.bad = true // extensions, and what is not MessagePack
	return nil
}

// differs compares what was read with what was decoded, and says where they are not equal.
func differs(read any, v reflect.Value) string {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			if read == nil {
				return ""
			}
			return fmt.Sprintf("%v became nil", read)
		}
		v = v.Elem()
	}
	if read == nil {
		if !v.IsZero() {
			return fmt.Sprintf("nil became %v", v)
		}
		return ""
	}
	number := func(got *big.Int) string {
		if want, ok := read.(*big.Int); !ok || got.Cmp(want) != 0 {
			return fmt.Sprintf("%v became %v, in %v", read, got, v.Type())
		}
		return ""
	}
	all := func(list []any, v reflect.Value) string {
		if len(list) > v.Len() {
			return fmt.Sprintf("%d elements became %d", len(list), v.Len())
		}
		for i, e := range list {
			if wrong := differs(e, v.Index(i)); wrong != "" {
				return fmt.Sprintf("[%d]: %s", i, wrong)
			}
		}
		return ""
	}
	switch v.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return number(big.NewInt(v.Int()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return number(new(big.Int).SetUint64(v.Uint()))
	case reflect.Float32, reflect.Float64:
		var want float64
		switch read := read.(type) {
		case float64:
			want = read
		case *big.Int:
			want, _ = new(big.Float).SetInt(read).Float64()
		}
		if v.Kind() == reflect.Float32 {
			want = float64(float32(want))
		}
		if got := v.Float(); got != want && !math.IsNaN(want) {
			return fmt.Sprintf("%v became %v", read, got)
		}
	case reflect.Slice, reflect.Array:
		switch read := read.(type) {
		case []any:
			return all(read, v)
		case []pair:
			var list []any
			for _, p := range read {
				list = append(list, p.k, p.v)
			}
			return all(list, v)
		case string:
			if len(read) > v.Len() || string(v.Bytes()[:len(read)]) != read {
				return fmt.Sprintf("%q became %v", read, v)
			}
		default:
			return fmt.Sprintf("%v became %v", read, v)
		}
	case reflect.Struct:
		p := packed(v.Type())
		switch read := read.(type) {
		case []any:
			for i, e := range read[:min(len(read), len(p.fields))] {
				in, _ := p.fields[i].in(v)
				if wrong := differs(e, in); wrong != "" {
					return p.fields[i].name + ": " + wrong
				}
			}
		case []pair:
			for _, e := range read {
				name, _ := e.k.(string)
				for _, i := range p.byName[name] {
					in, _ := p.fields[i].in(v)
					if wrong := differs(e.v, in); wrong != "" {
						return name + ": " + wrong
					}
				}
			}
		default:
			return fmt.Sprintf("%v became %v", read, v)
		}
	case reflect.Map:
		read, ok := read.([]pair)
		if !ok || len(read) < v.Len() {
			return fmt.Sprintf("%v became %v", read, v)
		}
		for _, e := range read {
			found := false
			for it := v.MapRange(); it.Next() && !found; {
				found = differs(e.k, it.Key()) == "" && differs(e.v, it.Value()) == ""
			}
			if _, zero := e.k.(string); !found && e.k != nil && (zero || v.Type().Key().Kind() != reflect.String) {
				return fmt.Sprintf("%v is not in %v", e, v)
			}
		}
	}
	return ""
}
