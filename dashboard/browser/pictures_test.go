package browser

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/dashboard"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// views are the windows in which pictures are taken. The first three are those of the
// documentation.
var views = []struct {
	name          string
	width, height int64
	dark          bool
}{{"", 1440, 900, false}, {"-dark", 1440, 900, true}, {"-phone", 390, 844, false}, {"-phone-dark", 390, 844, true}}

// scene takes a picture of each view, of what is there when the page is scrolled to its top.
func (p *page) scene(name string) {
	p.t.Helper()
	for _, v := range views {
		p.do(p.view(v.width, v.height, v.dark)...)
		eval[bool](p, `(() => { scrollTo(0, 0); return true })()`)
		p.updates(2)
		p.picture(name+v.name, false)
	}
	p.do(p.view(1440, 900, false)...)
	p.updates(1)
}

// pick opens the drawer with a node, by its link.
func (p *page) pick(id ringdht.ID) {
	p.t.Helper()
	eval[bool](p, fmt.Sprintf(`(() => { location.hash = "node=%d"; return true })()`, id))
	wait[bool](p, "the drawer", fmt.Sprintf(`document.getElementById("node").dataset.id === "%d" && !!document.querySelector("#node .state-word")?.textContent`, id))
}

// unpick closes the drawer, and takes the focus from what has it.
func (p *page) unpick() {
	p.t.Helper()
	eval[bool](p, `(() => { location.hash = ""; document.activeElement.blur(); return true })()`)
	wait[bool](p, "no drawer", `document.getElementById("node").hidden`)
}

var shownIDs = []ringdht.ID{2910, 9377, 13402, 19846, 25518, 30127, 37753, 41266, 47909, 52014, 57342, 62881}

// TestPictures makes pictures of a ring's life. It runs only with -pictures.
func TestPictures(t *testing.T) {
	if *pictures == "" {
		t.Skip("without -pictures")
	}
	r := newRing(t, nil, ringdht.WithRing("ring"))
	_, port, _ := strings.Cut(r.addr, ":")
	p := open(t, r.serve("/", dashboard.WithControl(), dashboard.WithJoin("messenger {host}:"+port)))
	p.scene("page-empty")
	ids := shownIDs
	processes := r.spawn(len(ids), ids...)
	r.setup(4)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	run := func(messages int) {
		if _, err := r.registry.RunTraffic(ctx, status.Traffic{Messages: messages, Payload: 256}); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	}
	run(200_000)
	p.updates(4)
	run(500_000)
	wait[bool](p, "quiet", `document.getElementById("total-rate").dataset.value === "0"`)
	p.scene("page-idle")
	fmt.Fprintln(processes[8].stdin, "leave")
	wait[bool](p, "the leave", state(ids[8], "left"))
	run(300_000)
	p.updates(6)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			run(4_000_000)
		}
	}()
	wait[bool](p, "traffic", `Number(document.getElementById("total-rate").dataset.value) > 1_000_000`)
	p.updates(10)
	p.scene("page")
	p.pick(ids[4])
	p.scene("page-picked")
	p.unpick()
	p.traceRoute(r, ids[4], ids[2])
	p.scene("page-route")
	p.do(p.view(1920, 1080, true)...)
	p.pick(ids[2])
	p.updates(2)
	p.picture("page-projector", false)
	p.do(p.view(390, 844, false)...)
	p.unpick()
	p.picture("page-phone-all", true)
	p.do(p.view(1440, 900, false)...)
	p.picture("page-all", true)
	eval[bool](p, `(() => { document.activeElement.blur(); document.dispatchEvent(new KeyboardEvent("keydown", {key: "Escape"})); return true })()`)
	processes[3].Process.Kill()
	wait[bool](p, "the death", state(ids[3], "dead"))
	p.updates(8)
	p.pick(ids[3])
	p.scene("page-dead")
	cancel()
	<-done
}

// A ring in which a pair of nodes cannot reach each other.
func TestPicturesOfDetour(t *testing.T) {
	if *pictures == "" {
		t.Skip("without -pictures")
	}
	net := memnet.New(1)
	r := newRing(t, net)
	r.join(shownIDs...)
	r.setup(3)
	p := open(t, r.serve("/"))
	defer r.murmur(2_000)()
	r.detour(p, 2, 4)
	p.updates(10)
	p.scene("page-detour")
}

// A ring of 200 nodes, of which some are dead, suspect or leaving, and a pair takes a detour.
func TestPicturesOfTwoHundred(t *testing.T) {
	if *pictures == "" {
		t.Skip("without -pictures")
	}
	r := newRing(t, memnet.New(1), ringdht.WithLease(40*time.Second)) // a suspect has so long to come back
	r.grow(200)
	p := open(t, r.serve("/"))
	wait[bool](p, "the nodes", `document.getElementById("members").dataset.value === "200"`)
	p.scene("page-200-registered")
	r.setup(0)
	defer r.murmur(5_000)()
	wait[bool](p, "traffic", `Number(document.getElementById("total-rate").dataset.value) > 500`)
	r.trouble(p)
	p.updates(6)
	p.scene("page-200")
	p.do(p.view(390, 844, false)...)
	p.picture("page-200-phone-all", true)
	p.do(p.view(1440, 900, false)...)
	p.picture("page-200-all", true)
}

// The same for a large ring.
func TestPicturesOfThousand(t *testing.T) {
	if *pictures == "" {
		t.Skip("without -pictures")
	}
	r := newRing(t, memnet.New(1), ringdht.WithLease(6*time.Second))
	r.grow(1000)
	r.setup(0)
	p := open(t, r.serve("/"))
	defer r.murmur(5_000)()
	wait[bool](p, "traffic", `Number(document.getElementById("total-rate").dataset.value) > 500`)
	r.nodes[77].Leave(ctx(t))
	r.nodes[500].Leave(ctx(t))
	p.updates(20)
	p.picture("page-1000", false)
	p.do(p.view(1920, 1080, true)...)
	p.updates(2)
	members := r.registry.Members()
	p.traceRoute(r, members[20].ID, members[19].ID)
	eval[bool](p, `(() => { document.activeElement.blur(); scrollTo(0, 0); return true })()`)
	p.updates(2)
	p.picture("page-1000-dark", false)
	p.do(p.view(390, 844, false)...)
	p.updates(2)
	p.picture("page-1000-phone", false)
}
