package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"sync"
)

// MessagePack's library checks that a number fits into its variable, with one exception. An unsigned
// number of 2^63 or more becomes negative in a signed integer or a float. The library also accepts
// any data for a map, and cuts a list that is longer than its array.
//
// checkDecoded finds these faults by walking the data and the decoded value side by side. It walks
// only if the data may have such a number, which a search for one byte tells, or if the type has a
// map or an array.

// uint64Prefix is the byte before an unsigned number of 64 bits.
const uint64Prefix = 0xcf

// checkDecoded returns an error if some of data did not fit into v, a pointer into which data was
// decoded.
func checkDecoded(data []byte, v any) error {
	t := reflect.TypeOf(v)
	if !mayHaveHugeUint(data) && !hasMapOrArray(t) {
		return nil
	}
	w := walk{data: data}
	if err := w.value(reflect.ValueOf(v)); err != nil {
		return fmt.Errorf("msgpack: %w", err)
	}
	if w.short {
		return errors.New("msgpack: the data ends within a value")
	}
	return nil
}

// mayHaveHugeUint reports whether data may have a number of 2^63 or more. False alarms are rare in
// text and in small integers.
func mayHaveHugeUint(data []byte) bool {
	for {
		i := bytes.IndexByte(data, uint64Prefix)
		if i < 0 || i+1 >= len(data) {
			return false
		}
		if data[i+1] >= 1<<7 {
			return true
		}
		data = data[i+1:]
	}
}

// mapOrArrayTypes caches hasMapOrArray.
var mapOrArrayTypes sync.Map // reflect.Type to bool

// hasMapOrArray reports whether values of a type can have a map or an array in them.
func hasMapOrArray(t reflect.Type) bool {
	if has, ok := mapOrArrayTypes.Load(t); ok {
		return has.(bool)
	}
	has := findMapOrArray(t, make(map[reflect.Type]bool))
	mapOrArrayTypes.Store(t, has)
	return has
}

// findMapOrArray is hasMapOrArray without the cache. seen are the types that were searched.
func findMapOrArray(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] || encodesItself(t) {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Map, reflect.Array:
		return true
	case reflect.Pointer, reflect.Slice:
		return findMapOrArray(t.Elem(), seen)
	case reflect.Struct:
		for _, f := range packed(t).fields {
			if findMapOrArray(f.typ, seen) {
				return true
			}
		}
	}
	return false
}

// walk reads data that the library has accepted, side by side with the decoded value.
type walk struct {
	data  []byte
	short bool // the data ended too early
}

// packedToken is the beginning of a value in MessagePack.
type packedToken struct {
	kind tokenKind
	n    int    // the values of a list, the pairs of a map, or the bytes of text and others
	num  uint64 // of an unsigned integer
	text []byte
}

// tokenKind is what a token begins.
type tokenKind uint8

const (
	tokenOther tokenKind = iota // bool, signed integers, floats, extensions
	tokenNil
	tokenUint // an unsigned integer
	tokenText // strings and bytes
	tokenList
	tokenMap
)

// value walks one value, which was decoded into v. v is invalid for a value that was skipped.
func (w *walk) value(v reflect.Value) *valueError {
	for v.IsValid() && v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v = reflect.Zero(v.Type().Elem())
		} else {
			v = v.Elem()
		}
	}
	switch {
	case !v.IsValid():
		w.skip(1)
		return nil
	case v.Kind() == reflect.Interface:
		return w.value(v.Elem())
	}
	t := w.next()
	switch {
	case w.short || t.kind == tokenNil:
		return nil
	case t.kind == tokenUint && t.num > math.MaxInt64 && (v.CanInt() || v.CanFloat()) && !encodesItself(v.Type()):
		return &valueError{why: fmt.Sprintf("%d does not fit into %v", t.num, v.Type())}
	case !isComposite(v.Kind()) || encodesItself(v.Type()):
		w.skipRest(t)
		return nil
	}
	switch v.Kind() {
	case reflect.Struct:
		return w.fields(t, v)
	case reflect.Map:
		if t.kind != tokenMap {
			return &valueError{why: fmt.Sprintf("it is not a map, and does not fit into %v", v.Type())}
		}
		key, elem := reflect.Zero(v.Type().Key()), reflect.Zero(v.Type().Elem())
		for range t.n {
			if err := w.value(key); err != nil {
				return err.within("[a key]")
			}
			if err := w.value(elem); err != nil {
				return err.within("[a value]")
			}
			if w.short {
				break
			}
		}
	default:
		return w.elements(t, v)
	}
	return nil
}

// isComposite reports whether values of a kind have values in them.
func isComposite(k reflect.Kind) bool {
	return k == reflect.Struct || k == reflect.Map || k == reflect.Slice || k == reflect.Array
}

