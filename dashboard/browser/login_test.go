package browser

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/x/ringdht/dashboard"
)

// The address with the key opens the page, and keeps the key nowhere: not in the address, not in
// the history, and not where scripts could read it.
func TestLogin(t *testing.T) {
	t.Parallel()
	r := newRing(t, nil)
	key := dashboard.NewLoginKey()
	address := r.serve("/", dashboard.WithLogin(key))
	p := newPage(t, nil)
	p.do(chromedp.Navigate(address+"#key="+key), chromedp.WaitVisible("#members"))
	wait[bool](p, "the page", `document.body.dataset.connected === "true" && !location.hash`)
	if at := eval[string](p, `location.href`); strings.Contains(at, key) {
		t.Errorf("the address is %s", at)
	}
	if cookies := eval[string](p, `document.cookie`); cookies != "" {
		t.Errorf("scripts read the cookie %q", cookies)
	}
	// The address again, as from a bookmark.
	p.do(chromedp.Navigate("about:blank"), chromedp.Navigate(address+"#key="+key), chromedp.WaitVisible("#members"))
	wait[bool](p, "the page with a login", `document.body.dataset.connected === "true" && !location.hash`)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, asked := range p.asked {
		if strings.Contains(asked, "?") && strings.Contains(asked, key) {
			t.Errorf("the key was sent in %s", asked)
		}
	}
}

// Without the key there is a form. It says what is wrong, and lets the key in.
func TestLoginForm(t *testing.T) {
	t.Parallel()
	r := newRing(t, nil)
	key := dashboard.NewLoginKey()
	p := newPage(t, nil)
	p.expect(`40[13]`)
	p.navigate(r.serve("/", dashboard.WithLogin(key)))
	wait[bool](p, "the form", `document.getElementById("login") !== null`)
	p.checkHeadings()
	p.checkHTML()
	p.do(chromedp.SendKeys("#key", "wrong\r"))
	wait[bool](p, "why not", `document.getElementById("why").textContent.includes("not the key")`)
	eval[string](p, `document.getElementById("key").value = ""`)
	p.do(chromedp.SendKeys("#key", key+"\r"), chromedp.WaitVisible("#members"))
	wait[bool](p, "the page", `document.body.dataset.connected === "true"`)
}
