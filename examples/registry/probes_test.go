package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/x/ringdht/examples/internal/drive"
)

// A registry is ready when nodes can join: at once, but with -grace only after that time. It is
// healthy throughout, and the page is there too.
func TestProbes(t *testing.T) {
	for _, c := range []struct {
		args   []string
		status int
		text   string
	}{
		{nil, http.StatusOK, "ready"},
		{[]string{"-grace", "1h"}, http.StatusServiceUnavailable, "may come back first"},
	} {
		p := drive.Start(t, run, append(c.args, "-http", "0", "localhost:0")...)
		url := p.Expect(`^Page at (\S+)/$`)[1]
		for path, want := range map[string]struct {
			status int
			text   string
		}{"/healthz": {http.StatusOK, "ok"}, "/readyz": {c.status, c.text}, "/": {http.StatusOK, "<html"}} {
			resp, err := http.Get(url + path)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != want.status || !strings.Contains(string(text), want.text) {
				t.Errorf("%q: %s: %d %q", c.args, path, resp.StatusCode, text)
			}
		}
	}
}
