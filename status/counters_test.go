package status

import (
	"math"
	"reflect"
	"testing"
)

// The sum of drops has every reason but Stale and Unknown, also one that is added later, and does not wrap.
func TestDroppedSum(t *testing.T) {
	var d Dropped
	fields := reflect.ValueOf(&d).Elem()
	for _, field := range fields.Fields() {
		field.SetInt(1)
	}
	if n := d.Sum(); n != int64(fields.NumField()-2) {
		t.Errorf("the sum of %d reasons is %d", fields.NumField(), n)
	}
	d.Malformed = math.MaxInt64
	if n := d.Sum(); n != math.MaxInt64 {
		t.Errorf("the sum wraps to %d", n)
	}
	if n := (&Dropped{Stale: 1, Unknown: 1}).Sum(); n != 0 {
		t.Errorf("a stale frame, and one of an unknown type, count as %d", n)
	}
}
