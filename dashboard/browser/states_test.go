package browser

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/dashboard"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// pill waits until the pill in the header has a tone, and returns its text.
func (p *page) pill(tone string) string {
	p.t.Helper()
	return wait[string](p, "the pill to be "+tone, fmt.Sprintf(`document.getElementById("state").dataset.tone === %s && document.getElementById("state-text").textContent`, quote(tone)))
}

// The pill is not green while a node is dead or a pair takes a detour. A page that is opened
// after a death shows the last figures of the dead node, their age, and the minutes before.
func TestTroubleIsShown(t *testing.T) {
	t.Parallel()
	r := newRing(t, memnet.New(1))
	r.join(2910, 13402, 25518, 34000, 45000, 57342)
	p := open(t, r.serve("/"))
	if text := p.pill("wait"); text != "not set up" {
		t.Errorf("before the set-up: %q", text)
	}
	r.setup(3)
	if text := p.pill("good"); text != "live" {
		t.Errorf("after it: %q", text)
	}
	r.run(2000)
	id := r.nodes[2].ID()
	wait[bool](p, "its figures", fmt.Sprintf(`document.querySelector('#nodes tr[data-id="%d"]').cells[2].textContent.startsWith("2.0")`, id))
	wait[bool](p, "all delivered", `document.getElementById("total-delivered").dataset.value === "12000"`)
	r.detour(p, 3, 4)
	if text := p.pill("warn"); !strings.Contains(text, "1 detour") {
		t.Errorf("with a detour: %q", text)
	}
	wait[bool](p, "the detour in the list", `document.querySelectorAll("#nodes tr.odd").length === 2`)
	full := func(s status.Step) bool { return s.Members == 6 }
	for end := time.Now().Add(patience); !slices.ContainsFunc(r.registry.Snapshot().History, full); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no step of the history has all six nodes")
		}
	}
	r.nodes[2].Close()
	wait[bool](p, "the death", state(id, "dead"))
	if text := p.pill("bad"); !strings.HasPrefix(text, "1 dead, ") || !strings.Contains(text, "detour") {
		t.Errorf("with a dead node: %q", text)
	}
	wait[bool](p, "the legend", `document.querySelector('.legend [data-states="dead"]').textContent === "dead: 1"`)

	late := open(t, r.serve("/"))
	if text := late.pill("bad"); !strings.Contains(text, "1 dead") {
		t.Errorf("on a later page: %q", text)
	}
	row := eval[[]string](late, fmt.Sprintf(`[...document.querySelector('#nodes tr[data-id="%d"]').cells].map((c) => c.textContent)`, id))
	if !strings.HasPrefix(row[1], "dead ") || row[2] != "2.00k" {
		t.Errorf("the dead node's row: %q", row)
	}
	late.pick(id)
	last := wait[string](late, "its last figures", `document.querySelector("#node .last")?.textContent`)
	if !strings.HasPrefix(last, "These are its last figures, reported ") {
		t.Errorf("of a dead node: %q", last)
	}
	facts := eval[map[string]string](late, `Object.fromEntries([...document.querySelectorAll("#node .pairs div")].map((d) => [d.children[0].textContent, d.children[1].textContent]))`)
	if facts["sent"] != "2,000" {
		t.Errorf("it sent %q", facts["sent"])
	}
	if why := eval[string](late, `document.querySelector("#node .state-word").textContent`); !strings.HasPrefix(why, "dead ") || !strings.Contains(why, ": ") {
		t.Errorf("its state: %q", why)
	}
	if !eval[bool](late, `[...document.querySelectorAll("#node .events li")].some((e) => e.dataset.kind === "dead")`) {
		t.Error("its events are not listed")
	}
	late.checkAccessible()

	// The history is there at once: the run's messages were delivered before this page was opened.
	type sample struct {
		T                  int64
		Delivered, Members int64
	}
	history := eval[[]sample](late, `window.ringdht.history.samples`)
	first := history[0]
	if opened := eval[int64](late, `Math.round(performance.timeOrigin)`); first.T >= opened || first.Delivered > 0 || history[len(history)-1].Delivered != 12000 {
		t.Errorf("the page was opened at %d and knows %+v to %+v", opened, first, history[len(history)-1])
	}
	if n := history[len(history)-1].Members; n != 5 || !slices.ContainsFunc(history, func(s sample) bool { return s.Members == 6 }) {
		t.Errorf("members over time: %+v", history)
	}
}

