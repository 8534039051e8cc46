package browser

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/x/ringdht"
	"github.com/x/ringdht/dashboard"
)

// A ring's whole story, seen by a page: ten processes join, its buttons set them up and start
// a run, which ends exact; one process is killed, one leaves, one hangs and comes back.
func TestLifeOfARing(t *testing.T) {
	t.Parallel()
	const lease = 10 * time.Second // a busy machine lets a process wait for seconds
	r := newRing(t, nil, ringdht.WithLease(lease))
	p := open(t, r.serve("/", dashboard.WithControl()))
	processes := r.spawn(10)

	wait[bool](p, "ten nodes", `document.querySelectorAll("#nodes tbody tr[data-state=registered]").length === 10`)
	var want []string
	for _, m := range r.registry.Members() {
		want = append(want, fmt.Sprint(m.ID))
	}
	if got := eval[[]string](p, `[...document.querySelectorAll("#nodes tbody tr")].map((r) => r.dataset.id)`); !slices.Equal(got, want) {
		t.Fatalf("the table has %v, the ring %v", got, want)
	}
	if n := p.value("members"); n != 10 {
		t.Errorf("%d members", n)
	}

	// The page's button sets the overlay up.
	p.fill("#control-k", "3")
	p.click("#control-setup")
	said := wait[string](p, "the set-up", `document.getElementById("control-says").dataset.tone && document.getElementById("control-says").textContent`)
	if !strings.Contains(said, "10 nodes with 3 entries, all routes arrive") {
		t.Errorf("the page says %q", said)
	}
	wait[bool](p, "ten active nodes", `document.querySelectorAll("#nodes tbody tr[data-state=active]").length === 10`)
	if got, want := p.value("epoch"), int64(r.registry.Epoch()); got != want {
		t.Errorf("epoch %d, the ring's is %d", got, want)
	}

	// Its other button starts runs, until one is long enough to watch; its totals must rise
	// to the exact number.
	eval[bool](p, `(() => {
		const total = document.getElementById("total-delivered");
		window.totals = [Number(total.dataset.value)];
		new MutationObserver(() => totals.push(Number(total.dataset.value))).observe(total, {attributes: true});
		return true;
	})()`)
	sent, runs := int64(0), 0
	var totals []int64
	for messages := int64(30_000); len(totals) < 3; messages *= 3 {
		runs++
		sent += 10 * messages
		p.fill("#control-messages", fmt.Sprint(messages))
		p.fill("#control-payload", "100")
		p.click("#control-start")
		wait[bool](p, "a run", fmt.Sprintf(`document.querySelector('#runs tr[data-run="%d"]') !== null || Number(document.getElementById("total-rate").dataset.value) > 0`, runs))
		wait[bool](p, "an exact run", fmt.Sprintf(`document.querySelector('#runs tr[data-run="%d"][data-exact=true]') !== null`, runs))
		for _, total := range []string{"total-sent", "total-delivered"} {
			wait[bool](p, total, fmt.Sprintf(`document.getElementById("%s").dataset.value === "%d"`, total, sent))
		}
		totals = slices.Compact(eval[[]int64](p, `totals`))
		totals = totals[max(0, slices.Index(totals, sent-10*messages)):]
		if !slices.IsSorted(totals) {
			t.Errorf("the total falls: %v", totals)
		}
	}
	t.Logf("messages delivered, as the page saw them: %v", totals)
	s := r.registry.Snapshot()
	for id, n := range map[string]int64{"total-sent": s.Total.Sent, "total-delivered": s.Total.Delivered, "total-relayed": s.Total.Relayed} {
		if got := p.value(id); got != n {
			t.Errorf("%s is %d, the ring's is %d", id, got, n)
		}
	}
	if last := s.Runs[runs-1]; !last.Exact || 10*int64(last.Messages) != last.Sent || last.Sent != last.Received {
		t.Errorf("the registry's account: %+v", last)
	}
	if verdict := p.text(fmt.Sprintf(`#runs tr[data-run="%d"] .verdict`, runs)); verdict != s.Last.Verdict() || s.Total.Sent != sent {
		t.Errorf("the page's verdict is %q, the ring's %q with %d messages", verdict, s.Last.Verdict(), s.Total.Sent)
	}
	wait[bool](p, "the outcome", `document.getElementById("control-says").textContent.startsWith("exact: ")`)
	hops := eval[[]int64](p, `[...document.querySelectorAll("#hops [data-hops]")].map((e) => Number(e.dataset.measured))`)
	if len(hops) < len(s.Hops) || !slices.Equal(hops[:len(s.Hops)], s.Hops) {
		t.Errorf("the histogram has %v, the ring %v", hops, s.Hops)
	}

	p.checkNode(r, processes[0].id, `#nodes tr[data-id="%d"] a`)

	// A process that ends is detected at once: since it is not at its address, and not by the lease.
	killed := processes[3]
	start := time.Now()
	killed.Process.Kill()
	wait[bool](p, "the death", state(killed.id, "dead"))
	t.Logf("a killed process is marked after %v", time.Since(start).Round(time.Millisecond))
	p.died(killed.id, "it does not answer at its address")

	// So is a node that leaves.
	left := processes[5]
	start = time.Now()
	fmt.Fprintln(left.stdin, "leave")
	wait[bool](p, "the leave", state(left.id, "left"))
	t.Logf("one that leaves is marked after %v", time.Since(start).Round(time.Millisecond))

	// A process that hangs is detected within the lease, and is back as soon as it goes on.
	hung := processes[7]
	start = time.Now()
	hung.Process.Signal(syscall.SIGSTOP)
	wait[bool](p, "the one that hangs", state(hung.id, "dead"))
	t.Logf("a process that hangs is marked after %v, the lease is %v", time.Since(start).Round(time.Millisecond), lease)
	p.died(hung.id, fmt.Sprint("silent for ", lease))
	words := wait[string](p, "the picture's words", `(() => {
		const words = document.getElementById("ring").ariaLabel;
		return words.includes("2 dead") && words.includes("1 left") && words;
	})()`)
	t.Logf("the picture in words: %s", words)
	for id, what := range map[ringdht.ID]string{killed.id: "dead", left.id: "left", hung.id: "dead"} {
		if eval[bool](p, fmt.Sprintf(`![...document.querySelectorAll("#events li[data-kind=%s]")].some((e) => e.textContent.includes(%d))`, what, id)) {
			t.Errorf("the events do not say that %d is %s", id, what)
		}
	}

	// Pictures of a state with several nodes, and of the page with all parts shown.
	p.traceRoute(r, processes[0].id, processes[1].id)
	p.checkAccessible()
	p.checkHTML()

	hung.Process.Signal(syscall.SIGCONT)
	wait[bool](p, "the one that hung to be back", fmt.Sprintf(`document.querySelectorAll("#nodes tr[data-state=active]").length === 8 && %s`, `document.getElementById("members").dataset.value === "8"`))
	p.fill("#control-messages", "1000")
	p.click("#control-start")
	wait[bool](p, "another exact run", fmt.Sprintf(`document.querySelector('#runs tr[data-run="%d"][data-exact=true]') !== null`, runs+1))
}