// elements walks what was decoded into a slice or an array.
func (w *walk) elements(t packedToken, v reflect.Value) *valueError {
	n := t.n
	switch t.kind {
	case tokenMap:
		n *= 2 // the library makes a list of the keys and values
	case tokenList, tokenText:
	default:
		return nil
	}
	if v.Kind() == reflect.Array && n > v.Len() {
		return &valueError{why: fmt.Sprintf("%d elements do not fit into %v", n, v.Type())}
	}
	if t.kind == tokenText {
		return nil
	}
	if k := v.Type().Elem().Kind(); k == reflect.String || reflect.Uint <= k && k <= reflect.Uintptr {
		w.skip(n) // the library has checked them
		return nil
	}
	for i := range n {
		elem := reflect.Value{}
		if i < v.Len() {
			elem = v.Index(i)
		}
		if err := w.value(elem); err != nil {
			return err.within(fmt.Sprintf("[%d]", i))
		}
		if w.short {
			break
		}
	}
	return nil
}

// fields walks what was decoded into a struct, from a map by name or from a list by order.
func (w *walk) fields(t packedToken, v reflect.Value) *valueError {
	p := packed(v.Type())
	field := func(i int) *valueError {
		f := p.fields[i]
		in, _ := f.in(v)
		if err := w.value(in); err != nil {
			return err.within("." + f.goName(v.Type()))
		}
		return nil
	}
	switch t.kind {
	case tokenList:
		for i := range t.n {
			if i >= len(p.fields) {
				w.skip(t.n - i)
				break
			}
			if err := field(i); err != nil {
				return err
			}
			if w.short {
				break
			}
		}
	case tokenMap:
		for range t.n {
			name := w.next()
			if name.kind == tokenUint { // the tag of _struct may make names integers
				name.text = strconv.AppendUint(nil, name.num, 10)
			}
			named := p.byName[string(name.text)]
			if len(named) == 0 {
				w.skip(1)
			}
			start := w.data
			for _, i := range named {
				w.data = start // of two fields with one name it is in either
				if err := field(i); err != nil {
					return err
				}
			}
			if w.short {
				break
			}
		}
	}
	return nil
}

// skipRest skips the values that belong to a token.
func (w *walk) skipRest(t packedToken) {
	switch t.kind {
	case tokenList:
		w.skip(t.n)
	case tokenMap:
		w.skip(t.n)
		w.skip(t.n)
	}
}

// skip skips n values.
func (w *walk) skip(n int) {
	for left := int64(n); left > 0 && !w.short; left-- {
		switch t := w.next(); t.kind {
		case tokenList:
			left += int64(t.n)
		case tokenMap:
			left += 2 * int64(t.n)
		}
	}
}

// next reads a token. Of what follows a token, it reads text only.
func (w *walk) next() packedToken {
	b := w.byte()
	switch {
	case b <= 0x7f:
		return packedToken{kind: tokenUint, num: uint64(b)}
	case b <= 0x8f:
		return packedToken{kind: tokenMap, n: int(b & 0x0f)}
	case b <= 0x9f:
		return packedToken{kind: tokenList, n: int(b & 0x0f)}
	case b <= 0xbf:
		return w.take(tokenText, uint64(b&0x1f))
	case b >= 0xe0:
		return packedToken{}
	}
	switch b {
	case 0xc0:
		return packedToken{kind: tokenNil}
	case 0xc4, 0xc5, 0xc6:
		return w.take(tokenText, w.number(1<<(b-0xc4)))
	case 0xc7, 0xc8, 0xc9:
		return w.take(tokenOther, w.number(1<<(b-0xc7))+1)
	case 0xca, 0xcb:
		return w.take(tokenOther, 4<<(b-0xca))
	case 0xcc, 0xcd, 0xce, 0xcf:
		return packedToken{kind: tokenUint, num: w.number(1 << (b - 0xcc))}
	case 0xd0, 0xd1, 0xd2, 0xd3:
		return w.take(tokenOther, 1<<(b-0xd0))
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8:
		return w.take(tokenOther, 1<<(b-0xd4)+1)
	case 0xd9, 0xda, 0xdb:
		return w.take(tokenText, w.number(1<<(b-0xd9)))
	case 0xdc, 0xdd:
		return packedToken{kind: tokenList, n: w.count(2 << (b - 0xdc))}
	case 0xde, 0xdf:
		return packedToken{kind: tokenMap, n: w.count(2 << (b - 0xde))}
	}
	return packedToken{} // bool
}

// byte reads a byte.
func (w *walk) byte() byte { return byte(w.number(1)) }

// number reads an unsigned number of n bytes.
func (w *walk) number(n int) uint64 {
	if n > len(w.data) {
		w.data, w.short = nil, true
		return 0
	}
	var b [8]byte
	copy(b[8-n:], w.data)
	w.data = w.data[n:]
	return binary.BigEndian.Uint64(b[:])
}

// count reads how many values follow, a number of n bytes. Each value has at least one byte, so
// more values than bytes are an early end.
func (w *walk) count(n int) int {
	have := w.number(n)
	if have > uint64(len(w.data)) {
		w.data, w.short = nil, true
		return 0
	}
	return int(have)
}

// take reads a token of n more bytes.
func (w *walk) take(kind tokenKind, n uint64) packedToken {
	if n > uint64(len(w.data)) {
		w.data, w.short = nil, true
		return packedToken{}
	}
	t := packedToken{kind: kind, n: int(n), text: w.data[:n]}
	w.data = w.data[n:]
	return t
}
