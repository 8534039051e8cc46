package dashboard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

// An operator of a secure ring without a console makes tokens, expels and rotates over HTTP.
func TestSecureRingOverHTTP(t *testing.T) {
	net := memnet.New(1)
	registry, err := ringdht.NewRegistry(ringdht.WithTransport(net.Host("registry")), ringdht.WithSecurity(0))
	if err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	if _, err := registry.Listen(t.Context(), "registry:1"); err != nil {
		t.Fatal(err)
	}
	lines := func(token ...uint32) (string, error) { return registry.JoinLine("registry:1", token...) }
	const key = "some key"
	full := Handler(registry, WithControl(), WithLogin(key), WithJoinLine(lines))
	call := func(h http.Handler, path, body string) (int, string) {
		t.Helper()
		r := post(path, body)
		r.Header.Set("Authorization", "Bearer "+key)
		w := ask(t, h, r, nil)
		var got struct{ Join string }
		_ = json.Unmarshal(w.Body.Bytes(), &got)
		return w.Code, got.Join
	}
	for name, h := range map[string]http.Handler{
		"no control": Handler(registry, WithLogin(key), WithJoinLine(lines)),
		"no login":   Handler(registry, WithControl(), WithJoinLine(lines)),
		"no line":    Handler(registry, WithControl(), WithLogin(key)),
	} {
		for _, path := range []string{"/token", "/rotate-tokens", "/rotate-key", "/expel"} {
			if status, line := call(h, path, "{}"); status != http.StatusForbidden || line != "" {
				t.Errorf("%s, %s: %d", path, name, status)
			}
		}
	}
	status, line := call(full, "/token", `{"once":true,"for":"10m","id":"7"}`)
	node, err := ringtest.Join(t.Context(), line, nil, ringdht.WithTransport(net.Host("node")), ringdht.WithListen("node:0"))
	if status != http.StatusOK || err != nil || node.ID() != 7 {
		t.Fatal(status, node, err)
	}
	defer node.Close()
	if status, _ = call(full, "/expel", fmt.Sprintf(`{"id":%d}`, node.ID())); status != http.StatusOK {
		t.Errorf("expel: %d", status)
	}
	<-node.Disconnected()
	_, before := call(full, "/rotate-tokens", "{}")
	status, after := call(full, "/rotate-key", "{}")
	pin := func(line string) string { return line[:strings.LastIndex(line, "-")] }
	if status != http.StatusOK || before == "" || pin(before) == pin(after) {
		t.Errorf("%d: %s, %s", status, before, after)
	}
	for path, body := range map[string]string{"/token": `{"for":"x"}`, "/expel": `{}`, "/rotate-key": `{"x":1}`} {
		if status, _ := call(full, path, body); status != http.StatusBadRequest {
			t.Errorf("%s %s: %d", path, body, status)
		}
	}
}
