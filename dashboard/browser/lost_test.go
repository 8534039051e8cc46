package browser

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/x/ringdht/dashboard"
	"github.com/x/ringdht/memnet"
)

// A page without its registry says since when, and that its figures are old, until the registry
// answers again.
func TestLostRegistryIsSaid(t *testing.T) {
	t.Parallel()
	r := newRing(t, memnet.New(1))
	r.join(2910, 13402, 25518)
	r.setup(2)
	h := dashboard.Handler(r.registry)
	serve := func(at string) (addr string, end func()) {
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		s := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
		s.Start()
		return l.Addr().String(), func() {
			s.CloseClientConnections()
			s.Close()
		}
	}
	addr, end := serve("127.0.0.1:0")
	p := open(t, "http://"+addr+"/")
	p.pill("good")
	p.expect("net::ERR_")
	end()
	if text := p.pill("bad"); text != "no connection" {
		t.Errorf("without its registry: %q", text)
	}
	notice := wait[string](p, "the notice", `document.getElementById("lost").checkVisibility() && document.getElementById("lost").textContent`)
	if !strings.HasPrefix(notice, "No answer from the registry since ") || !strings.Contains(notice, "as it was then") {
		t.Errorf("the notice: %q", notice)
	}
	eval[bool](p, `(() => { location.hash = "node=13402"; return true })()`)
	if says := wait[string](p, "the drawer", `document.querySelector("#node-body .none")?.textContent !== "…" && document.querySelector("#node-body .none")?.textContent`); says != "The registry does not answer." {
		t.Errorf("a node that is picked meanwhile: %q", says)
	}
	p.do(p.view(390, 844, true)...)
	p.picture("page-lost-phone-dark", false)
	p.do(p.view(1440, 900, false)...)
	p.picture("page-lost", false)

	_, end = serve(addr)
	t.Cleanup(end)
	if text := p.pill("good"); text != "live" {
		t.Errorf("with its registry: %q", text)
	}
	if eval[bool](p, `document.getElementById("lost").checkVisibility() || document.body.classList.contains("lost")`) {
		t.Error("the notice stays")
	}
}
