package dial

import "testing"

// address is a net.Addr.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// One machine is one source, by any of its addresses.
func TestSource(t *testing.T) {
	for addr, want := range map[string]string{
		"10.1.2.3:80":               "10.1.2.3",
		"[::ffff:10.1.2.3]:81":      "10.1.2.3",
		"[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::/64",
		"[2001:db8:1:2::9]:80":      "2001:db8:1:2::/64",
		"[fe80::1%eth0]:80":         "fe80::/64",
		"[::1]:80":                  "::1",
		"n7:80":                     "n7",
		"@socket":                   "",
	} {
		if got := Source(address(addr)); got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
	if Source(nil) != "" {
		t.Error("no address has a source")
	}
}
