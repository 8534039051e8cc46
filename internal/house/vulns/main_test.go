package main

import (
	"strings"
	"testing"
)

const (
	config  = `{"config":{"scanner_name":"govulncheck","go_version":"go1.26.8","scan_level":"symbol"}}`
	summary = `{"osv":{"id":"GO-1","summary":"Panic in x"}}`
)

// A vulnerability of a module fails the check if its code is called. One of the standard
// library is listed, and output that is no scan is an error.
func TestFindings(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		ok   bool
		want string
	}{
		"nothing": {config, true, "0 called, 0 of them of the standard library; 0 more"},
		"required": {config + `{"finding":{"osv":"GO-1","fixed_version":"v1.3.0","trace":[{"module":"example.com/x","version":"v1.2.0"}]}}`,
			true, "0 called, 0 of them of the standard library; 1 more"},
		"called": {config + summary + `{"finding":{"osv":"GO-1","fixed_version":"v1.3.0","trace":[{"module":"example.com/x","version":"v1.2.0"}]}}` +
			`{"finding":{"osv":"GO-1","fixed_version":"v1.3.0","trace":[{"module":"example.com/x","version":"v1.2.0","package":"example.com/x","function":"F"},{"module":"m","package":"m/a","function":"g"}]}}`,
			false, "VULNERABLE: GO-1 in example.com/x v1.2.0, called by m/a: Panic in x. go get example.com/x@v1.3.0\n1 called, 0 of them of the standard library; 0 more"},
		"called, not mended": {config + `{"finding":{"osv":"GO-2","trace":[{"module":"example.com/x","version":"v1.2.0","function":"F"}]}}`,
			false, "no version mends it"},
		"standard library": {config + `{"finding":{"osv":"GO-3","fixed_version":"v1.26.9","trace":[{"module":"stdlib","version":"v1.26.8","function":"F"}]}}` +
			`{"finding":{"osv":"GO-4","fixed_version":"v1.26.10","trace":[{"module":"stdlib","version":"v1.26.8","function":"F"}]}}`,
			true, "WARNING: go1.26.8 has 2 vulnerabilities in code that is called. Build with go1.26.10 or newer.\n2 called, 2 of them"},
	} {
		all, err := read(strings.NewReader(c.in))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var out strings.Builder
		if ok := all.print(&out); ok != c.ok || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: %v\n%s\nwant %q", name, ok, out.String(), c.want)
		}
	}
	for _, in := range []string{"", "{}", "govulncheck: no such host", config + "{"} {
		if _, err := read(strings.NewReader(in)); err == nil {
			t.Errorf("%q is taken for a scan", in)
		}
	}
}