// died waits until the events say that a node has died, and why.
func (p *page) died(id ringdht.ID, why string) {
	p.t.Helper()
	text := wait[string](p, "the event of a death", fmt.Sprintf(`[...document.querySelectorAll("#events li[data-kind=dead]")].find((e) => e.textContent.includes(%d))?.textContent`, id))
	if !strings.Contains(text, why) {
		p.t.Errorf("of the death of node %d the events say %q, and not %q", id, text, why)
	}
}

// state returns an expression that is true when the table shows a node in a state.
func state(id ringdht.ID, state string) string {
	return fmt.Sprintf(`document.querySelector('#nodes tr[data-id="%d"][data-state="%s"]') !== null`, id, state)
}

// checkNode selects a node with a click, and compares the panel with the registry's snapshot.
// The ring must be idle.
func (p *page) checkNode(r *ring, id ringdht.ID, link string) {
	p.t.Helper()
	p.click(fmt.Sprintf(link, id))
	p.compareNode(r, id)
	p.do(chromedp.KeyEvent(kb.Escape)) // the drawer lies over the controls
	p.closed("")
}

// compareNode compares the panel of the selected node with the snapshot.
func (p *page) compareNode(r *ring, id ringdht.ID) {
	p.t.Helper()
	m := find(r.registry.Snapshot(), id)
	var entries []string
	for _, e := range m.Entries {
		entries = append(entries, fmt.Sprint(e))
	}
	got := wait[[]string](p, "the node's table", fmt.Sprintf(`document.getElementById("node").dataset.id === "%d" && (() => {
		const rows = [...document.querySelectorAll("#node tbody tr")];
		return rows.length === %d && rows.every((r) => r.cells[1].textContent === "up") && rows.map((r) => r.cells[0].textContent);
	})()`, id, len(entries)))
	if !slices.Equal(got, entries) {
		p.t.Errorf("the page's table of node %d is %v, the ring's %v", id, got, entries)
	}
	facts := eval[map[string]string](p, `Object.fromEntries([...document.querySelectorAll("#node .pairs div")].map((d) => [d.children[0].textContent, d.children[1].textContent]))`)
	for name, want := range map[string]string{
		"address": m.Addr, "incarnation": fmt.Sprint(m.Incarnation), "sent": fmt.Sprint(m.Counters.Sent),
		"delivered": fmt.Sprint(m.Counters.Delivered), "relayed": fmt.Sprint(m.Counters.Relayed),
	} {
		if got := strings.ReplaceAll(facts[name], ",", ""); got != want {
			p.t.Errorf("of node %d the page says %q for %s, the ring %q", id, got, name, want)
		}
	}
}
