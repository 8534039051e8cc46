package deploy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// lan is a network of machines, each a network namespace, on one switch. All know each other's
// names, such as a.ring.
type lan struct {
	t      testing.TB
	prefix string
	hosts  map[string]string // by name
}

// newLAN makes a network. It needs root, since it makes network namespaces and filters.
func newLAN(t *testing.T) *lan {
	t.Helper()
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("it needs root on Linux, to make network namespaces")
	}
	for _, tool := range []string{"ip", "iptables", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	l := &lan{t: t, prefix: fmt.Sprintf("rd%d", os.Getpid()), hosts: map[string]string{"localhost": "127.0.0.1"}}
	if out, err := exec.Command("ip", "netns", "add", l.prefix+"switch").CombinedOutput(); err != nil {
		t.Skipf("this machine allows no network namespaces: %s", out)
	}
	t.Cleanup(func() { exec.Command("ip", "netns", "del", l.prefix+"switch").Run() })
	l.run("switch", "ip link add br0 type bridge", "ip link set br0 up")
	return l
}

// sh runs commands on this machine.
func (l *lan) sh(commands ...string) {
	l.t.Helper()
	for _, c := range commands {
		words := strings.Fields(c)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			l.t.Fatalf("%s: %v\n%s", c, err, out)
		}
	}
}

// run runs commands on a machine.
func (l *lan) run(machine string, commands ...string) {
	l.t.Helper()
	for _, c := range commands {
		l.sh("ip netns exec " + l.prefix + machine + " " + c)
	}
}

// add adds a machine without a network.
func (l *lan) add(machine string) {
	l.t.Helper()
	l.sh("ip netns add " + l.prefix + machine)
	etc := filepath.Join("/etc/netns", l.prefix+machine)
	l.t.Cleanup(func() {
		exec.Command("ip", "netns", "del", l.prefix+machine).Run()
		os.RemoveAll(etc)
	})
	if err := os.MkdirAll(etc, 0o755); err != nil {
		l.t.Fatal(err)
	}
	l.run(machine, "ip link set lo up")
	l.names()
}

// names writes what machines know of names: programs that run see it too.
func (l *lan) names() {
	l.t.Helper()
	var text strings.Builder
	for name, addr := range l.hosts {
		text.WriteString(addr + " " + name + "\n")
	}
	known, err := filepath.Glob("/etc/netns/" + l.prefix + "*")
	if err != nil {
		l.t.Fatal(err)
	}
	for _, etc := range known {
		if err := os.WriteFile(filepath.Join(etc, "hosts"), []byte(text.String()), 0o644); err != nil {
			l.t.Fatal(err)
		}
	}
}

// plug joins a machine to the network of another by a cable, with an address at each end: on the
// switch, if its address is empty.
func (l *lan) plug(machine, addr, other, otherAddr string) {
	l.t.Helper()
	a, b := l.prefix+machine, l.prefix+other
	cable := fmt.Sprintf("%s-%s", machine, other)
	l.sh("ip link add " + cable + " netns " + a + " type veth peer name " + cable + " netns " + b)
	l.run(machine, "ip addr add "+addr+"/24 dev "+cable, "ip link set "+cable+" up")
	l.run(other, "ip link set "+cable+" up")
	if otherAddr == "" {
		l.run(other, "ip link set "+cable+" master br0")
	} else {
		l.run(other, "ip addr add "+otherAddr+"/24 dev "+cable)
	}
}

// machine adds a machine on the switch, 10.77.0.n, by the name machine.ring.
func (l *lan) machine(name string, n int) {
	l.t.Helper()
	addr := fmt.Sprintf("10.77.0.%d", n)
	l.hosts[name+".ring"] = addr
	l.add(name)
	l.plug(name, addr, "switch", "")
}

// start starts a program on a machine.
func (l *lan) start(machine, program string, settings ...string) *process {
	l.t.Helper()
	cmd := exec.Command("ip", "netns", "exec", l.prefix+machine, filepath.Join(programs, program))
	return startCommand(l.t, cmd, append([]string{"PATH=" + os.Getenv("PATH")}, settings...)...)
}

