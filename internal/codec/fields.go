package codec

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// packedStruct is a struct as MessagePack's library encodes it. The library does not tell which
// fields it takes, so this repeats its rules. They are encoding/json's, but the tag "codec" comes
// before "json", and fields that share a name are treated in another way.
type packedStruct struct {
	fields  []packedField    // in source order, in which the library writes a struct as an array
	byName  map[string][]int // indexes into fields
	dropped []packedField    // of kinds that the library leaves out silently
}

// packedField is a field of a packedStruct.
type packedField struct {
	name  string // on the wire
	index []int  // for reflect.Value.FieldByIndex
	typ   reflect.Type
}

// packedStructs caches packed, as the library does. A program has few types.
var packedStructs sync.Map // reflect.Type to *packedStruct

// packed returns a struct type as the library encodes it.
func packed(t reflect.Type) *packedStruct {
	if p, ok := packedStructs.Load(t); ok {
		return p.(*packedStruct)
	}
	p := &packedStruct{byName: make(map[string][]int)}
	path := []reflect.Type{t}
	p.collect(t, nil, &path)
	p.resolve()
	for i, f := range p.fields {
		p.byName[f.name] = append(p.byName[f.name], i)
	}
	got, _ := packedStructs.LoadOrStore(t, p)
	return got.(*packedStruct)
}

// collect gathers the fields of t and of the structs that it embeds. Like the library, it enters a
// type at most twice.
func (p *packedStruct) collect(t reflect.Type, index []int, path *[]reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag := cmp.Or(f.Tag.Get("codec"), f.Tag.Get("json"))
		if !f.IsExported() && !f.Anonymous || tag == "-" {
			continue
		}
		name, _, _ := strings.Cut(tag, ",")
		at := append(slices.Clone(index), i)
		if f.Anonymous && f.Type.Kind() != reflect.Interface {
			inner, pointer := f.Type, f.Type.Kind() == reflect.Pointer
			for inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			embeds := inner.Kind() == reflect.Struct
			if !f.IsExported() && (!embeds || pointer) {
				continue
			}
			if embeds && name == "" {
				seen := 0
				for _, w := range *path {
					if w == inner {
						seen++
					}
				}
				if seen < 2 {
					*path = append(*path, inner)
					p.collect(inner, at, path)
				}
				continue
			}
		}
		if !f.IsExported() {
			continue
		}
		field := packedField{cmp.Or(name, f.Name), at, f.Type}
		switch f.Type.Kind() {
		case reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
			p.dropped = append(p.dropped, field)
		default:
			p.fields = append(p.fields, field)
		}
	}
}

// resolve keeps, of fields that share a name, the one that is embedded least deeply. Equally deep
// ones all stay.
func (p *packedStruct) resolve() {
	best := make(map[string]int)
	hidden := make([]bool, len(p.fields))
	for i, f := range p.fields {
		j, ok := best[f.name]
		switch {
		case !ok:
			best[f.name] = i
		case len(f.index) < len(p.fields[j].index):
			best[f.name], hidden[j] = i, true
		case len(f.index) > len(p.fields[j].index):
			hidden[i] = true
		}
	}
	kept := p.fields[:0:0]
	for i, f := range p.fields {
		if !hidden[i] {
			kept = append(kept, f)
		}
	}
	p.fields = kept
}

// goName is the field's name in the program.
func (f packedField) goName(t reflect.Type) string { return t.FieldByIndex(f.index).Name }

// in returns the field of a value. It returns a zero value and false if an embedded pointer is nil.
func (f packedField) in(v reflect.Value) (field reflect.Value, ok bool) {
	for i, at := range f.index {
		if i > 0 {
			for v.Kind() == reflect.Pointer {
				if v.IsNil() {
					return reflect.Zero(f.typ), false
				}
				v = v.Elem()
			}
		}
		v = v.Field(at)
	}
	return v, true
}

// selfEncoding caches encodesItself.
var selfEncoding sync.Map // reflect.Type to bool

// encodesItself reports whether a type makes its own bytes. Text marshalers do not count: the
// library calls them for text formats only.
func encodesItself(t reflect.Type) bool {
	if k := t.Kind(); k == reflect.Interface || k == reflect.Pointer {
		return false
	}
	if encodes, ok := selfEncoding.Load(t); ok {
		return encodes.(bool)
	}
	p := reflect.PointerTo(t)
	encodes := slices.Contains(encodedByLibrary, t) || p.Implements(selfer) || p.Implements(marshaler) && p.Implements(unmarshaler)
	selfEncoding.Store(t, encodes)
	return encodes
}

// valueError is an error about a part of a value.
type valueError struct {
	path string // to the part, such as .Jobs[3].Done
	why  string
}

// Error names the part and says what is wrong with it.
func (e *valueError) Error() string {
	path := e.path
	if n := len(path); n > 200 { // the value contains itself
		path = path[:120] + " ... " + path[n-40:]
	}
	switch {
	case path == "":
		return e.why
	case path[0] == '.':
		return fmt.Sprintf("field %s: %s", path[1:], e.why)
	}
	return fmt.Sprintf("element %s: %s", path, e.why)
}

// within returns the error with one more step at the start of its path.
func (e *valueError) within(step string) *valueError {
	if e == nil {
		return nil
	}
	return &valueError{step + e.path, e.why}
}
