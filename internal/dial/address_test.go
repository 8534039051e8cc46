package dial

import (
	"net"
	"net/netip"
	"strings"
	"testing"
)

func TestHostPort(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:80":                  "127.0.0.1:80",
		"[127.0.0.1]:80":                "127.0.0.1:80",
		"[::ffff:127.0.0.1]:80":         "127.0.0.1:80",
		"[::FFFF:7f00:1]:80":            "127.0.0.1:80",
		"[0:0:0:0:0:0:0:1]:65535":       "[::1]:65535",
		"[2001:DB8:0:0::A]:1":           "[2001:db8::a]:1",
		"[FE80::1%eth0]:80":             "[fe80::1%eth0]:80",
		"localhost:80":                  "localhost:80",
		"LOCALHOST.:80":                 "localhost:80",
		"Node-7.Example.COM:80":         "node-7.example.com:80",
		"under_score:80":                "under_score:80",
		"0x7g:80":                       "0x7g:80",
		"3com:80":                       "3com:80",
		"n0:32768":                      "n0:32768",
		"BÜCHER.example:80":             "bücher.example:80",
		strings.Repeat("a", 253) + ":1": strings.Repeat("a", 253) + ":1",
	} {
		got, err := HostPort(addr)
		if err != nil || got != want {
			t.Errorf("%q: %q %v, want %q", addr, got, err, want)
		}
	}
	for addr, says := range map[string]string{
		"":                               "host:port",
		"host":                           "host:port",
		":80":                            "host:port",
		"host:":                          "host:port",
		"a:b:80":                         "host:port",
		"::1:80":                         "host:port",
		"host:0":                         "port",
		"host:080":                       "port",
		"host:08000":                     "port",
		"host:+80":                       "port",
		"host:-1":                        "port",
		"host:65536":                     "port",
		"host:http":                      "port",
		"host:8 0":                       "port",
		"host:٨":                         "port",
		"0.0.0.0:80":                     "all addresses",
		"[::]:80":                        "all addresses",
		"[::ffff:0.0.0.0]:80":            "all addresses",
		"224.0.0.1:80":                   "group",
		"255.255.255.255:80":             "group",
		"[ff02::1%eth0]:80":              "group",
		"[::1%lo]:80":                    "zone",
		"[2001:db8::1%eth0]:80":          "zone",
		"[::ffff:127.0.0.1%a]:1":         "zone",
		"127.1:80":                       "number",
		"127.0.0.1.:80":                  "number",
		"127.0.0.01:80":                  "number",
		"256.0.0.1:80":                   "number",
		"2130706433:80":                  "number",
		"0x7F000001:80":                  "number",
		"host.0x:80":                     "number",
		".:80":                           "neither",
		"a..b:80":                        "neither",
		"a b:80":                         "neither",
		"a/b:80":                         "neither",
		"user@host:80":                   "neither",
		"[fe80::1%]:80":                  "neither",
		"host\n:80":                      "printed",
		"[fe80::1%\x1b]:80":              "printed",
		"\xff:80":                        "printed",
		strings.Repeat("a", 254) + ":1":  "254 bytes",
		strings.Repeat("a", 400) + ":80": "403 bytes",
		"[fe80:2:3::5:6:7:8%" + strings.Repeat("z", 278) + "]:1": "301 bytes in its canonical form",
	} {
		if got, err := HostPort(addr); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %q %v, want an error with %q", addr, got, err, says)
		}
	}
}

// The form of a form is itself, it can be dialled as it is, and no two spellings of an IP
// address have different ones.
func FuzzHostPort(f *testing.F) {
	for _, s := range []string{"127.0.0.1:80", "[::ffff:127.0.0.1]:80", "[fe80::1%eth0]:80", "LocalHost.:1", "0x7f.1:80", "K:1", "ſ.:7", "[fe80:2:3::5:6:7:8%" + strings.Repeat("z", 278) + "]:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, addr string) {
		one, err := HostPort(addr)
		if err != nil {
			return
		}
		if again, err := HostPort(one); err != nil || again != one {
			t.Errorf("%q: %q, and of that %q %v", addr, one, again, err)
		}
		if !Printable(one) || len(one) > maxAddr {
			t.Errorf("%q: %q", addr, one)
		}
		host, _, _ := net.SplitHostPort(addr)
		if ip, err := netip.ParseAddr(host); err == nil {
			got, err := netip.ParseAddrPort(one)
			if err != nil || got.Addr() != ip.Unmap() {
				t.Errorf("%q: %q is %v %v", addr, one, got, err)
			}
		}
	})
}

// One IP address and port has one canonical form, and a host name too: other spellings of it are
// refused, where a system might take them for it.
func TestSpellings(t *testing.T) {
	for want, spellings := range map[string][]string{
		"127.0.0.1:7": {
			"127.0.0.1:7", "[::ffff:127.0.0.1]:7", "[::ffff:7f00:1]:7", "[::FFFF:7F00:0001]:7", "[0:0:0:0:0:ffff:127.0.0.1]:7",
			"127.1:7", "127.0.1:7", "0177.0.0.1:7", "0x7f.0.0.1:7", "0x7f000001:7", "2130706433:7", "017700000001:7", "127.0.0.01:7",
			"127.0.0.1.:7", "\uff11\uff12\uff17.0.0.1:7", "127.0.0.\uff11:7", "127.0.0.\u0661:7", "127\u30020\u30020\u30021:7", "127.0.0.1:07", "127.0.0.1:+7",
			"[127.0.0.1%lo]:7", "[::ffff:127.0.0.1%lo]:7", "0.0.0.0:7", "[::]:7", ":7",
		},
		"[::1]:7": {"[::1]:7", "[0:0:0:0:0:0:0:1]:7", "[::0001]:7", "[::1%lo]:7", "[0::0:1]:7"},
		"localhost:7": {
			"localhost:7", "LocalHost:7", "localhost.:7", "localhost..:7", ".localhost:7", "\uff4cocalhost:7", "LOCALHO\u017fT:7", "local%68ost:7",
		},
	} {
		for _, spelling := range spellings {
			if got, err := HostPort(spelling); err == nil && got != want {
				t.Errorf("%q is %q, want %q or an error", spelling, got, want)
			}
		}
	}
}
