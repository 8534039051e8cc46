package arc

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"
)

// golden are frames as they are on the wire, for all time.
var golden = []struct {
	hex string
	f   Frame
}{
	{"01" + "0000000000000001" + "00000000000000ff" + "0000000000000203" + "0000000000000007", Frame{Kind: Grant, Arc: Arc{1, 255}, Term: 0x203, Life: 7}},
	{"01" + "0000000000000000" + "ffffffffffffffff" + "0000000000000203" + "0000000000000000", Frame{Kind: Grant, Arc: Ring, Term: 0x203}},
	{"02" + "0000000000000001" + "00000000000000ff" + "0000000000000203", Frame{Kind: Settled, Arc: Arc{1, 255}, Term: 0x203}},
	{"03", Frame{Kind: Retired}},
	{"04", Frame{Kind: Retire}},
	{"05", Frame{Kind: Left}},
	{"06" + "0000000000000001" + "00000000000000ff" + "0000000000000203", Frame{Kind: Took, Arc: Arc{1, 255}, Term: 0x203}},
	{"07" + "0000000000000001" + "00000000000000ff" + "0000000000000203", Frame{Kind: Pull, Arc: Arc{1, 255}, Term: 0x203}},
	{"08" + "0000000000000001" + "00000000000000ff" + "0000000000000203" + "6162", Frame{Kind: Give, Arc: Arc{1, 255}, Term: 0x203, Body: []byte("ab")}},
	{"08" + "0000000000000001" + "00000000000000ff" + "0000000000000203", Frame{Kind: Give, Arc: Arc{1, 255}, Term: 0x203}},
	{"09" + "00000000000000fe", Frame{Kind: Ask, Point: 254}},
	{"0a" + "0000000000000001" + "00000000000000ff" + "0000000000000203" + "00000000000000fe", Frame{Kind: Is, Arc: Arc{1, 255}, Term: 0x203, Point: 254}},
	{"0b" + "00000000000000fe" + "0000000000000007", Frame{Kind: No, Point: 254, Life: 7}},
	{"0c" + "00000000000000fe" + "0000000000000203" + "ac02" + "6162", Frame{Kind: Msg, Point: 254, Term: 0x203, Seq: 300, Body: []byte("ab")}},
	{"0d" + "00" + "ac02" + "6162", Frame{Kind: Ans, Seq: 300, Body: []byte("ab")}},
	{"0d" + "01" + "ac02", Frame{Kind: Ans, Seq: 300, Refused: true}},
	{"0e", Frame{Kind: Closed}},
	{"0f" + "0000000000000007" + "00000000000000fe" + "00", Frame{Kind: Where, Life: 7, Point: 254}},
}

