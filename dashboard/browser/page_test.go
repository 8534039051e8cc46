package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// patience bounds every wait; only a broken test reaches it, even on a busy machine.
const patience = time.Minute

// page is a page in a browser of its own: it shares no cookies, connections or cache with
// other pages. When the test ends, the page must have sent requests to its own server only,
// and must have reported no problem.
type page struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex // guards the fields below
	asked    []string   // the addresses of all requests
	problems []string   // exceptions, console errors, refused loads, violated policies
	expected []*regexp.Regexp
}

// newPage opens an empty page. With tab, it shares its browser with an earlier page.
func newPage(t *testing.T, tab *page) *page {
	t.Helper()
	parent, err := browser()
	if err != nil {
		t.Fatal(err)
	}
	p := &page{t: t}
	opts := []chromedp.ContextOption{chromedp.WithListener(p.listen)}
	if tab != nil {
		parent = tab.ctx
		opts = append(opts, chromedp.WithNewWindow(false))
	} else {
		opts = append(opts, chromedp.WithNewBrowserContext())
	}
	ctx, cancel := chromedp.NewContext(parent, opts...)
	p.ctx = ctx
	t.Cleanup(func() {
		if t.Failed() {
			p.remains()
		}
		chromedp.Cancel(ctx)
		cancel()
		p.mu.Lock()
		defer p.mu.Unlock()
		slices.Sort(p.problems)
		for _, problem := range slices.Compact(p.problems) {
			if !slices.ContainsFunc(p.expected, func(e *regexp.Regexp) bool { return e.MatchString(problem) }) {
				t.Errorf("the page: %s", problem)
			}
		}
	})
	if err := chromedp.Do(ctx); err != nil { // the page ends with the first context it is used with
		t.Fatal(err)
	}
	p.do(p.view(1440, 900, false)...)
	return p
}

// open opens a ring's page, and demands that all its requests go to the ring.
func open(t *testing.T, address string) *page {
	t.Helper()
	p := newPage(t, nil)
	p.visit(address)
	return p
}

// visit goes to an address, waits for the first update, and demands that all requests go to
// that server.
func (p *page) visit(address string) {
	p.t.Helper()
	p.navigate(address)
	p.t.Cleanup(func() {
		own, _ := url.Parse(address)
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, a := range p.asked {
			if u, err := url.Parse(a); err != nil || u.Scheme != own.Scheme || u.Host != own.Host || !strings.HasPrefix(u.Path, own.Path) {
				p.t.Errorf("the page asked for %s", a)
			}
		}
	})
	wait[bool](p, "the first update", `document.body.dataset.connected === "true" && Number(document.body.dataset.paints) > 0`)
}

func (p *page) navigate(address string) {
	p.t.Helper()
	p.do(chromedp.Navigate(address))
}

// listen records the browser's events. It runs on the goroutine that reads them.
func (p *page) listen(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.asked = append(p.asked, e.Request.URL)
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if x := e.ExceptionDetails.Exception; x != nil {
			text += " " + x.Description
		}
		p.problems = append(p.problems, text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" || e.Type == "assert" {
			p.problems = append(p.problems, fmt.Sprintf("console.%s: %s", e.Type, e.Args[0].Value))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" || e.Entry.Level == "warning" {
			p.problems = append(p.problems, fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	}
}

// expect allows problems that a test provokes.
func (p *page) expect(pattern string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expected = append(p.expected, regexp.MustCompile(pattern))
}

// do performs actions on the page.
func (p *page) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// eval evaluates an expression in the page, and awaits it if it is a promise.
func eval[T any](p *page, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience+5*time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n") // the rest repeats the expression
		p.t.Fatal(first)
	}
	return v
}

// wait waits until an expression is true, and returns its value. It evaluates the expression
// at each change of the document. chromedp.Poll is no alternative: the page's policy forbids
// what it needs.
func wait[T any](p *page, what, expression string) T {
	p.t.Helper()
	return eval[T](p, fmt.Sprintf(`new Promise((yes, no) => {
		const check = () => {
			const v = (%s);
			if (!v) return;
			changes.disconnect();
			clearTimeout(over);
			yes(v);
		};
		const changes = new MutationObserver(check);
		const over = setTimeout(() => { changes.disconnect(); no(new Error(%s)); }, %d);
		changes.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
		check();
	})`, expression, quote("waited in vain for "+what), patience.Milliseconds()))
}

// quote returns a text as a JavaScript literal.
func quote(text string) string {
	b, _ := json.Marshal(text)
	return string(b)
}

// value returns the number of an element.
func (p *page) value(id string) int64 {
	p.t.Helper()
	return eval[int64](p, fmt.Sprintf(`Number(document.getElementById(%s).dataset.value)`, quote(id)))
}

// text returns the text of an element.
func (p *page) text(selector string) string {
	p.t.Helper()
	return eval[string](p, fmt.Sprintf(`document.querySelector(%s).textContent`, quote(selector)))
}

// click clicks the middle of an element with the mouse.
func (p *page) click(selector string) {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// fill types a text into a field, in place of its content.
func (p *page) fill(selector, text string) {
	p.t.Helper()
	eval[bool](p, fmt.Sprintf(`(() => { const e = document.querySelector(%s); e.focus(); e.select(); return true })()`, quote(selector)))
	p.do(chromedp.KeyEvent(text), chromedp.KeyEvent(kb.Tab))
}

// tabTo presses the tab key until an element has the focus.
func (p *page) tabTo(id string) {
	p.t.Helper()
	for range 300 {
		p.do(chromedp.KeyEvent(kb.Tab))
		if eval[string](p, `document.activeElement.id`) == id {
			return
		}
	}
	p.t.Fatalf("the tabulator does not lead to #%s", id)
}

// view sets the size of the window, and light or dark colours.
func (p *page) view(width, height int64, dark bool) []chromedp.Action[chromedp.Void] {
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	return []chromedp.Action[chromedp.Void]{
		chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
			})
			return err
		}),
		chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
				Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 500,
			})
			return err
		}),
	}
}

// updates waits until so many more updates have been painted.
func (p *page) updates(n int) {
	p.t.Helper()
	now := eval[int](p, `Number(document.body.dataset.paints)`)
	wait[bool](p, "updates", fmt.Sprintf(`Number(document.body.dataset.paints) >= %d`, now+n))
}

// picture keeps a picture of the window, or of the whole page, if -pictures is given.
func (p *page) picture(name string, all bool) {
	p.t.Helper()
	if *pictures == "" {
		return
	}
	take := chromedp.CaptureScreenshot()
	if all {
		take = chromedp.FullScreenshot(100)
	}
	body, err := chromedp.Run(p.ctx, take)
	if err == nil {
		err = os.WriteFile(filepath.Join(*pictures, name+".png"), body, 0o644)
	}
	if err != nil {
		p.t.Error(err)
	}
}

// remains keeps a picture of a failed test's page, see go test -artifacts.
func (p *page) remains() {
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	if body, err := chromedp.Run(ctx, chromedp.FullScreenshot(100)); err == nil {
		os.WriteFile(filepath.Join(p.t.ArtifactDir(), "page.png"), body, 0o644)
	}
	if html, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.documentElement.outerHTML`)); err == nil {
		os.WriteFile(filepath.Join(p.t.ArtifactDir(), "page.html"), []byte(html), 0o644)
	}
}
