//go:build linux

package chaos

import (
	"slices"
	"testing"
)

// The comparison of ledgers finds each kind of fault.
func TestReconcile(t *testing.T) {
	const client, a, b = 7, 1, 2
	answered := func(by uint64, numbers ...uint64) (all []entry) {
		for _, n := range numbers {
			all = append(all, entry{by, n})
		}
		return all
	}
	for what, c := range map[string]struct {
		answers, atA, atB []entry
		made              uint64
		wrong             []string
	}{
		"all is well": {slices.Concat(answered(a, 1, 3), answered(b, 2)), answered(client, 1, 3), answered(client, 2), 3, nil},
		"no answer": {answered(a, 1), answered(client, 1, 2), nil, 2,
			[]string{`request 2 of client was handled by ["a"], and answered by []`}},
		"lost": {answered(a, 1), answered(client, 1), nil, 2,
			[]string{`request 2 of client was handled by [], and answered by []`}},
		"handled twice": {answered(a, 1), answered(client, 1), answered(client, 1), 1,
			[]string{`request 1 of client was handled by ["a" "b"], and answered by ["a"]`}},
		"handled twice by one": {answered(a, 1), answered(client, 1, 1), nil, 1,
			[]string{`request 1 of client was handled by ["a" "a"], and answered by ["a"]`}},
		"answered twice": {answered(a, 1, 1), answered(client, 1), nil, 1,
			[]string{`request 1 of client was handled by ["a"], and answered by ["a" "a"]`}},
		"answered by another": {answered(b, 1), answered(client, 1), nil, 1,
			[]string{`request 1 of client was handled by ["a"], and answered by ["b"]`}},
		"never made": {answered(a, 1, 2), answered(client, 1, 2), nil, 1,
			[]string{"client has an answer to request 2, which it did not make", "request 2 of process 7 was handled, and no client made it"}},
	} {
		got := reconcile([]statement{{"client", client, c.made, c.answers}},
			[]statement{{"a", a, 0, c.atA}, {"b", b, 0, c.atB}})
		if !slices.Equal(got, c.wrong) {
			t.Errorf("%s: %q, want %q", what, got, c.wrong)
		}
	}
}