// bad is what is no frame, with the error.
var bad = []struct {
	hex  string
	want error
}{
	{"", errShort},
	{"00", ErrKind},
	{"10", ErrKind},
	{"ff0102", ErrKind},
	{"0e00", errLong},
	{"09" + "00000000000000", errShort},
	{"09" + "000000000000000000", errLong},
	{"07" + "0000000000000002" + "0000000000000001" + "0000000000000203", errArc},
	{"0a" + "0000000000000001" + "00000000000000ff" + "0000000000000203" + "0000000000000100", errArc},
	{"0d" + "02" + "01", errValue},
	{"0d" + "01" + "01" + "61", errValue},
	{"0d" + "00" + "8000", errValue},
	{"0d" + "00" + "ffffffffffffffffff02", errValue},
	{"0d" + "00" + "80", errValue},
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGoldenFrames(t *testing.T) {
	for _, g := range golden {
		b := unhex(t, g.hex)
		if got := g.f.Append(nil); !bytes.Equal(got, b) {
			t.Errorf("%v is %x, want %x", g.f, got, b)
		}
		if f, err := ParseFrame(b); err != nil || !reflect.DeepEqual(f, g.f) {
			t.Errorf("%x is %v, %v, want %v", b, f, err, g.f)
		}
		for n := range b { // what is cut off inside of its fixed part is no frame
			if f, err := ParseFrame(b[:n]); err == nil && f.Kind != Give && f.Kind != Msg && f.Kind != Ans {
				t.Errorf("%x is %v", b[:n], f)
			}
		}
	}
	for _, x := range bad {
		if f, err := ParseFrame(unhex(t, x.hex)); !errors.Is(err, x.want) {
			t.Errorf("%s is %v, %v, want the error %v", x.hex, f, err, x.want)
		}
	}
}

// What is read as a frame is written in the same way.
func FuzzFrame(f *testing.F) {
	for _, g := range golden {
		f.Add(g.f.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if f, err := ParseFrame(b); err == nil && !bytes.Equal(f.Append(nil), b) {
			t.Errorf("%x is %v, which is written as %x", b, f, f.Append(nil))
		}
	})
}

// some are n arcs in order, with terms.
func some(n int) (all []Held) {
	for i := range uint64(n) {
		all = append(all, Held{Arc{i * 3, i*3 + 1}, i + 1})
	}
	return all
}

func pulls(n int) (all []Order) {
	for _, h := range some(n) {
		all = append(all, Order{h, h.Term + 9})
	}
	return all
}

// readNotes reads notes, of which the last is to be complete.
func readNotes(t *testing.T, notes [][]byte) (n Note) {
	t.Helper()
	var r NoteReader
	for i, b := range notes {
		var err error
		if n, err = r.Read(b); err != nil || len(b) > MaxNote || (n.Kind == NotePart) != (i < len(notes)-1) {
			t.Fatalf("note %d of %d: %d bytes, kind %d, %v", i, len(notes), len(b), n.Kind, err)
		}
	}
	return n
}

func TestNotes(t *testing.T) {
	for _, n := range []int{0, 1, 2, 2045, 2046, 2047, 2729, 2730, 2731, 9000} {
		for _, m := range []int{0, 1, 5000} {
			r := Report{Held: some(n), Given: some(m), Retiring: n == 1, Left: m == 1}
			got := readNotes(t, ReportNotes(64, n > 0, r))
			if want := (Note{Kind: NoteReport, Positions: 64, Offers: n > 0, Report: r}); !reflect.DeepEqual(got, want) {
				t.Errorf("the report of %d and %d is another", n, m)
			}
			o := Orders{Hold: some(n), Pull: pulls(m), Bar: 5, Latest: 7, Retired: n == 2}
			got = readNotes(t, OrdersNotes(o))
			if want := (Note{Kind: NoteOrders, Orders: o}); !reflect.DeepEqual(got, want) {
				t.Errorf("the orders of %d and %d are others", n, m)
			}
		}
	}
	var r NoteReader
	for _, b := range ReportNotes(64, true, Report{Held: some(4000)}) { // frames may come between parts
		if n, err := r.Read(AppendNote(nil, Frame{Kind: Ask, Point: 5})); err != nil || n.Kind != NoteFrame || n.Frame.Point != 5 {
			t.Errorf("a frame between parts: %+v, %v", n, err)
		}
		if n, err := r.Read([]byte{9, 1, 2}); !errors.Is(err, ErrKind) || n.Kind != NotePart {
			t.Errorf("a note of a later version between parts: %+v, %v", n, err)
		}
		n, err := r.Read(b)
		if err != nil || n.Kind == NoteReport && len(n.Report.Held) != 4000 {
			t.Errorf("%d arcs, %v", len(n.Report.Held), err)
		}
	}
}

func TestGoldenNotes(t *testing.T) {
	h := "0000000000000001" + "00000000000000ff" + "0000000000000203"
	for _, g := range []struct {
		hex string
		got []byte
	}{
		{"01" + "0e", AppendNote(nil, Frame{Kind: Closed})},
		{"02" + "03" + "00" + "00", ReportNotes(0, false, Report{})[0]},
		{"02" + "1f" + "40" + "01" + h + h, ReportNotes(64, true, Report{Held: []Held{{Arc{1, 255}, 0x203}}, Given: []Held{{Arc{1, 255}, 0x203}}, Retiring: true, Left: true})[0]},
		{"03" + "0b" + "0000000000000005" + "0000000000000007" + "01" + h + h + "0000000000000009", OrdersNotes(Orders{Bar: 5, Latest: 7, Retired: true, Hold: []Held{{Arc{1, 255}, 0x203}}, Pull: []Order{{Held{Arc{1, 255}, 0x203}, 9}}})[0]},
	} {
		if hex.EncodeToString(g.got) != g.hex {
			t.Errorf("%x, want %s", g.got, g.hex)
		}
	}
}

// Notes that do not fit each other are errors, and the reader keeps nothing of them.
func TestBadNotes(t *testing.T) {
	report, orders := ReportNotes(64, true, Report{Held: some(6000)}), OrdersNotes(Orders{Pull: pulls(6000)})
	both := ReportNotes(64, true, Report{Held: some(3000), Given: some(3000)})
	long := ReportNotes(64, true, Report{Held: some(maxPieces + 1)})
	for name, notes := range map[string][][]byte{
		"nothing":                       {{}},
		"no flags":                      {{2}},
		"a part without the first":      report[1:],
		"the first part again":          {report[0], report[0]},
		"orders within a report":        {report[0], orders[1]},
		"flags that change":             {report[0], ReportNotes(64, false, Report{Held: some(6000)})[1]},
		"flags of a later version":      {{2, 0x23, 0, 0}},
		"flags of a report in orders":   {slices.Concat([]byte{3, 7}, make([]byte, 17))},
		"too many positions":            ReportNotes(MaxPositions+1, true, Report{}),
		"more arcs than there are":      {{2, 3, 1, 5}},
		"half an arc":                   {append(ReportNotes(1, true, Report{Held: some(1)})[0], 1)},
		"an arc that ends too early":    ReportNotes(1, true, Report{Held: []Held{{Arc{2, 1}, 1}}}),
		"the first list after the rest": {both[0], both[1], report[1]},
		"too many arcs":                 long,
		"a long note":                   {slices.Concat(ReportNotes(1, true, Report{})[0], make([]byte, MaxNote))},
	} {
		var r NoteReader
		var err error
		for _, b := range notes {
			if _, err = r.Read(b); err != nil {
				break
			}
		}
		if err == nil || errors.Is(err, ErrKind) || !reflect.DeepEqual(r, NoteReader{}) {
			t.Errorf("%s: %v, keeps %d arcs", name, err, r.pieces)
		}
	}
	if _, err := new(NoteReader).Read(ReportNotes(MaxPositions, true, Report{})[0]); err != nil {
		t.Error(err)
	}
	n := Note{Offers: true, Positions: MaxPositions}
	if m := n.Member(5, math.MaxUint64); m.Life != 5 || len(m.Positions) != MaxPositions {
		t.Errorf("%d positions", len(m.Positions))
	}
}

// What is read as a note is written in the same way, and costs no more memory than it has bytes.
func FuzzNotes(f *testing.F) {
	for _, notes := range [][][]byte{ReportNotes(64, true, Report{Held: some(2), Given: some(1)}), OrdersNotes(Orders{Hold: some(1), Pull: pulls(2)}), {AppendNote(nil, golden[0].f)}} {
		f.Add(notes[0], []byte{})
	}
	long := ReportNotes(64, true, Report{Held: some(2731)})
	f.Add(long[0], long[1])
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var r NoteReader
		n, err := r.Read(first)
		if r.pieces > len(first)/24 {
			t.Errorf("%d arcs of %d bytes", r.pieces, len(first))
		}
		if err == nil && n.Kind == NotePart {
			n, err = r.Read(second)
		}
		if err != nil {
			return
		}
		var again [][]byte
		switch n.Kind {
		case NoteFrame:
			again = [][]byte{AppendNote(nil, n.Frame)}
		case NoteReport:
			again = ReportNotes(n.Positions, n.Offers, n.Report)
		case NoteOrders:
			again = OrdersNotes(n.Orders)
		default:
			return
		}
		if m := readNotes(t, again); !reflect.DeepEqual(m, n) {
			t.Errorf("%+v, then %+v", n, m)
		}
	})
}
