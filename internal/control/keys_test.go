package control

import (
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/x/ringdht/status"
)

// Every figure of a service with keys is in the table once, under its own name, in the order of the
// builds before, and none is mixed up with another on the way into a row and back.
func TestKeyTable(t *testing.T) {
	order := []string{
		"arcs", "keys", "queued", "sent", "unknown", "repeats", "asks", "refused", "handled", "refusals",
		"given", "given_bytes", "taken", "taken_bytes", "failed_moves",
	}
	gauges := []string{"arcs", "keys", "queued"}
	for i, name := range order {
		if i >= len(keyTable) || keyTable[i].name != name {
			t.Fatalf("row %d of keyTable is not %s: new figures go at its end", i, name)
		}
		if got := keyTable[i].kind == gauge; got != slices.Contains(gauges, name) {
			t.Errorf("%s is a gauge: %v", name, got)
		}
	}
	var c status.KeyCounters
	v := reflect.ValueOf(&c).Elem()
	if v.NumField() != len(keyTable) {
		t.Errorf("keyTable has %d rows for %d figures", len(keyTable), v.NumField())
	}
	for i := range v.NumField() {
		v.Field(i).SetInt(int64(i + 1))
		name := v.Type().Field(i).Tag.Get("json")
		row := slices.IndexFunc(keyTable, func(r keyRow) bool { return r.name == name })
		if row < 0 || *keyTable[row].of(&c) != int64(i+1) {
			t.Errorf("keyTable has no row %s of its own", name)
		}
	}
	in := []status.NodeKeys{{Service: "a", KeyCounters: c}, {Service: "b"}}
	if out := unpackKeys(packKeys(in)); !reflect.DeepEqual(in, out) {
		t.Errorf("a row has made %+v of %+v", out, in)
	}
	var sum status.KeyCounters
	AddKeyCounters(&sum, &c, true)
	AddKeyCounters(&sum, &c, false)
	for _, row := range keyTable {
		want := 2 * *row.of(&c)
		if row.kind == gauge {
			want /= 2
		}
		if got := *row.of(&sum); got != want {
			t.Errorf("%s: with a node that is gone the sum is %d, want %d", row.name, got, want)
		}
	}
}

// What nodes say of keys is not trusted: rows may be short or long, and numbers anything.
func TestHostileKeyFigures(t *testing.T) {
	rows := slices.Repeat([]KeyFigures{{Service: "s", Figures: []int64{-1, math.MinInt64, math.MaxInt64}}}, 3*MaxKeys)
	rows[1].Figures = slices.Repeat([]int64{7}, 100)
	got := unpackKeys(rows)
	if len(got) != MaxKeys || got[0].Arcs != 0 || got[0].Keys != 0 || got[0].Queued != math.MaxInt64 || got[0].Sent != 0 || got[1].FailedMoves != 7 {
		t.Errorf("%+v", got)
	}
	sum := got[0].KeyCounters
	AddKeyCounters(&sum, &got[2].KeyCounters, true)
	if sum.Queued != math.MaxInt64 {
		t.Errorf("the sum is %d", sum.Queued)
	}
}
