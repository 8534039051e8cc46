package browser

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/x/ringdht"
)

// Routes, the picture and the keyboard, on a page below another path.
func TestRoutes(t *testing.T) {
	t.Parallel()
	r := newRing(t, nil)
	r.grow(10)
	r.setup(2) // few entries, for long routes
	p := open(t, r.serve("/some/where/"))
	wait[bool](p, "ten active nodes", `document.querySelectorAll("#nodes tr[data-state=active]").length === 10`)

	members := r.registry.Members()
	for i := range 3 {
		p.traceRoute(r, members[i].ID, members[(i+9)%10].ID)
	}

	// The mouse selects a node in the picture.
	id := lonely(members)
	x, y := p.place(id, len(members))
	p.do(chromedp.MouseClickXY(x, y))
	p.compareNode(r, id)

	// The keyboard can do the same: to the picture, along the ring, and to the panel.
	p.do(chromedp.KeyEvent(kb.Escape))
	wait[bool](p, "nothing selected", `document.getElementById("node").dataset.id === ""`)
	eval[bool](p, `(() => { document.activeElement.blur(); window.scrollTo(0, 0); return true })()`)
	p.tabTo("ring")
	at := slices.IndexFunc(members, func(m ringdht.Peer) bool { return m.ID == id })
	first := p.said(kb.ArrowRight)
	start := slices.IndexFunc(members, func(m ringdht.Peer) bool { return strings.HasPrefix(first, fmt.Sprint(m.ID, ",")) })
	if start < 0 {
		t.Fatalf("the arrow leads to %q", first)
	}
	for i := start; i != at; i = (i + 1) % 10 {
		p.said(kb.ArrowRight)
	}
	p.do(chromedp.KeyEvent(kb.Enter))
	p.compareNode(r, id)

	// It can also trace a route, from typing both ends to the result.
	from, to := members[4].ID, members[2].ID
	p.tabTo("route-from")
	p.do(chromedp.KeyEvent(fmt.Sprint(from)))
	p.tabTo("route-to")
	p.do(chromedp.KeyEvent(fmt.Sprint(to)))
	p.do(chromedp.KeyEvent(kb.Enter))
	p.checkRoute(r, from, to)

	// An ID that no node has.
	p.expect(`(404|400|409) `)
	free := ringdht.ID(1)
	for slices.ContainsFunc(members, func(m ringdht.Peer) bool { return m.ID == free }) {
		free++
	}
	p.fill("#route-to", fmt.Sprint(free))
	p.click("#route-trace")
	wait[bool](p, "the error", `document.getElementById("route").dataset.state === "error"`)
	t.Logf("to a node that is not there: %s", p.text("#route .bad"))
}

// said presses a key and returns what the page then announces.
func (p *page) said(key string) string {
	p.t.Helper()
	was := p.text("#says")
	p.do(chromedp.KeyEvent(key))
	return wait[string](p, "words", fmt.Sprintf(`(() => { const now = document.getElementById("says").textContent; return now !== %s && now })()`, quote(was)))
}

// traceRoute traces a route with the page, by mouse.
func (p *page) traceRoute(r *ring, from, to ringdht.ID) {
	p.t.Helper()
	p.fill("#route-from", fmt.Sprint(from))
	p.fill("#route-to", fmt.Sprint(to))
	p.click("#route-trace")
	p.checkRoute(r, from, to)
}

// checkRoute compares the page's route with a trace and with the tables.
func (p *page) checkRoute(r *ring, from, to ringdht.ID) {
	p.t.Helper()
	shown := wait[map[string]string](p, "the route", fmt.Sprintf(`(() => {
		const d = document.getElementById("route").dataset;
		return d.state === "done" && d.path.startsWith("%d,") && d.path.endsWith(",%d") && {...d};
	})()`, from, to))
	hops, err := r.registry.Trace(ctx(p.t), from, to)
	if err != nil {
		p.t.Fatal(err)
	}
	traced, predicted := fmt.Sprint(from), fmt.Sprint(from)
	for _, h := range hops {
		traced += fmt.Sprint(",", h.ID)
	}
	tables := make(map[ringdht.ID]*ringdht.Table)
	for m, table := range r.registry.Tables() {
		tables[m.ID] = table
	}
	for at := from; at != to; {
		next, ok := tables[at].Next(to)
		if !ok {
			p.t.Fatalf("the tables lead from %d to %d no further than %d", from, to, at)
		}
		at = next.ID
		predicted += fmt.Sprint(",", at)
	}
	if shown["path"] != traced || shown["predicted"] != predicted {
		p.t.Errorf("the page shows %s, predicted %s; a trace goes %s, the tables say %s", shown["path"], shown["predicted"], traced, predicted)
	}
	rows := eval[[]string](p, `[...document.querySelectorAll("#route tbody tr")].map((r) => r.cells[1].textContent)`)
	if strings.Join(rows, ",") != traced {
		p.t.Errorf("hop by hop: %v", rows)
	}
	times := eval[[]string](p, `[...document.querySelectorAll("#route tbody tr")].slice(1).map((r) => r.cells[2].textContent)`)
	if slices.Contains(times, "") || len(times) != len(hops) {
		p.t.Errorf("the hops' times: %q", times)
	}
	if words := eval[string](p, `document.getElementById("ring").ariaLabel`); !strings.Contains(words, fmt.Sprintf("The route from %d to %d is drawn.", from, to)) {
		p.t.Errorf("the picture in words: %s", words)
	}
}

// lonely returns the node whose neighbours are farthest away, so that a click hits no other.
func lonely(members []ringdht.Peer) (best ringdht.ID) {
	const space = ringdht.Space(16)
	most := uint64(0)
	for i, m := range members {
		before, after := members[(i+len(members)-1)%len(members)].ID, members[(i+1)%len(members)].ID
		if d := min(space.Distance(before, m.ID), space.Distance(m.ID, after)); d > most {
			best, most = m.ID, d
		}
	}
	return best
}

// place returns where a node is on the screen: at the angle of its ID, near the rim.
func (p *page) place(id ringdht.ID, nodes int) (x, y float64) {
	p.t.Helper()
	box := eval[[]float64](p, `(() => {
		const e = document.getElementById("ring");
		window.scrollTo(0, 0);
		const b = e.getBoundingClientRect();
		return [b.x, b.y, b.width, b.height];
	})()`)
	angle := float64(id) / (1 << 16) * 2 * math.Pi
	radius := box[2]/2 - 62
	if nodes > 48 {
		radius = box[2]/2 - 0.075*box[2] - 10
	}
	return box[0] + box[2]/2 + radius*math.Sin(angle), box[1] + box[3]/2 - radius*math.Cos(angle)
}
