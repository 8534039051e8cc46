//go:build linux

package chaos

import (
	"testing"
)

// The comparison of journals finds each kind of fault.
func TestTell(t *testing.T) {
	by := func(what ...string) (all []step) {
		for _, w := range what {
			all = append(all, step{What: w, Process: 1, Number: 1, ID: 20})
		}
		return all
	}
	for what, c := range map[string]struct {
		a, b, c     []step // of the caller, the callee, another process
		cut, broken bool   // the caller was killed; the callee was
		right       bool
	}{
		"answered":                         {by(begun, answered), by(handled), nil, false, false, true},
		"not handled":                      {by(begun, notHandled), nil, nil, false, false, true},
		"not handled, said of another one": {by(begun, notHandled), by(handled), nil, false, false, false},
		"unknown, of a dead callee":        {by(begun, unknown), by(handled), nil, false, true, true},
		"unknown, and not handled":         {by(begun, unknown), nil, nil, false, true, true},
		"unknown for no reason":            {by(begun, unknown), by(handled), nil, false, false, false},
		"given up":                         {by(begun, givenUp), by(handled), nil, false, false, true},
		"handled twice":                    {by(begun, answered), by(handled, handled), nil, false, false, false},
		"handled by two":                   {by(begun, unknown), by(handled), by(handled), false, true, false},
		"answered, and not handled":        {by(begun, answered), nil, nil, false, false, false},
		"no end":                           {by(begun), by(handled), nil, false, false, false},
		"no end, of a dead caller":         {by(begun), by(handled), nil, true, false, true},
		"two ends":                         {by(begun, answered, unknown), by(handled), nil, false, true, false},
		"a strange error":                  {by(begun, failed), nil, nil, false, false, false},
		"never made":                       {nil, by(handled), nil, false, false, false},
	} {
		got, _ := tell([]journal{{"a", 1, []uint64{10}, c.cut, c.cut, c.a}, {"b", 2, []uint64{20}, c.broken, c.broken, c.b}, {"c", 3, []uint64{30}, false, false, c.c}})
		if right := len(got) == 0; right != c.right {
			t.Errorf("%s: %q", what, got)
		}
	}
}
