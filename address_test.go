package ringdht

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/x/ringdht/internal/control"
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
		got, err := hostPort(addr)
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
		"[fe80:2:3::5:6:7:8%" + strings.Repeat("z", 278) + "]:1": "301 bytes in its one form",
	} {
		if got, err := hostPort(addr); err == nil || !strings.Contains(err.Error(), says) {
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
		one, err := hostPort(addr)
		if err != nil {
			return
		}
		if again, err := hostPort(one); err != nil || again != one {
			t.Errorf("%q: %q, and of that %q %v", addr, one, again, err)
		}
		if !printable(one) || len(one) > maxAddr {
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

// A process is one member, however its address is spelled, and by whichever name it is
// dialled.
func TestOneProcessIsOneMember(t *testing.T) {
	tr := newTestRing(t, nil)
	other := newTestRing(t, nil) // whose node answers probes, and is no member here
	n := other.join(nil)
	_, port, _ := net.SplitHostPort(n.Peer().Addr)
	for _, host := range []string{"127.0.0.1", "[127.0.0.1]", "[::ffff:127.0.0.1]", "[::FFFF:7F00:1]", "localhost", "LOCALHOST", "LocalHost."} {
		m := tr.raw(t)
		if r := m.ask(control.TypeRegister, control.Register{Addr: host + ":" + port, Token: n.token}); r != nil {
			t.Errorf("%s: %+v", host, r)
		}
		if list := tr.registry.Members(); len(list) != 1 {
			t.Fatalf("%s: %v", host, list)
		}
	}
	if got := tr.registry.Members()[0].Addr; got != "localhost:"+port {
		t.Errorf("%s is the address", got)
	}
	for _, addr := range []string{"127.0.0.1:0" + port, "127.0.0.1:+" + port, "127.1:" + port, "[::1%lo]:" + port, "2130706433:" + port, "0.0.0.0:" + port} {
		m := tr.raw(t)
		r := m.ask(control.TypeRegister, control.Register{Addr: addr, Other: true, Token: n.token})
		if r == nil || r.Code != control.CodeProtocol || !strings.Contains(r.Reason, "WithAdvertise") {
			t.Errorf("%s: %+v", addr, r)
		}
	}
	// The holder is found under any spelling.
	m := tr.raw(t)
	r := m.ask(control.TypeRegister, control.Register{Addr: "LOCALHOST:" + port, Token: n.token + 1})
	if r == nil || r.Code != control.CodeAddrTaken {
		t.Errorf("another node at the address: %+v", r)
	}
	m = tr.raw(t)
	r = m.ask(control.TypeDeregister, control.Deregister{ID: uint64(tr.registry.Members()[0].ID), Addr: "LOCALHOST.:" + port})
	if r == nil || !strings.Contains(r.Reason, "another connection") {
		t.Errorf("deregistering: %+v", r)
	}
}

// A node brings what it advertises into that form too, and refuses what is no address.
func TestNodesAdvertiseOneForm(t *testing.T) {
	tr := newTestRing(t, nil)
	if n := tr.join(nil, WithListen("[::ffff:127.0.0.1]:0")); !strings.HasPrefix(n.Peer().Addr, "127.0.0.1:") {
		t.Errorf("joined as %v", n.Peer())
	}
	if n := tr.join(nil, WithListen("LOCALHOST:0")); !strings.HasPrefix(n.Peer().Addr, "localhost:") {
		t.Errorf("joined as %v", n.Peer())
	}
	for _, addr := range []string{"0.0.0.0:80", "[::]:80", "127.0.0.1:080", "127.0.0.1:http", "127.0.0.1:0", "host", "a b:80"} {
		if _, err := Join(tr.ctx(), tr.addr, nil, WithAdvertise(addr)); err == nil || !strings.Contains(err.Error(), "WithAdvertise") || errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

// The in-memory network tells no names apart by case, as no other does.
func TestMemoryHostsByCase(t *testing.T) {
	net := NewMemoryNetwork(1)
	tr := newTestRing(t, net)
	tr.name = "Node"
	for range 3 {
		tr.join(nil)
	}
	tr.setup(0)
	tr.exchange(tr.nodes...)
	for i, n := range tr.nodes {
		if !strings.HasPrefix(n.Peer().Addr, fmt.Sprintf("node%d:", i)) {
			t.Errorf("%v", n.Peer())
		}
	}
	net.Cut("NODE0", "Node1")
	if _, err := net.Host("nODe0").Dial(t.Context(), tr.nodes[1].Peer().Addr); err == nil {
		t.Error("not cut")
	}
}
