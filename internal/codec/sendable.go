package codec

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// maxNesting is how deep structs, maps and lists may be nested. MessagePack's decoder refuses more.
const maxNesting = 1023

// maxPointers is how many pointers and interfaces in a row are followed. A value with more contains
// itself.
const maxPointers = 100

// sendability is what a type says about whether its values can be sent.
type sendability struct {
	never   *valueError // no value can be sent
	byValue bool        // it depends on the value
	depth   int         // if not byValue: how deep the values are nested at most
}

// sendabilities caches sendabilityOf. A program has few types.
var sendabilities sync.Map // reflect.Type to *sendability

// checkSendable returns an error if a value cannot be sent with MessagePack. The library sends nil
// in place of a func and an empty list in place of a chan, and leaves out fields that it cannot
// encode. The type decides for most values, which are not looked at.
func checkSendable(v any) error {
	if v == nil {
		return nil
	}
	t := reflect.TypeOf(v)
	s := sendabilityOf(t, nil)
	if s.never == nil && !s.byValue {
		return nil
	}
	if u := checkValue(reflect.ValueOf(v), s, 0, 0); u != nil {
		return u
	}
	return nil
}

// sendabilityOf classifies a type. above are the types that contain it. A type that contains itself
// depends on the value, which may be nested too deep, or without end.
func sendabilityOf(t reflect.Type, above []reflect.Type) *sendability {
	if s, ok := sendabilities.Load(t); ok {
		return s.(*sendability)
	}
	if slices.Contains(above, t) {
		return &sendability{byValue: true}
	}
	s := classify(t, append(above[:len(above):len(above)], t))
	if s.byValue {
		s.depth = 0 // checkValue measures it
	}
	sendabilities.Store(t, s)
	return s
}

// classify is sendabilityOf without the cache.
func classify(t reflect.Type, above []reflect.Type) *sendability {
	if encodesItself(t) {
		return &sendability{}
	}
	switch t.Kind() {
	case reflect.Func, reflect.Chan, reflect.Complex64, reflect.Complex128:
		return &sendability{never: &valueError{why: fmt.Sprintf("a %v cannot be sent", t.Kind())}}
	case reflect.UnsafePointer:
		return &sendability{never: &valueError{why: "an unsafe.Pointer cannot be sent"}}
	case reflect.Interface:
		return &sendability{byValue: true}
	case reflect.Pointer: // nil of any type can be sent
		s := sendabilityOf(t.Elem(), above)
		return &sendability{byValue: s.byValue || s.never != nil, depth: s.depth}
	case reflect.Slice: // an empty one of any type can be sent
		s := sendabilityOf(t.Elem(), above)
		return &sendability{byValue: s.byValue || s.never != nil, depth: s.depth + 1}
	case reflect.Map:
		k, s := sendabilityOf(t.Key(), above), sendabilityOf(t.Elem(), above)
		return &sendability{byValue: k.byValue || k.never != nil || s.byValue || s.never != nil, depth: max(k.depth, s.depth) + 1}
	case reflect.Array:
		if t.Len() == 0 {
			return &sendability{}
		}
		s := sendabilityOf(t.Elem(), above)
		return &sendability{s.never.within("[0]"), s.byValue, s.depth + 1}
	case reflect.Struct:
		return classifyStruct(t, above)
	}
	return &sendability{} // numbers, bool, string
}

// classifyStruct classifies a struct: by its fields, and by whether two of them share a name.
func classifyStruct(t reflect.Type, above []reflect.Type) *sendability {
	p := packed(t)
	never := func(f packedField, why string) *sendability {
		return &sendability{never: &valueError{"." + f.goName(t), why}}
	}
	if len(p.dropped) > 0 {
		f := p.dropped[0]
		return &sendability{never: sendabilityOf(f.typ, above).never.within("." + f.goName(t))}
	}
	if len(p.fields) == 0 && t.NumField() > 0 && !emptyOnPurpose(t) {
		return &sendability{never: &valueError{why: fmt.Sprintf("a value of type %v has no exported fields: nothing of it would arrive", t)}}
	}
	all := &sendability{depth: 1}
	for i, f := range p.fields {
		if same := p.byName[f.name]; same[0] != i {
			return never(f, fmt.Sprintf("it is sent by the name %q, as %s is", f.name, p.fields[same[0]].goName(t)))
		}
		s := sendabilityOf(f.typ, above)
		if s.never != nil {
			return &sendability{never: s.never.within("." + f.goName(t))}
		}
		all.byValue = all.byValue || s.byValue
		all.depth = max(all.depth, s.depth+1)
	}
	return all
}

// emptyOnPurpose reports whether a struct is meant to have no fields to send. The program has
// excluded an exported field, or embeds something without exported fields, such as a lock.
func emptyOnPurpose(t reflect.Type) bool {
	for f := range t.Fields() {
		if f.Anonymous || f.IsExported() {
			return true
		}
	}
	return false
}

// checkValue checks a value whose type leaves it open. s is what the type says.
func checkValue(v reflect.Value, s *sendability, nesting, pointers int) *valueError {
	switch {
	case s.never != nil:
		return s.never
	case nesting+s.depth > maxNesting, pointers > maxPointers:
		return &valueError{why: fmt.Sprintf("it is nested more than %d levels deep, or contains itself", maxNesting)}
	case !s.byValue:
		return nil
	}
	down := func(v reflect.Value) *valueError { return checkValue(v, sendabilityOf(v.Type(), nil), nesting+1, 0) }
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
		return checkValue(v, sendabilityOf(v.Type(), nil), nesting, pointers+1)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if u := down(v.Index(i)); u != nil {
				return u.within(fmt.Sprintf("[%d]", i))
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if u := down(it.Key()); u != nil {
				return u.within("[a key]")
			}
			if u := down(it.Value()); u != nil {
				return u.within("[" + keyName(it.Key()) + "]")
			}
		}
	case reflect.Struct:
		t := v.Type()
		for _, f := range packed(t).fields {
			if field, ok := f.in(v); ok {
				if u := down(field); u != nil {
					return u.within("." + f.goName(t))
				}
			}
		}
	}
	return nil
}

// keyName shows a map's key in an error, cut to 40 bytes.
func keyName(k reflect.Value) string {
	for k.Kind() == reflect.Interface && !k.IsNil() {
		k = k.Elem()
	}
	const most = 40
	var s string
	if k.Kind() == reflect.String {
		s = fmt.Sprintf("%q", k.String()[:min(len(k.String()), most)])
	} else {
		s = fmt.Sprint(k)
	}
	return strings.ToValidUTF8(s[:min(len(s), most)], "")
}
