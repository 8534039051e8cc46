package codec_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/x/ringdht/internal/codec"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// messages has a control message of each type that has lists, and some without.
var messages = []any{
	control.Register{}, control.Registered{}, control.Refused{}, control.Deregister{}, control.Deregistered{}, control.Manifest{},
	control.Linked{}, control.Ready{}, control.Beat{}, control.BeatAnswer{}, control.Task{}, control.Finished{}, control.Collect{},
	control.Summary{}, control.Explain{}, control.Pairs{}, control.Trace{}, control.Traced{}, control.Bye{}, control.Update{},
	control.Announce{}, control.Trouble{}, control.Ping{}, control.Admission{}, control.Trust{}, control.Found{}, control.Handlers{}, control.Note{},
}

// lists returns the fields of a struct type that are lists of something else than bytes.
func lists(t reflect.Type) (fields []reflect.StructField) {
	for f := range t.Fields() {
		if f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() != reflect.Uint8 {
			fields = append(fields, f)
		}
	}
	return fields
}

// nils encodes a struct whose only field is a list of n nil elements.
func nils(c control.Codec, field string, n int) []byte {
	if _, isJSON := c.(codec.JSON); isJSON {
		return fmt.Appendf(nil, `{ %q : [%s]}`, strings.ToUpper(field), strings.TrimSuffix(strings.Repeat("null,", n), ","))
	}
	b := append([]byte{0x81, 0xd9, byte(len(field))}, field...)
	b = binary.BigEndian.AppendUint32(append(b, 0xdd), uint32(n))
	return append(b, bytes.Repeat([]byte{0xc0}, n)...)
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// What a message may cost: a multiple of its bytes, and an amount that is small for all that is sent to
// a registry.
const (
	mostTimes = 130
	mostFixed = 256 << 10
)

// A list of 262,144 nil elements, of which each would take 8 bytes or more, is refused before there is
// memory for it, in each message and codec.
func TestListsAreBounded(t *testing.T) {
	for _, c := range []control.Codec{codec.Msgpack{}, codec.JSON{}} {
		for _, m := range messages {
			typ := reflect.TypeOf(m)
			for _, f := range lists(typ) {
				name := fmt.Sprintf("%T: %s of %v", c, f.Name, typ)
				decode := func(n int) (cost uint64, err error) {
					body, v := nils(c, wireName(f), n), reflect.New(typ).Interface()
					cost = allocated(func() { err = control.Decode(c, body, v) })
					return cost, err
				}
				if cost, err := decode(256 << 10); err == nil || !strings.Contains(err.Error(), "at most") || cost > mostFixed {
					t.Errorf("%s: %d bytes, %v", name, cost, err)
				}
				if _, err := decode(1); err != nil {
					t.Errorf("%s: one element: %v", name, err)
				}
			}
		}
	}
}

// The limits hold at any depth, for a list that is repeated, and in the other ways to write one.
func TestListsInOtherForms(t *testing.T) {
	row := func(c control.Codec, n int) []byte {
		b, err := c.Append(nil, control.Beat{Status: []control.Status{{Counters: slices.Repeat([]int64{1}, n)}}})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []control.Codec{codec.Msgpack{}, codec.JSON{}} {
		var b control.Beat
		if err := control.Decode(c, row(c, 256), &b); err != nil || len(b.Status[0].Counters) != 256 {
			t.Errorf("%T: %v", c, err)
		}
		if err := control.Decode(c, row(c, 257), &b); err == nil || !strings.Contains(err.Error(), "counters has 257 elements") {
			t.Errorf("%T: %v", c, err)
		}
	}
	over := func(head ...byte) []byte { return append([]byte{0x81, 0xa4, 'o', 'v', 'e', 'r'}, head...) }
	asMap := append(over(0xde, 0, 33), bytes.Repeat([]byte{0xc0}, 66)...)
	var r control.Register
	if err := control.Decode(codec.Msgpack{}, asMap, &r); err == nil || !strings.Contains(err.Error(), "66 elements") {
		t.Errorf("a map for a list: %v", err)
	}
	field, _ := reflect.TypeFor[control.Register]().FieldByName("Over")
	at := field.Index[0]
	byOrder := []byte{0xdc, 0, byte(at + 2)} // a struct as an array
	byOrder = append(byOrder, bytes.Repeat([]byte{0xc0}, at)...)
	byOrder = append(byOrder, 0xdc, 0, 65)
	byOrder = append(byOrder, bytes.Repeat([]byte{0xc0}, 66)...)
	if err := control.Decode(codec.Msgpack{}, byOrder, &r); err == nil || !strings.Contains(err.Error(), "65 elements") {
		t.Errorf("a struct by order: %v", err)
	}
	for _, text := range []string{`{"\u006fver":[%s]}`, `{"addr":"[{","over" :	[ %s ]}`, `{"x":{"over":[1,2,"]"]},"OVER":[%s]}`} {
		body := fmt.Sprintf(text, strings.TrimSuffix(strings.Repeat(`{"id":1},`, 65), ","))
		if err := control.Decode(codec.JSON{}, []byte(body), &r); err == nil || !strings.Contains(err.Error(), "65 elements") {
			t.Errorf("%s: %v", text, err)
		}
		body = fmt.Sprintf(text, strings.TrimSuffix(strings.Repeat(`{"id":1},`, 64), ","))
		if err := control.Decode(codec.JSON{}, []byte(body), &r); err != nil || len(r.Over) != 64 {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// What is in a field that no message has is skipped, and costs no memory.
func TestUnknownFieldsCostNothing(t *testing.T) {
	for _, c := range []control.Codec{codec.Msgpack{}, codec.JSON{}} {
		body := nils(c, "unknown", 2<<20)
		var b control.Beat
		if cost := allocated(func() { control.Decode(c, body, &b) }); cost > 2*uint64(len(body))+mostFixed {
			t.Errorf("%T: %d bytes for %d", c, cost, len(body))
		}
	}
}

// No input makes a decoder of control messages allocate more than its length explains.
func FuzzControlMessages(f *testing.F) {
	for i, m := range messages {
		for _, c := range []control.Codec{codec.Msgpack{}, codec.JSON{}} {
			v := reflect.New(reflect.TypeOf(m)).Elem()
			fill(v)
			b, err := c.Append(nil, v.Interface())
			if err != nil {
				f.Fatal(err)
			}
			f.Add(uint8(i), b)
			for _, l := range lists(v.Type()) {
				f.Add(uint8(i), nils(c, wireName(l), 3))
				long := nils(c, wireName(l), 3000)
				f.Add(uint8(i), long)
				f.Add(uint8(i), long[:len(long)-2]) // it ends early
			}
		}
	}
	f.Fuzz(func(t *testing.T, i uint8, body []byte) {
		for _, c := range []control.Codec{codec.Msgpack{}, codec.JSON{}} {
			v := reflect.New(reflect.TypeOf(messages[int(i)%len(messages)]))
			var err error
			cost := allocated(func() { err = control.Decode(c, body, v.Interface()) })
			if cost > mostTimes*uint64(len(body))+mostFixed {
				t.Errorf("%T of %T: %d bytes for %d", c, v.Interface(), cost, len(body))
			}
			if err != nil {
				continue
			}
			// What was accepted is within the limits, so it can be sent on.
			again, err := c.Append(nil, v.Elem().Interface())
			if err == nil {
				err = control.Decode(c, again, reflect.New(v.Elem().Type()).Interface())
			}
			if err != nil {
				t.Errorf("%T of %T: %v", c, v.Interface(), err)
			}
		}
	})
}

// fill gives each list of a value two elements.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for _, field := range v.Fields() {
			fill(field)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		if v.Type() == reflect.TypeFor[[]control.Status]() {
			v.SetLen(1)
		}
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.String:
		v.SetString("text")
	case reflect.Uint64:
		v.SetUint(1 << 40)
	case reflect.Int64:
		v.SetInt(-5)
	}
}

// A Register fits into its frame, with as many as possible of the latest incarnations that are over.
func TestLongestRegister(t *testing.T) {
	max := ^uint64(0)
	for _, signature := range []string{"", strings.Repeat("S", 103)} {
		r := control.Register{Addr: strings.Repeat("a", 300), Token: max, Seen: max, ID: max, Incarnation: max, Identity: strings.Repeat("0f", 16), Epoch: max, Run: max}
		for i := range uint64(control.MaxOver) {
			r.Over = append(r.Over, control.Over{ID: max, Incarnation: max, Epoch: i, Signature: signature})
		}
		for _, c := range []control.Codec{codec.Msgpack{}, codec.JSON{}} {
			b, err := control.EncodeRegister(c, r)
			if err != nil || len(b) > control.MaxFirst {
				t.Fatalf("%T: %d bytes, %v", c, len(b), err)
			}
			var got control.Register
			if err := control.Decode(c, b[4:], &got); err != nil || len(got.Over) == 0 || got.Over[len(got.Over)-1].Epoch != control.MaxOver-1 {
				t.Fatalf("%T: %v, %+v", c, err, got.Over)
			}
			t.Logf("%T: %d of %d fit, with signatures of %d bytes", c, len(got.Over), control.MaxOver, len(signature))
			if len(got.Over) < control.MaxOver && len(b) < control.MaxFirst*3/4 {
				t.Errorf("%T: %d bytes only", c, len(b))
			}
		}
	}
	// A name makes the frame no longer: an earlier registry takes it. A node that says more has more room.
	for tags, most := range map[int]int{1: control.MaxFirst, 64: control.MaxRegister} {
		r := control.Register{Addr: "a:1", Name: "name"}
		for i := range tags {
			r.Tags = append(r.Tags, ring.Tag{Key: fmt.Sprint(i), Value: strings.Repeat("v", 13)})
		}
		for i := range tags {
			r.Services = append(r.Services, fmt.Sprintf("%030d", i))
		}
		for i := range uint64(control.MaxOver) {
			r.Over = append(r.Over, control.Over{ID: max, Incarnation: max, Epoch: i, Signature: strings.Repeat("S", 103)})
		}
		b, err := control.EncodeRegister(codec.JSON{}, r)
		var got control.Register
		if err == nil {
			err = control.Decode(codec.JSON{}, b[4:], &got)
		}
		if err != nil || len(b) > most || len(b) < most*3/4 || len(got.Tags) != tags || got.Over[len(got.Over)-1].Epoch != control.MaxOver-1 {
			t.Errorf("%d tags: %d bytes, %v, %+v", tags, len(b), err, got.Over)
		}
	}
	if _, err := control.EncodeRegister(codec.JSON{}, control.Register{Addr: strings.Repeat("a", 9000)}); err == nil {
		t.Error("a Register that is too long")
	}
}

// The longest heartbeat and the longest Linked of a node fit into their frames.
func TestLongestReportsFit(t *testing.T) {
	max := ^uint64(0)
	status := control.Status{Epoch: max, Members: 1 << 40, Took: 1 << 60}
	for range 64 {
		status.Counters = append(status.Counters, 1<<62)
		status.Hops, status.Latency = append(status.Hops, 1<<62), append(status.Latency, 1<<62)
	}
	status.Hops, status.Latency = status.Hops[:32], status.Latency[:26]
	for range ring.MaxTable {
		status.Links = append(status.Links, max, 1, 1<<62, 1<<40)
	}
	for range control.MaxKeys {
		status.Keys = append(status.Keys, control.KeyFigures{Service: strings.Repeat("k", control.MaxKeyBytes/control.MaxKeys), Figures: slices.Repeat([]int64{1 << 62}, 32)})
	}
	for _, c := range []control.Codec{codec.Msgpack{}, codec.JSON{}} {
		b, err := control.Encode(c, control.TypeBeat, control.Beat{Status: []control.Status{status}})
		if most := control.FrameLimit(control.TypeBeat, true); err != nil || len(b) > most {
			t.Errorf("%T: a heartbeat of %d bytes, at most %d are taken: %v", c, len(b), most, err)
		}
		for _, text := range []string{strings.Repeat("x", 510), strings.Repeat("\x01", 510)} {
			b, err = control.Encode(c, control.TypeLinked, control.Linked{Epoch: max, Error: text})
			if most := control.FrameLimit(control.TypeLinked, true); err != nil || len(b) > most {
				t.Errorf("%T: a Linked of %d bytes, at most %d are taken: %v", c, len(b), most, err)
			}
		}
	}
}

// wireName is the name of a field on the wire.
func wireName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}