// ask asks the program on a machine for a path until the answer has this part.
func (l *lan) ask(machine, path, part string, curl ...string) string {
	l.t.Helper()
	args := append([]string{"netns", "exec", l.prefix + machine, "curl", "-s", "--max-time", "50"}, curl...)
	var out []byte
	for range 1000 {
		out, _ = exec.Command("ip", append(slices.Clone(args), "http://localhost:8080"+path)...).CombinedOutput()
		if strings.Contains(string(out), part) {
			return string(out)
		}
		if len(curl) > 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	l.t.Fatalf("%s %s: %q, want %q", machine, path, about(string(out), part), part)
	return ""
}

const (
	webHere = "RINGDHT_HTTP=localhost:8080"
	ringAt  = "RINGDHT_REGISTRY=registry.ring:12345"
)

// traffic lets all nodes send, and expects every message to arrive.
func (l *lan) traffic(nodes int) {
	l.t.Helper()
	l.ask("registry", "/metrics", fmt.Sprintf(`ringdht_members{ring="ring",state="active"} %d`, nodes))
	l.ask("registry", "/metrics", `ringdht_ready{ring="ring"} 1`)
	l.ask("registry", "/run", `"verdict":"exact"`, "-d", `{"messages":200,"payload":100}`, "-H", "Content-Type: application/json")
}

// machines starts a registry, and nodes on machines of their own: a with what a node does by
// itself, b with a fixed port and a name.
func machines(t *testing.T, registry ...string) (*lan, *process) {
	l := newLAN(t)
	l.machine("registry", 1)
	l.machine("a", 2)
	l.machine("b", 3)
	r := l.start("registry", "registry", append(registry, webHere, "RINGDHT_CONTROL=true")...)
	r.record("registry listens")
	l.start("a", "node", webHere, ringAt).record("node has joined")
	b := l.start("b", "node", webHere, ringAt, "RINGDHT_LISTEN=:12346", "RINGDHT_ADVERTISE=B.ring:12346")
	if got := b.record("node has joined")["addr"]; got != "b.ring:12346" {
		t.Errorf("b is at %v", got)
	}
	return l, r
}

// A node advertises the address from which it reaches the registry, or a name. Behind NAT it is
// refused, with the reason, until its port is forwarded and it advertises the gateway.
func TestMachines(t *testing.T) {
	l, _ := machines(t)
	l.machine("gateway", 4)
	l.add("c")
	l.plug("c", "192.168.77.2", "gateway", "192.168.77.1")
	l.run("c", "ip route add default via 192.168.77.1")
	l.run("gateway", "sysctl -qw net.ipv4.ip_forward=1", "iptables -t nat -A POSTROUTING -o gateway-switch -j MASQUERADE")

	// A machine on two networks advertises its address on the registry's.
	if got := l.start("gateway", "node", webHere, ringAt).record("node has joined")["addr"].(string); !strings.HasPrefix(got, "10.77.0.4:") {
		t.Errorf("the gateway is at %s", got)
	}
	plain := l.start("c", "node", webHere, ringAt)
	if status := plain.status(); status != 1 || !strings.Contains(plain.log(), "you advertise 192.168.77.2:") {
		t.Errorf("status %d\n%s", status, plain.log())
	}
	c := l.start("c", "node", webHere, ringAt, "RINGDHT_LISTEN=:12346", "RINGDHT_ADVERTISE=gateway.ring:12346")
	why := c.record("cannot join yet, trying again")["err"].(string)
	if !strings.Contains(why, "the registry cannot reach you at gateway.ring:12346") {
		t.Error(why)
	}
	l.run("gateway", "iptables -t nat -A PREROUTING -i gateway-switch -p tcp --dport 12346 -j DNAT --to-destination 192.168.77.2")
	c.record("node has joined")
	l.traffic(4)
}

// Two nodes that a firewall keeps apart reach each other by a detour, and the registry shows the
// pair. A node that the registry cannot dial is refused.
func TestFirewall(t *testing.T) {
	l, _ := machines(t)
	l.machine("d", 5)
	l.run("d", "iptables -A INPUT -p tcp --syn -j REJECT --reject-with tcp-reset") // it can dial, and not be dialled
	d := l.start("d", "node", webHere, ringAt)
	if why := d.record("cannot join yet, trying again")["err"].(string); !strings.Contains(why, "check WithListen and WithAdvertise, and firewalls") {
		t.Error(why)
	}
	l.run("d", "iptables -A OUTPUT -p tcp --syn -d 10.77.0.2 -j DROP", "iptables -I INPUT -p tcp --syn -s 10.77.0.2 -j DROP",
		"iptables -D INPUT -p tcp --syn -j REJECT --reject-with tcp-reset") // the last, or the pair could connect in between
	d.record("node has joined")
	l.ask("registry", "/metrics", `ringdht_degraded_pairs{ring="ring"} 2`)
	l.traffic(3)
	l.run("d", "iptables -F")
	l.ask("registry", "/metrics", `ringdht_degraded_pairs{ring="ring"} 0`)
}

// A registry may move to another machine: nodes look its name up at each attempt.
func TestRegistryMoves(t *testing.T) {
	l, r := machines(t, "RINGDHT_LEASE=1s")
	l.machine("new", 6)
	if status := r.terminate(); status != 0 {
		t.Error(status)
	}
	l.hosts["registry.ring"] = l.hosts["new.ring"]
	l.names()
	// No node is let in before the registry was seen to wait for them.
	l.run("new", "iptables -A INPUT -p tcp --syn --dport 12345 -j REJECT --reject-with tcp-reset")
	// A dial that the new machine does not answer at first takes five seconds, the time of a handshake;
	// only then the node dials anew. A grace must be longer than that, and than what comes before on a
	// busy machine.
	moved := l.start("new", "registry", webHere, "RINGDHT_CONTROL=true", "RINGDHT_LEASE=1s", "RINGDHT_GRACE=20s")
	moved.record("registry listens")
	l.ask("new", "/readyz", "may come back first")
	l.run("new", "iptables -F")
	l.ask("new", "/metrics", `ringdht_members{ring="ring",state="active"} 2`)
	l.ask("new", "/readyz", "ready\n")
	if strings.Contains(moved.log(), `"msg":"joined"`) {
		t.Errorf("a node has lost its life:\n%s", moved.log())
	}
}
