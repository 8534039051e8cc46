package wire

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"
)

// bodies has every body, appended and parsed. parse returns the parsed value appended again.
var bodies = []struct {
	name  string
	have  []byte
	want  string
	parse func([]byte) ([]byte, error)
}{
	{"open", OpenBody{Incarnation: 0x0102030405060708}.Append(nil), "0102030405060708", reOpen},
	{"opened", OpenedBody{0x11, 0x22, math.MaxUint64, 0x01020304}.Append(nil),
		"0000000000000011 0000000000000022 ffffffffffffffff 01020304", reOpened},
	{"refuse", RefuseBody{0x11, 3, 0x22}.Append(nil), "0000000000000011 03 0000000000000022", reRefuse},
	{"sync", AppendRound(nil, 0x01020304), "01020304", reSync},
	{"ack", AckBody{1, 0x01020304, 3}.Append(nil, nil), "00000001 01020304 00000003", reAck},
	{"ack with ranges", AckBody{1, 2, 3}.Append(nil, []Range{{1, 2}, {4, 5}}),
		"00000001 00000002 00000003 00000001 00000002 00000004 00000005", reAck},
	{"traced", TracedBody{0x0102, false}.Append(nil), "0102 00", reTraced},
	{"traced last", TracedBody{0x0102, true}.Append(nil), "0102 01", reTraced},
	{"no-route", NoRouteBody{Data, HopLimit, 0x0102030405060708}.Append(nil), "04 02 0102030405060708", reNoRoute},
}

func reOpen(b []byte) ([]byte, error) {
	v, err := ParseOpen(0, b)
	return v.Append(nil), err
}
func reOpened(b []byte) ([]byte, error)  { v, err := ParseOpened(b); return v.Append(nil), err }
func reRefuse(b []byte) ([]byte, error)  { v, err := ParseRefuse(b); return v.Append(nil), err }
func reSync(b []byte) ([]byte, error)    { v, err := ParseRound(b); return AppendRound(nil, v), err }
func reAck(b []byte) ([]byte, error)     { v, r, err := ParseAck(b, nil); return v.Append(nil, r), err }
func reTraced(b []byte) ([]byte, error)  { v, err := ParseTraced(b); return v.Append(nil), err }
func reNoRoute(b []byte) ([]byte, error) { v, err := ParseNoRoute(b); return v.Append(nil), err }

func TestBodies(t *testing.T) {
	for _, x := range bodies {
		t.Run(x.name, func(t *testing.T) {
			wantBytes(t, x.have, x.want)
			if again, err := x.parse(x.have); err != nil || !bytes.Equal(again, x.have) {
				t.Errorf("parsed and appended again: %x, %v", again, err)
			}
			for _, b := range [][]byte{nil, x.have[:len(x.have)-1], append(bytes.Clone(x.have), 0)} {
				if _, err := x.parse(b); err == nil || !strings.Contains(err.Error(), strings.Fields(x.name)[0]+" frame") {
					t.Errorf("%d bytes: %v", len(b), err)
				}
			}
		})
	}
}

func TestBodyFields(t *testing.T) {
	if v, _ := ParseOpened(unhex(t, "0000000000000011 0000000000000022 0000000000000033 00000044")); v != (OpenedBody{0x11, 0x22, 0x33, 0x44}) {
		t.Errorf("%+v", v)
	}
	if v, _ := ParseRefuse(unhex(t, "0000000000000011 03 0000000000000022")); v != (RefuseBody{0x11, RefuseOlder, 0x22}) {
		t.Errorf("%+v", v)
	}
	if v, r, _ := ParseAck(unhex(t, "00000001 00000002 00000003 00000004 00000005"), nil); v != (AckBody{1, 2, 3}) || !slices.Equal(r, []Range{{4, 5}}) {
		t.Errorf("%+v, %v", v, r)
	}
	if v, _ := ParseTraced(unhex(t, "0102 01")); v != (TracedBody{0x102, true}) {
		t.Errorf("%+v", v)
	}
	if v, _ := ParseNoRoute(unhex(t, "0a 01 0000000000000011")); v != (NoRouteBody{Cast, NoSuchNode, 0x11}) {
		t.Errorf("%+v", v)
	}
}

