package node

import (
	"reflect"
	"testing"

	"github.com/x/ringdht/internal/plane"
)

// The plane's counters and those that a node shows have the same fields, and none is
// forgotten, or mixed up with another, on the way from there to here.
func TestCountersAreCopiedWhole(t *testing.T) {
	var from plane.Counters
	var fill, check func(from, to reflect.Value, path string)
	next := int64(0)
	fill = func(from, _ reflect.Value, _ string) {
		for _, f := range from.Fields() {
			if f.Kind() == reflect.Struct {
				fill(f, f, "")
			} else {
				next++
				f.SetInt(next)
			}
		}
	}
	check = func(from, to reflect.Value, path string) {
		if from.NumField() != to.NumField() {
			t.Errorf("%s has %d fields, the plane has %d", path, to.NumField(), from.NumField())
		}
		for i := range from.NumField() {
			name := from.Type().Field(i).Name
			switch f, got := from.Field(i), to.FieldByName(name); {
			case !got.IsValid():
				t.Errorf("%s.%s is missing", path, name)
			case f.Kind() == reflect.Struct:
				check(f, got, path+"."+name)
			case f.Int() != got.Int():
				t.Errorf("%s.%s is %d, want %d", path, name, got.Int(), f.Int())
			}
		}
	}
	fill(reflect.ValueOf(&from).Elem(), reflect.Value{}, "")
	check(reflect.ValueOf(from), reflect.ValueOf(countersOf(from)), "Counters")
}
