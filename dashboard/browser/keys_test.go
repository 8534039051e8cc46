package browser

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/keys"
)

const add = keys.Method[int64, int64, int64]("add")

// owner adds an owner of the service counter. A handler of a negative number calls held.
func (r *ring) owner(id ringdht.ID, held func(), opts ...ringdht.NodeOption) *keys.Space[int64] {
	r.t.Helper()
	n := ringdht.NewNode(append(opts, ringdht.WithID(id), ringdht.WithListen("127.0.0.1:0"), ringdht.WithTraffic())...)
	s := keys.New[int64](n, "counter", keys.WithPatience(time.Hour))
	add.Handle(s, func(_ context.Context, _ string, count *int64, by int64) (int64, error) {
		if by < 0 {
			held()
		}
		*count += by
		return *count, nil
	})
	if err := n.Join(ctx(r.t), r.addr); err != nil {
		r.t.Fatal(err)
	}
	r.nodes = append(r.nodes, &ringtest.Node{Node: n})
	return s
}

// The page has no card of keys before the first owner. Then it shows the shares of the owners, arcs that
// move, with their ages, and which arcs are a node's.
func TestKeys(t *testing.T) {
	t.Parallel()
	r := newRing(t, nil)
	p := open(t, r.serve("/"))
	wait[bool](p, "no card", `document.getElementById("keys").hidden`)
	hold := make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	t.Cleanup(release)
	var running sync.WaitGroup
	running.Add(40)
	held := func() {
		running.Done()
		<-hold
	}
	s := r.owner(12000, held, ringdht.WithName("first"))
	r.owner(44000, held)
	r.setup(1)
	const row = `.keyspace[data-service="counter"] .keyowners tr[data-owner="%d"]`
	p.do(chromedp.WaitVisible(fmt.Sprintf(row, 44000)))
	for i := range 40 {
		if _, err := add.Call(ctx(t), s, fmt.Sprint("key ", i), 1); err != nil {
			t.Fatal(err)
		}
	}
	cell := func(id, n int) string {
		return fmt.Sprintf(`document.querySelector('`+row+`').cells[%d].textContent`, id, n)
	}
	wait[bool](p, "the keys of both", fmt.Sprintf(`Number(%s) > 0 && Number(%s) + Number(%s) === 40`, cell(12000, 3), cell(12000, 3), cell(44000, 3)))
	wait[bool](p, "no move", `document.querySelector(".keyring").dataset.moving === "0" && document.querySelector(".keymoves").hidden`)
	if got := eval[string](p, cell(12000, 0)); got != "12000 first" {
		t.Errorf("the first owner is %q", got)
	}

	// A pick of an owner marks its arcs, and opens the drawer with it; so does one of its arcs.
	p.click(fmt.Sprintf(row, 44000) + " button")
	wait[bool](p, "the owner marked", `document.querySelector(".keyring").dataset.marked === "1" && document.getElementById("node").dataset.id === "44000"`)
	p.picked(`44000`)

	// Moves wait for handlers: the third owner does not get the arcs whose handlers run.
	var calls sync.WaitGroup
	for i := range 40 {
		calls.Go(func() { add.Call(ctx(t), s, fmt.Sprint("key ", i), -1) })
	}
	running.Wait()
	third := make(chan struct{})
	go func() {
		defer close(third)
		r.owner(28000, held)
	}()
	wait[bool](p, "moves", `Number(document.querySelector(".keyring").dataset.moving) > 0 && /^(12000|44000) → 28000: .* of the ring, for /.test(document.querySelector(".keymoves li").textContent)`)
	<-third
	p.checkHeadings()
	p.checkHTML()
	p.checkContrast("with keys")
	p.checkAccessible()
	if *pictures != "" {
		p.unpick()
		for _, v := range views {
			p.do(p.view(v.width, v.height, v.dark)...)
			p.updates(2)
			p.picture("page-keys"+v.name, true)
		}
		p.do(p.view(1440, 900, false)...)
	}
	release()
	calls.Wait()
	wait[bool](p, "the moves done", `document.querySelector(".keyring").dataset.moving === "0" && document.querySelector(".keymoves").hidden && / moves? done: half within /.test(document.querySelector(".keysays").textContent)`)
	wait[bool](p, "a share of the third", fmt.Sprintf(`Number(%s) > 0`, cell(28000, 2)))
}

// picked clicks on an arc of the marked owner, which unmarks it, and again.
func (p *page) picked(id string) {
	p.t.Helper()
	click := `(() => {
		const c = document.querySelector(".keyring"), box = c.getBoundingClientRect(), r = box.width / 2;
		const k = window.ringdht.store.arcs[0], i = k.owners.indexOf("` + id + `");
		let at = 0;
		for (let j = 0; j < k.sectors.length; at += k.sectors[j + 2], j += 3) if (k.sectors[j] === i && k.sectors[j + 2] > 4) {
			const turn = 2 * Math.PI * (at + k.sectors[j + 2] / 2) / 720;
			c.dispatchEvent(new MouseEvent("click", { clientX: box.left + r + 0.8 * r * Math.sin(turn), clientY: box.top + r - 0.8 * r * Math.cos(turn), bubbles: true }));
			return true;
		}
		return false;
	})()`
	if !eval[bool](p, click) {
		p.t.Errorf("node %s has no arc in the picture", id)
	}
	wait[bool](p, "no owner marked", `document.querySelector(".keyring").dataset.marked === "-1" && document.getElementById("node").hidden`)
	eval[bool](p, click)
	wait[bool](p, "the owner marked again", `document.getElementById("node").dataset.id === "`+id+`"`)
}