// Events can be filtered by kind and by node. The filter stays when there are more events.
func TestEventFilter(t *testing.T) {
	t.Parallel()
	r := newRing(t, memnet.New(1))
	r.join(2910, 13402, 25518)
	r.setup(2)
	p := open(t, r.serve("/"))
	kinds := func() []string {
		return eval[[]string](p, `[...document.querySelectorAll("#events li")].map((e) => e.dataset.kind)`)
	}
	choose := func(group string) {
		t.Helper()
		eval[bool](p, fmt.Sprintf(`(() => { const s = document.getElementById("events-group"); s.value = %s; s.dispatchEvent(new Event("input", {bubbles: true})); return s.value === %s })()`, quote(group), quote(group)))
	}
	all := len(kinds())
	choose("trouble")
	if got := kinds(); len(got) != 0 || p.text("#events-none") != "No event passes the filter." {
		t.Errorf("no trouble: %v, %q", got, p.text("#events-none"))
	}
	r.nodes[1].Close()
	wait[bool](p, "the death", `document.querySelector("#events li[data-kind=dead]") !== null`)
	r.join(45000)
	wait[bool](p, "the newcomer", state(45000, "active"))
	p.updates(2)
	for _, kind := range kinds() {
		if kind != "dead" && kind != "suspect" {
			t.Errorf("the filter lets %q pass", kind)
		}
	}
	choose("")
	if got := len(kinds()); got <= all {
		t.Errorf("%d events without a filter, %d before", got, all)
	}
	p.fill("#events-node", "45000")
	wait[bool](p, "the newcomer's events", `document.querySelectorAll("#events li").length >= 2 && [...document.querySelectorAll("#events li")].every((e) => e.textContent.includes("45000"))`)
	if text := p.text("#events-count"); !strings.Contains(text, " of ") {
		t.Errorf("the filter is described as %q", text)
	}
	p.pick(13402)
	p.click(`#node [data-end="events"]`)
	wait[bool](p, "the dead node's events", `document.querySelector("#events li[data-kind=dead]") !== null && [...document.querySelectorAll("#events li")].every((e) => e.textContent.includes("13402"))`)
}

// A ring of 200 nodes shows the states of all: in the picture, in its legend, and in the list.
func TestTwoHundredNodes(t *testing.T) {
	r := newRing(t, memnet.New(1), ringdht.WithLease(time.Minute)) // a suspect has so long to come back
	r.grow(200)
	r.setup(0)
	p := open(t, r.serve("/"))
	wait[bool](p, "the nodes", `document.querySelectorAll("#nodes tr[data-state=active]").length === 200`)
	r.trouble(p)
	wait[bool](p, "the legend", `["dead: 2", "left: 1", "suspect: 1", "detour: 1"].every((text) => [...document.querySelectorAll(".legend .there")].some((e) => e.textContent === text))`)
	if chips := eval[[]string](p, `[...document.querySelectorAll("#census button")].map((e) => e.textContent)`); !slices.Equal(chips, []string{"2 dead", "1 suspect", "1 detour", "1 left"}) {
		t.Errorf("above the list: %q", chips)
	}
	// The middle of each mark has the colour of its state.
	p.expect("willReadFrequently")
	poor := eval[[]string](p, `(() => {
		const g = document.getElementById("ring").getContext("2d"), dpr = Math.min(2, devicePixelRatio), poor = [];
		for (const row of document.querySelectorAll("#nodes tr[data-state=dead], #nodes tr[data-state=suspect]")) {
			const [x, y] = window.ringdht.placeOf(row.dataset.id).map((v) => Math.round(v * dpr));
			const got = [...g.getImageData(x, y, 1, 1).data].slice(0, 3).join(", "), want = window.ringdht.palette()[row.dataset.state === "dead" ? "bad" : "warn"];
			if (got !== want) poor.push(row.dataset.id + " is " + row.dataset.state + " and drawn in " + got + ", not " + want);
		}
		return poor;
	})()`)
	for _, text := range poor {
		t.Error(text)
	}
	p.click(`#census [data-find="dead"]`)
	wait[bool](p, "the dead", `document.querySelectorAll("#nodes tbody tr").length === 2 && [...document.querySelectorAll("#nodes tbody tr")].every((e) => e.dataset.state === "dead")`)
	p.click(`#census [data-find="detour"]`)
	wait[bool](p, "the pair", `document.querySelectorAll("#nodes tbody tr").length === 2 && document.querySelectorAll("#nodes tr.odd").length === 2`)
	p.checkAccessible()
}

