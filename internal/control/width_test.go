package control

import (
	"math"
	"reflect"
	"strings"
	"testing"
)

// No number in a message depends on the machine: one of 32 bits must be able to read what
// one of 64 bits sends. And each list has a limit.
func TestNumbersAreAsWideEverywhere(t *testing.T) {
	var look func(t *testing.T, typ reflect.Type)
	look = func(t *testing.T, typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Struct:
			for f := range typ.Fields() {
				t.Run(f.Name, func(t *testing.T) {
					if isList := f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() != reflect.Uint8; isList && listLimit(typ, wireName(f)) < 0 {
						t.Error("a list without a limit: add it to maxLists")
					}
					look(t, f.Type)
				})
			}
		case reflect.Slice:
			look(t, typ.Elem())
		case reflect.Int64, reflect.Uint64, reflect.Bool, reflect.String:
		case reflect.Uint8: // a code
		default:
			t.Errorf("a %v", typ)
		}
	}
	for _, m := range []any{
		Register{}, Registered{}, Refused{}, Deregister{}, Deregistered{}, Manifest{}, Linked{}, Ready{}, Beat{}, BeatAnswer{},
		Task{}, Finished{}, Collect{}, Summary{}, Explain{}, Pairs{}, Trace{}, Traced{}, Bye{}, Update{}, Announce{}, Trouble{}, Ping{}, Admission{}, Trust{}, Violation{}, Stuck{}, Profile{}, Lookup{}, Found{}, Handlers{},
	} {
		typ := reflect.TypeOf(m)
		t.Run(typ.Name(), func(t *testing.T) { look(t, typ) })
	}
}

func TestInt(t *testing.T) {
	for n, want := range map[int64]int{0: 0, -5: -5, math.MaxInt64: math.MaxInt, math.MinInt64: math.MinInt, math.MaxInt32: math.MaxInt32} {
		if got := Int(n); got != want {
			t.Errorf("%d is %d", n, got)
		}
	}
}

// wireName is the name of a field on the wire.
func wireName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}
