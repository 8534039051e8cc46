package browser

import (
	"context"
	"fmt"
	"slices"
	"testing"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/x/ringdht"
	"github.com/x/ringdht/memnet"
)

// opened waits until the drawer shows a node.
func (p *page) opened(id ringdht.ID) {
	p.t.Helper()
	wait[bool](p, "the drawer", fmt.Sprintf(`!document.getElementById("node").hidden && document.getElementById("node").dataset.id === "%d" && document.querySelector("#node .pairs") !== null`, id))
}

// closed waits until there is no drawer, and demands where the focus is then.
func (p *page) closed(focus string) {
	p.t.Helper()
	wait[bool](p, "no drawer", `document.getElementById("node").hidden && location.hash === ""`)
	if got := eval[string](p, `document.activeElement.id || document.activeElement.tagName`); focus != "" && got != focus {
		p.t.Errorf("without the drawer the focus is on %s, want %s", got, focus)
	}
}

// layout returns where the cards and the picture are in the window.
func (p *page) layout() []float64 {
	p.t.Helper()
	return eval[[]float64](p, `[...document.querySelectorAll("header, #ring, .card")].flatMap((e) => { const b = e.getBoundingClientRect(); return [b.x, b.y, b.width, b.height].map(Math.round) })`)
}

// Picking a node opens a drawer beside the picture, on a phone below it, and moves nothing. It
// closes with Esc, with its button, and with a second pick, and the focus goes back.
func TestDrawer(t *testing.T) {
	t.Parallel()
	r := newRing(t, memnet.New(1))
	r.join(2910, 13402, 25518, 34000, 45000, 57342)
	r.setup(2)
	p := open(t, r.serve("/"))
	wait[bool](p, "six active nodes", `document.querySelectorAll("#nodes tr[data-state=active]").length === 6`)
	p.updates(6) // so that cards with news have them
	for _, v := range []struct{ width, height int64 }{{1440, 900}, {1920, 1080}, {390, 844}} {
		p.do(p.view(v.width, v.height, false)...)
		p.updates(2)
		for i, n := range r.nodes {
			x, y := p.mark(n.ID())
			before := p.layout()
			p.do(chromedp.MouseClickXY(x, y))
			p.opened(n.ID())
			p.updates(2)
			if after := p.layout(); !slices.Equal(before, after) && v.width > 900 {
				t.Errorf("%d wide: the layout moves from %v to %v", v.width, before, after)
			}
			if !eval[bool](p, `document.activeElement.id === "node" && document.getElementById("node").getAttribute("role") === "dialog"`) {
				t.Errorf("the focus is on %s", eval[string](p, `document.activeElement.outerHTML.slice(0, 100)`))
			}
			_, y = p.markNow(n.ID())
			drawer := eval[[]float64](p, `(() => { const b = document.getElementById("node").getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom] })()`)
			picture := eval[[]float64](p, `(() => { const b = document.getElementById("ring").getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom] })()`)
			if v.width > 900 && drawer[0] < picture[2] {
				t.Errorf("%d wide: the drawer at %v covers the picture at %v", v.width, drawer, picture)
			}
			if drawer[0] < 0 || drawer[1] < 0 || drawer[2] > float64(v.width) || drawer[3] > float64(v.height) {
				t.Errorf("%d wide: the drawer at %v is not in the window", v.width, drawer)
			}
			if v.width < 900 && y > drawer[1] {
				t.Errorf("%d wide: the drawer at %v covers the node at %v", v.width, drawer, y)
			}
			switch i % 3 {
			case 0:
				p.do(chromedp.KeyEvent(kb.Escape))
			case 1:
				p.click("#node-close")
			case 2:
				x, y = p.markNow(n.ID())
				p.do(chromedp.MouseClickXY(x, y))
			}
			p.closed("ring")
		}
	}
	p.do(p.view(1440, 900, false)...)

	// By keyboard from the list, on to an entry of the table, and back.
	p.updates(1)
	first := eval[string](p, `(() => { const a = document.querySelector("#nodes tbody a"); a.id = "first"; a.focus(); return a.textContent })()`)
	p.do(chromedp.KeyEvent(kb.Enter))
	p.opened(r.nodes[0].ID())
	if first != fmt.Sprint(r.nodes[0].ID()) {
		t.Fatalf("the first node of the list is %s", first)
	}
	entry := eval[string](p, `(() => { const a = document.querySelector("#node tbody a"); a.focus(); return a.textContent })()`)
	p.do(chromedp.KeyEvent(kb.Enter))
	wait[bool](p, "the entry", fmt.Sprintf(`document.getElementById("node").dataset.id === %s && document.activeElement.id === "node"`, quote(entry)))
	p.opened(r.nodes[1].ID())
	p.checkAccessible()
	p.checkHTML()
	p.do(chromedp.KeyEvent(kb.Escape))
	p.closed("first")
}

// Each node has a link, which opens its drawer. The back button goes through the picks.
func TestLinksOfNodes(t *testing.T) {
	t.Parallel()
	r := newRing(t, memnet.New(1))
	r.join(2910, 13402, 25518)
	r.setup(2)
	address := r.serve("/some/where/")
	p := open(t, address+"#node=13402")
	p.opened(13402)
	p.click(`#nodes tr[data-id="25518"] a`)
	p.opened(25518)
	if hash := eval[string](p, `location.hash`); hash != "#node=25518" {
		t.Errorf("the address ends with %q", hash)
	}
	p.do(chromedp.KeyEvent(kb.Escape))
	p.closed("")
	back := func() {
		t.Helper()
		eval[bool](p, `(() => { history.back(); return true })()`)
	}
	back()
	p.opened(25518)
	back()
	p.opened(13402)
	p.updates(2)
	p.opened(13402) // an update does not change it
	p.click("#node-close")
	p.closed("")

	// Of a node that is not there it says so.
	p.expect(`404 `)
	p.navigate(address + "#node=77")
	wait[bool](p, "no such node", `document.getElementById("node-body").textContent.includes("no node has the ID 77")`)
	if err := chromedp.Do(p.ctx, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, cdppage.Reload, cdppage.ReloadParams{})
		return err
	})); err != nil {
		t.Fatal(err)
	}
	wait[bool](p, "the same after a reload", `document.getElementById("node-body")?.textContent.includes("no node has the ID 77")`)
}

// mark returns where a node is on the screen, as the picture says, with the page at its top.
func (p *page) mark(id ringdht.ID) (x, y float64) {
	p.t.Helper()
	eval[bool](p, `(() => { scrollTo(0, 0); return true })()`)
	return p.markNow(id)
}

func (p *page) markNow(id ringdht.ID) (x, y float64) {
	p.t.Helper()
	at := eval[[]float64](p, fmt.Sprintf(`(() => { const b = document.getElementById("ring").getBoundingClientRect(), [x, y] = window.ringdht.placeOf("%d"); return [b.x + x, b.y + y] })()`, id))
	return at[0], at[1]
}