func TestTracedLastIsABool(t *testing.T) {
	if v, err := ParseTraced([]byte{0, 1, 2}); err == nil || v != (TracedBody{}) || !strings.Contains(err.Error(), "2") {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestAckRanges(t *testing.T) {
	const top = math.MaxUint32
	for _, x := range []struct {
		name   string
		ranges []Range
		ok     bool
	}{
		{"none", nil, true},
		{"just beyond the hole", []Range{{1, 1}}, true},
		{"touching what is received", []Range{{0, 1}}, false},
		{"empty", []Range{{1, 0}}, false},
		{"apart", []Range{{1, 1}, {3, 1}}, true},
		{"touching", []Range{{1, 1}, {2, 1}}, false},
		{"overlapping", []Range{{1, 5}, {3, 5}}, false},
		{"descending", []Range{{9, 1}, {3, 1}}, false},
		{"twice", []Range{{9, 1}, {9, 1}}, false},
		{"at the end", []Range{{top, top}}, true},
		{"behind the end", []Range{{top, 1}, {top, 1}}, false},
		{"around the end", []Range{{top - 1, 4}, {3, 1}}, false},
		{"as many as may be", slices.Repeat([]Range{{}}, MaxRanges), true},
	} {
		t.Run(x.name, func(t *testing.T) {
			if x.name == "as many as may be" {
				for i := range x.ranges {
					x.ranges[i] = Range{uint32(2*i + 1), 1}
				}
			}
			held := []Range{{7, 7}}
			_, got, err := ParseAck(AckBody{Received: 5}.Append(nil, x.ranges), held)
			want := held // unchanged where it fails
			if x.ok {
				want = append(held[:1:1], x.ranges...)
			}
			if (err == nil) != x.ok || !slices.Equal(got, want) {
				t.Errorf("%v, %v; want %v", got, err, want)
			}
		})
	}
}

func TestAckIsBounded(t *testing.T) {
	var many []Range
	for i := range uint32(MaxRanges + 1) {
		many = append(many, Range{2*i + 1, 1})
	}
	b := AckBody{}.Append(nil, many)
	if _, got, err := ParseAck(b, nil); err != nil || !slices.Equal(got, many[:MaxRanges]) {
		t.Errorf("%v, %v", got, err)
	}
	b = append(b, 0, 0, 0xff, 0, 0, 0, 0, 1)
	if _, _, err := ParseAck(b, nil); err == nil {
		t.Errorf("%d ranges were taken", MaxRanges+1)
	}
}

func TestBodiesDoNotAllocate(t *testing.T) {
	b := make([]byte, 0, 1<<10)
	ranges := make([]Range, 0, MaxRanges)
	held := []Range{{1, 1}, {5, 2}}
	noAllocs(t, "ack", func() {
		b = AckBody{1, 2, 3}.Append(b[:0], held)
		if _, r, err := ParseAck(b, ranges); err != nil || len(r) != 2 {
			t.Error(r, err)
		}
	})
	noAllocs(t, "the others", func() {
		o, err1 := ParseOpened(OpenedBody{}.Append(b[:0]))
		r, err2 := ParseRound(AppendRound(b[:0], 1))
		n, err3 := ParseNoRoute(NoRouteBody{}.Append(b[:0]))
		if err1 != nil || err2 != nil || err3 != nil || o.First != 0 || r != 1 || n.Dst != 0 {
			t.Error(err1, err2, err3)
		}
	})
}

func FuzzBodies(f *testing.F) {
	for i, x := range bodies {
		f.Add(uint8(i), x.have)
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		x := bodies[int(which)%len(bodies)]
		before := bytes.Clone(b)
		again, err := x.parse(b)
		if err == nil && !bytes.Equal(again, before) {
			t.Fatalf("%s: %x came back as %x", x.name, before, again)
		}
		// A parse that fails has no effect: what it returns is the zero value.
		if zero, _ := x.parse(nil); err != nil && !bytes.Equal(again, zero) {
			t.Fatalf("%s: %x is refused and yet gives %x", x.name, before, again)
		}
		if !bytes.Equal(b, before) {
			t.Fatal("it wrote")
		}
	})
}