// An empty ring shows the command with which a node joins, until one has.
func TestInvitation(t *testing.T) {
	t.Parallel()
	r := newRing(t, memnet.New(1))
	p := open(t, r.serve("/", dashboard.WithJoin("bin/ringdht-node -registry {host}:12345")))
	if command := p.text("#empty-command"); command != "bin/ringdht-node -registry 127.0.0.1:12345" || !eval[bool](p, `document.getElementById("empty-command").checkVisibility()`) {
		t.Errorf("the page of an empty ring says %q", command)
	}
	p.do(p.view(390, 844, false)...)
	if broken := eval[[]string](p, `[...document.querySelectorAll("#empty-command span")].filter((e) => e.getClientRects().length !== 1 || e.offsetHeight > 30).map((e) => e.textContent)`); len(broken) > 0 {
		t.Errorf("lines break within %q", broken)
	}
	if row := eval[bool](p, `(() => {
		document.getElementById("state-text").textContent = "2 dead, 1 suspect, 1 detour, changing";
		const at = (e) => document.querySelector(e).getBoundingClientRect();
		return at("#theme").top < at("h1").bottom && at("#state").top < at("h1").bottom && document.documentElement.scrollWidth <= 390;
	})()`); !row {
		t.Error("on a phone the pill and the button do not fit the first row")
	}
	p.do(p.view(1440, 900, false)...)
	p.updates(1)
	if text := p.pill("wait"); text != "no nodes yet" {
		t.Errorf("the pill: %q", text)
	}
	p.checkAccessible()
	r.grow(1)
	wait[bool](p, "a node", `document.getElementById("members").dataset.value === "1" && document.getElementById("empty").hidden`)
}

// The stop button ends a run under way. The next run is exact.
func TestStopButton(t *testing.T) {
	t.Parallel()
	r := newRing(t, memnet.New(1))
	r.join(2910, 13402, 25518)
	p := open(t, r.serve("/", dashboard.WithControl()))
	if says := wait[string](p, "a hint", `document.getElementById("control-says").textContent`); says != "“Set up” connects the 3 nodes. Then runs can start." {
		t.Errorf("before the set-up: %q", says)
	}
	p.expect("409 ")
	p.click("#control-start")
	if says := wait[string](p, "the refusal", `document.getElementById("control-says").dataset.tone === "bad" && document.getElementById("control-says").textContent`); !strings.HasSuffix(says, "it has not been set up: set it up first") {
		t.Errorf("a run before the set-up: %q", says)
	}
	p.click("#control-setup")
	wait[bool](p, "the set-up", `document.getElementById("control-says").dataset.tone === "good"`)
	if eval[bool](p, `document.getElementById("control-stop").checkVisibility()`) {
		t.Error("there is a stop button without a run")
	}
	p.fill("#control-messages", "1000000000")
	p.click("#control-start")
	wait[bool](p, "a run", `document.getElementById("control-stop").checkVisibility() && !document.getElementById("control-stop").disabled`)
	if eval[bool](p, `document.getElementById("runs-none").checkVisibility()`) {
		t.Error("“No run yet.” during a run")
	}
	if !eval[bool](p, `document.getElementById("control-start").disabled`) {
		t.Error("a second run can be started")
	}
	for _, width := range []int64{1440, 390} { // the line does not break when its text grows: the button would move
		p.do(p.view(width, 900, false)...)
		p.updates(1)
		if beside := eval[bool](p, `(() => { const at = (id) => document.getElementById(id).getBoundingClientRect(), t = at("running-text"), b = at("control-stop"); return t.right <= b.left && t.top < b.bottom && b.top < t.bottom })()`); !beside {
			t.Errorf("at %d pixels the button is not beside the text", width)
		}
		if cut := eval[int](p, `(() => { const e = document.getElementById("control-messages"); return e.scrollWidth - e.clientWidth })()`); cut > 0 {
			t.Errorf("at %d pixels %d of the field's number are cut off", width, cut)
		}
	}
	p.do(p.view(1440, 900, false)...)
	p.click("#control-stop")
	wait[bool](p, "the stopped run", `document.querySelector('#runs tr[data-run="1"][data-verdict=stopped]') !== null && document.getElementById("running").hidden`)
	wait[bool](p, "the outcome", `document.getElementById("control-says").textContent.startsWith("stopped")`)
	p.fill("#control-messages", "100")
	p.click("#control-start")
	wait[bool](p, "an exact run", `document.querySelector('#runs tr[data-run="2"][data-exact=true]') !== null`)

	// Without control there is no button.
	quiet := open(t, r.serve("/"))
	if eval[bool](quiet, `document.getElementById("control-stop").checkVisibility()`) {
		t.Error("a read-only page has a stop button")
	}
}
