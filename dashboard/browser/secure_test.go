package browser

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/chromedp"

	"github.com/x/ringdht"
	"github.com/x/ringdht/dashboard"
	"github.com/x/ringdht/internal/ringtest"
)

// The page of a secure ring over TLS, with its own certificate: it says that the ring is encrypted,
// what was refused and which node was expelled.
func TestSecureRing(t *testing.T) {
	t.Parallel()
	r := newRing(t, nil, ringdht.WithSecurity(0), ringdht.WithState(t.TempDir()))
	plain := r.addr
	var err error
	if r.addr, err = r.registry.JoinLine(plain); err != nil {
		t.Fatal(err)
	}
	r.grow(4)
	r.setup(2)
	key := dashboard.NewLoginKey()
	certificate, _, err := dashboard.Certificate(t.TempDir(), "localhost")
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: dashboard.Handler(r.registry, dashboard.WithLogin(key)), ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)} // a browser gives up connections before it takes the certificate
	go server.Serve(tls.NewListener(l, certificate))
	t.Cleanup(func() { server.Close() })

	p := newPage(t, nil)
	p.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true})
		return err
	}), chromedp.Navigate("https://"+l.Addr().String()+"/#key="+key), chromedp.WaitVisible("#security"))
	wait[bool](p, "an encrypted ring", `document.getElementById("security-says").textContent.includes("kept on disk; none refused")`)
	if _, err := ringtest.Join(t.Context(), plain, nil); err == nil {
		t.Fatal("a node without the line has joined")
	}
	if err := r.registry.Expel(t.Context(), r.nodes[0].ID()); err != nil {
		t.Fatal(err)
	}
	wait[bool](p, "the stranger and the expelled node", `document.getElementById("security-says").textContent.includes("1 refused; 1 expelled")`)
	if list := p.text("#security-list"); !strings.Contains(list, "node "+r.nodes[0].ID().String()+" was expelled") || !strings.Contains(list, "127.0.0.1 was refused: no TLS") {
		t.Errorf("the list: %s", list)
	}
	p.checkHeadings()
	p.checkHTML()
	if *pictures != "" {
		p.do(p.view(1440, 900, false)...)
		p.picture("page-secure", true)
		p.do(p.view(390, 844, false)...)
		p.picture("page-secure-phone", true)
	}
}

// An open ring has no card of its security.
func TestOpenRing(t *testing.T) {
	t.Parallel()
	r := newRing(t, nil)
	p := newPage(t, nil)
	p.navigate(r.serve("/"))
	wait[bool](p, "no card", `document.body.dataset.connected === "true" && document.getElementById("security").hidden`)
}
