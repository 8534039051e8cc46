//go:build linux

package chaos

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
)

// network is a set of hosts, which are network namespaces. Host 0 is the registry's. Each host
// has a cable to one of two switches, and a cable joins the switches:
//
//	host 0, 1, 2 ... ─── near ─── far ─── host n-1, n
type network struct {
	t      *testing.T
	prefix string
}

// networks numbers the networks, since tests run in parallel.
var networks atomic.Int32

// newNetwork makes a network whose last far hosts are at the far switch. It skips the test,
// with a message, where that is not allowed.
func newNetwork(t *testing.T, hosts, far int) *network {
	t.Helper()
	n := &network{t, fmt.Sprintf("chaos%d-%d-", os.Getpid(), networks.Add(1))}
	if why := n.forbidden(); why != "" {
		line := "SKIPPED: no privilege to make network namespaces: " + why
		fmt.Fprintf(os.Stderr, "%s: %s\n", t.Name(), line)
		t.Skip(line)
	}
	t.Cleanup(func() {
		n.try("netns", "del", n.prefix+"switch")
		for i := range hosts {
			n.try("netns", "del", n.host(i))
		}
	})
	n.ip("netns", "add", n.prefix+"switch")
	for _, bridge := range []string{"near", "far"} {
		n.inSwitch("link", "add", bridge, "type", "bridge", "forward_delay", "0")
		n.inSwitch("link", "set", bridge, "up")
	}
	n.inSwitch("link", "add", "trunk", "type", "veth", "peer", "name", "knurt")
	n.inSwitch("link", "set", "trunk", "master", "near", "up")
	n.inSwitch("link", "set", "knurt", "master", "far", "up")
	for i := range hosts {
		bridge := "near"
		if i >= hosts-far {
			bridge = "far"
		}
		n.ip("netns", "add", n.host(i))
		n.ip("-n", n.host(i), "link", "set", "lo", "up")
		n.inSwitch("link", "add", port(i), "type", "veth", "peer", "name", "eth0", "netns", n.host(i))
		n.inSwitch("link", "set", port(i), "master", bridge, "up")
		n.ip("-n", n.host(i), "addr", "add", address(i)+"/24", "dev", "eth0")
		n.ip("-n", n.host(i), "link", "set", "eth0", "up")
	}
	return n
}

// forbidden says why namespaces cannot be made, or "".
func (n *network) forbidden() string {
	if _, err := exec.LookPath("ip"); err != nil {
		return "the program ip (iproute2) is not installed"
	}
	if os.Geteuid() != 0 {
		return fmt.Sprintf("user %d is not root", os.Geteuid())
	}
	probe := n.prefix + "probe"
	if err := n.try("netns", "add", probe); err != nil {
		return err.Error()
	}
	defer n.try("netns", "del", probe)
	if err := n.try("-n", probe, "link", "add", "probe", "type", "bridge"); err != nil {
		return err.Error()
	}
	if err := n.try("-n", probe, "link", "add", "probe0", "type", "veth", "peer", "name", "probe1"); err != nil {
		return err.Error()
	}
	return ""
}

func (n *network) host(i int) string { return fmt.Sprint(n.prefix, i) }
func port(i int) string              { return fmt.Sprint("port", i) }
func address(i int) string           { return fmt.Sprint("10.77.0.", i+1) }

// place is the place function of a plan.
func (n *network) place(node int) (namespace, listen string) {
	return n.host(node + 1), address(node+1) + ":0"
}

func (n *network) try(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (n *network) ip(args ...string) {
	n.t.Helper()
	if err := n.try(args...); err != nil {
		n.t.Fatal(err)
	}
}

func (n *network) inSwitch(args ...string) {
	n.t.Helper()
	n.ip(append([]string{"-n", n.prefix + "switch"}, args...)...)
}

// mute drops all packets from one host to another. Packets of the other direction still
// arrive, but no connection survives, since nothing is confirmed any more.
func (n *network) mute(from, to int) {
	n.t.Helper()
	n.ip("-n", n.host(from), "route", "add", "blackhole", address(to)+"/32")
}

func (n *network) unmute(from, to int) {
	n.t.Helper()
	n.ip("-n", n.host(from), "route", "del", "blackhole", address(to)+"/32")
}

// unplug pulls a host's cable out of its switch; plug puts it back.
func (n *network) unplug(i int) { n.t.Helper(); n.inSwitch("link", "set", port(i), "down") }
func (n *network) plug(i int)   { n.t.Helper(); n.inSwitch("link", "set", port(i), "up") }

// split cuts the cable between the switches; heal restores it.
func (n *network) split() { n.t.Helper(); n.inSwitch("link", "set", "trunk", "down") }
func (n *network) heal()  { n.t.Helper(); n.inSwitch("link", "set", "trunk", "up") }
