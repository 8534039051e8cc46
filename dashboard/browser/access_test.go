package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/chromedp"
)

// An empty ring, and a page that has no data yet, must be as accessible as a full one.
func TestEmptyRing(t *testing.T) {
	t.Parallel()
	r := newRing(t, nil)
	p := open(t, r.serve("/"))
	p.checkAccessible()
	p.checkHTML()
}

// checkAccessible checks the page as it is, at all widths and in both colour schemes, for
// barriers to people with disabilities.
func (p *page) checkAccessible() {
	p.t.Helper()
	wait[bool](p, "the end of animations, which begin transparent", `document.getAnimations().length === 0`)
	p.checkNames()
	p.checkHeadings()
	for _, width := range []int64{1440, 390} {
		for _, dark := range []bool{false, true} {
			p.do(p.view(width, 900, dark)...)
			p.checkContrast(fmt.Sprintf("%d wide, dark %v", width, dark))
		}
		if over := eval[int](p, `document.scrollingElement.scrollWidth - innerWidth`); over > 0 {
			p.t.Errorf("at a width of %d the page is %d pixels too wide", width, over)
		}
	}
	p.do(p.view(1440, 900, false)...)
}

// named lists the roles that must have a name for screen readers.
var named = []string{
	"button", "link", "textbox", "searchbox", "spinbutton", "combobox", "ComboBoxMenuList", "listbox", "checkbox", "radio", "slider",
	"image", "img", "canvas", "Canvas", "meter", "progressbar", "ProgressIndicator", "region", "dialog", "columnheader", "rowheader",
}

// checkNames walks the accessibility tree, which screen readers get.
func (p *page) checkNames() {
	p.t.Helper()
	tree, err := chromedp.Run(p.ctx, func(ctx context.Context, _ *chromedp.Target) (accessibility.GetFullAXTreeResult, error) {
		return chromedp.Call(ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	})
	if err != nil {
		p.t.Fatal(err)
	}
	text := func(v *accessibility.Value) (s string) {
		if v != nil {
			json.Unmarshal(v.Value, &s)
		}
		return s
	}
	seen := make(map[string]int)
	for _, n := range tree.Nodes {
		role := text(n.Role)
		if n.Ignored {
			continue
		}
		seen[role]++
		if slices.Contains(named, role) && text(n.Name) == "" {
			node, _ := chromedp.Call(p.ctx, dom.GetOuterHTML, dom.GetOuterHTMLParams{BackendNodeID: n.BackendDOMNodeID})
			p.t.Errorf("a %s has no name: %.300s", role, node.OuterHTML)
		}
	}
	// Without these, the tree is not the one that this test expects.
	for _, role := range []string{"button", "image", "heading", "main", "banner"} {
		if seen[role] == 0 {
			p.t.Errorf("no %s in the accessibility tree: %v", role, seen)
		}
	}
	if bare := eval[[]string](p, `[...document.querySelectorAll("input, select, textarea")].filter((e) => !e.labels.length && !e.ariaLabel).map((e) => e.outerHTML)`); len(bare) > 0 {
		p.t.Errorf("without a label: %v", bare)
	}
}

// checkHeadings demands a language, a title, one h1, and no skipped heading level.
func (p *page) checkHeadings() {
	p.t.Helper()
	if lang := eval[string](p, `document.documentElement.lang`); lang != "en" {
		p.t.Errorf("the page's language is %q", lang)
	}
	if eval[string](p, `document.title`) == "" {
		p.t.Error("the page has no title")
	}
	levels := eval[[]int](p, `[...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].filter((h) => h.checkVisibility()).map((h) => Number(h.tagName[1]))`)
	for i, level := range levels {
		if i == 0 != (level == 1) || i > 0 && level > levels[i-1]+1 {
			p.t.Errorf("headings out of order: %v", levels)
			break
		}
	}
	if lost := eval[[]string](p, `[...document.querySelectorAll("[aria-labelledby], [aria-describedby]")].filter((e) =>
		!document.getElementById(e.getAttribute("aria-labelledby") ?? e.getAttribute("aria-describedby"))).map((e) => e.outerHTML.slice(0, 200))`); len(lost) > 0 {
		p.t.Errorf("labelled by what is not there: %v", lost)
	}
}

// checkContrast computes the contrast of all text with its background, after WCAG 2: at least
// 4.5, or 3 for large text. Shapes on a canvas need 3 against theirs. Reading a pixel of a
// canvas turns a colour of any notation into numbers.
func (p *page) checkContrast(how string) {
	p.t.Helper()
	poor := eval[[]string](p, `(() => {
		const g = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
		const known = new Map();
		const rgba = (text) => {
			if (!known.has(text)) {
				g.clearRect(0, 0, 1, 1);
				g.fillStyle = text;
				g.fillRect(0, 0, 1, 1);
				const [r, gr, b, a] = g.getImageData(0, 0, 1, 1).data;
				known.set(text, [r, gr, b, a / 255]);
			}
			return known.get(text);
		};
		const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
		const light = (c) => {
			const [r, gr, b] = c.map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
			return 0.2126 * r + 0.7152 * gr + 0.0722 * b;
		};
		const contrast = (a, b) => {
			const [x, y] = [light(a), light(b)];
			return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
		};
		const ground = (e) => {
			const layers = [];
			for (; e; e = e.parentElement) {
				const c = rgba(getComputedStyle(e).backgroundColor);
				layers.push(c);
				if (c[3] === 1) break;
			}
			return layers.reverse().reduce((under, top) => over(top, under), rgba(getComputedStyle(document.documentElement).colorScheme.includes("dark") && matchMedia("(prefers-color-scheme: dark)").matches ? "#121212" : "#fff"));
		};
		const poor = [];
		const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
		let texts = 0;
		while (walker.nextNode()) {
			const e = walker.currentNode.parentElement;
			if (!walker.currentNode.data.trim() || e.closest("script, noscript, datalist, :disabled, .unseen") || !e.checkVisibility({visibilityProperty: true})) continue;
			texts++;
			const s = getComputedStyle(e), size = parseFloat(s.fontSize), large = size >= 24 || size >= 18.66 && s.fontWeight >= 700;
			const under = ground(e);
			let opacity = 1;
			for (let a = e; a; a = a.parentElement) opacity *= getComputedStyle(a).opacity;
			const c = rgba(s.color), ratio = contrast(over([...c.slice(0, 3), c[3] * opacity], under), under);
			if (ratio < (large ? 3 : 4.5)) poor.push(ratio.toFixed(2) + ": " + walker.currentNode.data.trim().slice(0, 40) + " in " + e.tagName + "." + e.className);
		}
		if (texts < 20) poor.push("only " + texts + " texts found");
		const probe = document.createElement("span"), card = getComputedStyle(document.querySelector(".card")).backgroundColor;
		document.body.append(probe);
		for (const name of ["ink", "soft", "bad", "flow", "load", "good", "warn", "odd", "route"]) {
			probe.style.color = "var(--" + name + ")";
			const ratio = contrast(rgba(getComputedStyle(probe).color), over(rgba(card), [255, 255, 255, 1]));
			if (ratio < (["ink", "soft", "bad"].includes(name) ? 4.5 : 3)) poor.push(ratio.toFixed(2) + ": what is drawn in " + name);
		}
		probe.remove();
		return [...new Set(poor)];
	})()`)
	for _, text := range poor {
		p.t.Errorf("%s: poor contrast %s", how, text)
	}
}
