package browser

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/dashboard"
	"github.com/x/ringdht/memnet"
)

// TestPictures makes pictures for the documentation. It runs only with -pictures.
func TestPictures(t *testing.T) {
	if *pictures == "" {
		t.Skip("without -pictures")
	}
	r := newRing(t, nil, ringdht.WithRing("ring"))
	p := open(t, r.serve("/", dashboard.WithControl()))
	ids := []ringdht.ID{2910, 9377, 13402, 19846, 25518, 30127, 37753, 41266, 47909, 52014, 57342, 62881}
	processes := r.spawn(len(ids), ids...)
	r.setup(4)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	run := func(messages int) {
		if _, err := r.registry.RunTraffic(ctx, ringdht.Traffic{Messages: messages, Payload: 256}); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	}
	run(200_000)
	p.updates(4)
	run(500_000)
	processes[3].Process.Kill()
	wait[bool](p, "the death", state(ids[3], "dead"))
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
	eval[bool](p, `(() => { document.activeElement.blur(); scrollTo(0, 0); return true })()`)
	p.picture("page", false)
	p.do(p.view(1440, 900, true)...)
	p.updates(2)
	p.picture("page-dark", false)
	p.do(p.view(1440, 900, false)...)
	p.traceRoute(r, ids[4], ids[2])
	eval[bool](p, fmt.Sprintf(`(() => { document.querySelector('#nodes tr[data-id="%d"] button').click(); document.activeElement.blur(); scrollTo(0, 0); return true })()`, ids[4]))
	p.updates(2)
	p.picture("page-route", true)
	p.do(p.view(1920, 1080, true)...)
	p.updates(2)
	p.picture("page-projector", false)
	for _, dark := range []bool{false, true} {
		p.do(p.view(390, 844, dark)...)
		p.updates(2)
		p.picture(map[bool]string{false: "page-phone", true: "page-phone-dark"}[dark], false)
	}
	p.picture("page-phone-all", true)
	cancel()
	<-done
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
	wait[bool](p, "traffic", `Number(document.getElementById("total-rate").dataset.value) > 3_000`)
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
