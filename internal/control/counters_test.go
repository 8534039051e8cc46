package control

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/x/ringdht/status"
)

// eachCounter calls f for every number in a struct of counters, with its path.
func eachCounter(v reflect.Value, path string, f func(path string, field reflect.Value)) {
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if field := v.Field(i); field.Kind() == reflect.Struct {
			eachCounter(field, path+name+".", f)
		} else {
			f(path+name, field)
		}
	}
}

// keyOf is the key in JSON of a counter, as the table has it.
func keyOf(t *testing.T, path string) string {
	of, key := reflect.TypeFor[status.Counters](), ""
	for name := range strings.SplitSeq(path, ".") {
		field, ok := of.FieldByName(name)
		if !ok {
			t.Fatalf("Counters has no field %s", path)
		}
		of, key = field.Type, key+"."+field.Tag.Get("json")
	}
	return key[1:]
}

// Every field of Counters is in the table once, under its own name, and the plane has it too.
func TestCounterTableIsComplete(t *testing.T) {
	var c status.Counters
	listed := make(map[*int64]string)
	for _, row := range counterTable {
		if listed[row.of(&c)] != "" {
			t.Errorf("%s and %s are the same field", listed[row.of(&c)], row.name)
		}
		listed[row.of(&c)] = row.name
	}
	eachCounter(reflect.ValueOf(&c).Elem(), "", func(path string, field reflect.Value) {
		if got := listed[field.Addr().Interface().(*int64)]; got != keyOf(t, path) {
			t.Errorf("counterTable has %q for Counters.%s, want %q: add a row at its end", got, path, keyOf(t, path))
		}
	})
}

// Rows are read by position: nodes and registries of other builds have the counters in this
// order, so the list below only grows.
func TestCounterTableKeepsItsOrder(t *testing.T) {
	order := []string{
		"sent", "delivered", "relayed", "casts", "retransmitted", "duplicates", "panics", "detoured", "requeued", "unlisted",
		"dropped.queue_full", "dropped.link_down", "dropped.no_route", "dropped.hop_limit", "dropped.overshoot",
		"dropped.inbox_full", "dropped.stale", "dropped.malformed", "dropped.refused",
		"frames_in", "bytes_in", "reads", "bytes_out", "writes",
		"send_buffer", "receive_buffer", "handler_backlog", "queued", "strangers", "dropped.unknown", "links_shed",
	}
	gauges := []string{"send_buffer", "receive_buffer", "handler_backlog", "queued"}
	for i, name := range order {
		if i >= len(counterTable) || counterTable[i].name != name {
			t.Fatalf("row %d of counterTable is not %s: new counters go at its end", i, name)
		}
		if got := counterTable[i].kind == gauge; got != slices.Contains(gauges, name) {
			t.Errorf("%s is a gauge: %v", name, got)
		}
	}
}

// No counter is forgotten, or mixed up with another, on the way into a row and back, and into
// a sum, to which a node that is gone adds no gauges.
func TestCountersInRowsAndSums(t *testing.T) {
	var c status.Counters
	want, next := make(map[string]int64), int64(0)
	eachCounter(reflect.ValueOf(&c).Elem(), "", func(path string, field reflect.Value) {
		next++
		want[path] = next
		field.SetInt(next)
	})
	check := func(what string, c status.Counters) {
		t.Helper()
		eachCounter(reflect.ValueOf(&c).Elem(), "", func(path string, field reflect.Value) {
			if field.Int() != want[path] {
				t.Errorf("%s: %s is %d, want %d", what, path, field.Int(), want[path])
			}
		})
	}
	var back, sum status.Counters
	setCounters(&back, CounterRow(&c))
	check("a row", back)
	AddCounters(&sum, &c, true)
	check("a sum", sum)
	AddCounters(&sum, &c, false)
	for i, row := range counterTable {
		got, once := *row.of(&sum), *row.of(&c)
		if want := map[counterKind]int64{counter: 2 * once, gauge: once}[row.kind]; got != want {
			t.Errorf("row %d, %s: with a node that is gone the sum is %d, want %d", i, row.name, got, want)
		}
	}
}
