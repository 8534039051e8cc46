package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// A list costs memory by its elements, and an element may cost a hundred times its bytes. So the lists
// of messages have limits, which are checked in the data, before memory is made for the message.

// Most returns how many elements a list may have: a field of a struct type, by its name on the wire.
// It is below 0 for a field without a limit.
type Most = func(in reflect.Type, field string) int

// tooMany is the error of a list that exceeds its limit.
func tooMany(field string, n, most int) error {
	return fmt.Errorf("%s has %d elements, at most %d are allowed", field, n, most)
}

// CheckLimits returns an error if data, a value of a struct type, has a list that exceeds its limit.
// It allocates nothing on success. Data that ends early is an error; other data that no decoder
// accepts may pass.
func (Msgpack) CheckLimits(data []byte, t reflect.Type, most Most) error {
	l := packedLists{walk{data: data}, most}
	err := l.value(t)
	if err == nil && l.short { // the decoder would make a list before it finds that out
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("msgpack: %w", err)
	}
	return nil
}

// packedLists walks data in MessagePack along a type.
type packedLists struct {
	walk
	most Most
}

// value walks a value that would be decoded into a variable of type t.
func (l *packedLists) value(t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	token := l.next()
	if l.short || t.Kind() != reflect.Struct || encodesItself(t) {
		l.skipRest(token)
		return nil
	}
	p := packed(t)
	switch token.kind {
	case tokenList:
		for i := range token.n {
			if i >= len(p.fields) {
				l.skip(token.n - i)
			}
			if i >= len(p.fields) || l.short {
				break
			}
			if err := l.field(t, p.fields[i]); err != nil {
				return err
			}
		}
	case tokenMap:
		for range token.n {
			name := l.next()
			if name.kind == tokenList || name.kind == tokenMap {
				return errors.New("the name of a field is a list")
			}
			if l.short {
				break
			}
			named := p.byName[string(name.text)]
			if len(named) == 0 {
				l.skip(1)
			} else if err := l.field(t, p.fields[named[0]]); err != nil {
				return err
			}
		}
	}
	return nil
}

// field walks the value of a field.
func (l *packedLists) field(in reflect.Type, f packedField) error {
	if f.typ.Kind() != reflect.Slice || f.typ.Elem().Kind() == reflect.Uint8 {
		return l.value(f.typ)
	}
	token := l.next()
	n := token.n
	switch token.kind {
	case tokenMap:
		n *= 2 // the library makes a list of the keys and values
	case tokenList:
	default:
		return nil
	}
	if most := l.most(in, f.name); most >= 0 && n > most {
		return tooMany(f.name, n, most)
	}
	if f.typ.Elem().Kind() != reflect.Struct {
		l.skip(n)
		return nil
	}
	for range n {
		if err := l.value(f.typ.Elem()); err != nil || l.short {
			return err
		}
	}
	return nil
}

// CheckLimits is [Msgpack.CheckLimits] for JSON.
func (JSON) CheckLimits(data []byte, t reflect.Type, most Most) error {
	if !json.Valid(data) {
		return nil // Decode says what is wrong
	}
	l := jsonLists{data, most}
	if err := l.value(t); err != nil {
		return fmt.Errorf("json: %w", err)
	}
	return nil
}

// jsonLists walks valid JSON along a type.
type jsonLists struct {
	data []byte
	most Most
}

// peek skips white space, commas and colons, and returns the next byte.
func (l *jsonLists) peek() byte {
	l.data = bytes.TrimLeft(l.data, " \t\r\n,:")
	if len(l.data) == 0 {
		return 0
	}
	return l.data[0]
}

// text takes a string with its quotes.
func (l *jsonLists) text() []byte {
	for i := 1; i < len(l.data); i++ {
		switch l.data[i] {
		case '\\':
			i++
		case '"':
			text := l.data[:i+1]
			l.data = l.data[i+1:]
			return text
		}
	}
	l.data = nil
	return nil
}

// skip takes a value.
func (l *jsonLists) skip() {
	for depth := 0; ; {
		switch l.peek() {
		case 0:
			return
		case '"':
			l.text()
		case '{', '[':
			depth++
			l.data = l.data[1:]
		case '}', ']':
			depth--
			l.data = l.data[1:]
		default:
			if end := bytes.IndexAny(l.data, " \t\r\n,:]}"); end >= 0 {
				l.data = l.data[end:]
			} else {
				l.data = nil
			}
		}
		if depth <= 0 {
			return
		}
	}
}

// value walks a value that would be decoded into a variable of type t.
func (l *jsonLists) value(t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if l.peek() != '{' || t.Kind() != reflect.Struct || reflect.PointerTo(t).Implements(jsonUnmarshaler) {
		l.skip()
		return nil
	}
	l.data = l.data[1:]
	for l.peek() != '}' && len(l.data) > 0 {
		name := l.text()
		var unquoted string
		if bytes.IndexByte(name, '\\') < 0 && len(name) > 2 {
			unquoted = string(name[1 : len(name)-1])
		} else if json.Unmarshal(name, &unquoted) != nil {
			return errors.New("the name of a field is not a string")
		}
		if err := l.field(t, unquoted); err != nil {
			return err
		}
	}
	l.data = l.data[min(1, len(l.data)):]
	return nil
}

// jsonUnmarshaler is implemented by types that read JSON themselves.
var jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()

// field walks the value of a field. Package json ignores the case of its name.
func (l *jsonLists) field(in reflect.Type, name string) error {
	for _, f := range packed(in).fields {
		if !strings.EqualFold(f.name, name) {
			continue
		}
		if f.typ.Kind() == reflect.Slice && l.peek() == '[' {
			return l.list(f.typ.Elem(), f.name, l.most(in, f.name))
		}
		return l.value(f.typ)
	}
	l.skip()
	return nil
}

// list walks a list of at most most elements.
func (l *jsonLists) list(elem reflect.Type, name string, most int) error {
	l.data = l.data[1:]
	n := 0
	for ; l.peek() != ']' && len(l.data) > 0; n++ {
		if most >= 0 && n >= most {
			return tooMany(name, n+1, most)
		}
		if err := l.value(elem); err != nil {
			return err
		}
	}
	l.data = l.data[min(1, len(l.data)):]
	return nil
}
