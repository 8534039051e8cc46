package browser

import (
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

// A member of another ring of this name asks to come back: the pill is not green, and a notice says
// what that means. It ends when the member gives up its ring and joins.
func TestOtherRingIsShown(t *testing.T) {
	t.Parallel()
	net := memnet.New(1)
	lease := ringdht.WithLease(time.Second)
	first := newRing(t, net, lease, ringdht.WithSelfSetup(0))
	first.join(2910)
	if err := first.nodes[0].Ready(ctx(t)); err != nil {
		t.Fatal(err)
	}
	net.Cut("n0", "registry")
	first.registry.Close()

	second, err := ringdht.NewRegistry(lease, ringdht.WithSelfSetup(0), ringdht.WithTransport(net.Host("registry")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { second.Close() })
	if _, err := second.Listen(ctx(t), first.addr); err != nil {
		t.Fatal(err)
	}
	r := &ring{t: t, registry: second, net: net, addr: first.addr, nodes: []*ringtest.Node{nil}}
	t.Cleanup(func() { r.nodes[1].Close() })
	r.join(13402)
	p := open(t, r.serve("/"))
	if text := p.pill("good"); text != "live" || eval[bool](p, `document.getElementById("rivals").checkVisibility()`) {
		t.Errorf("with one ring: %q", text)
	}

	net.Mend("n0", "registry")
	if text := p.pill("warn"); text != "other ring" {
		t.Errorf("with two rings: %q", text)
	}
	notice := p.text("#rivals")
	if want := "1 node of another ring named “ring” ("; !strings.HasPrefix(notice, want) || !strings.Contains(notice, "Use one registry.") || !strings.HasSuffix(notice, " after 20.0 s.") {
		t.Errorf("the notice: %q", notice)
	}
	if !eval[bool](p, `document.getElementById("rivals").checkVisibility()`) {
		t.Error("the notice is not shown")
	}
	if text := p.text(`#events li[data-kind="other ring"] .what`); text != "2910 of another ring asks to come back, and is refused" {
		t.Errorf("the event: %q", text)
	}
	p.scene("page-other-ring")
	p.checkAccessible()
	p.pill("good") // the node has joined as a new one
	wait[bool](p, "two members, and no notice", `document.getElementById("members").dataset.value === "2" && document.getElementById("rivals").hidden`)
}
