package page

import (
	"net"
	"testing"
)

// The page names the registry as others dial it.
func TestInvite(t *testing.T) {
	for at, want := range map[string]string{
		"[::]:12345":      "messenger {host}:12345",
		"0.0.0.0:12345":   "messenger {host}:12345",
		"127.0.0.1:5":     "messenger 127.0.0.1:5",
		"[2001:db8::1]:5": "messenger [2001:db8::1]:5",
	} {
		addr, err := net.ResolveTCPAddr("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		var f Flags
		if f.Invite("messenger", addr); f.join != want {
			t.Errorf("%s: %q, want %q", at, f.join, want)
		}
	}
}
