package dashboard

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// policy lets the page load its own files and nothing else: no inline script or style,
// nothing from other sites, and no embedding in frames.
const policy = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"

// readTime bounds the arrival of a request's body, and writeTime the writing of an answer.
const (
	readTime  = 10 * time.Second
	writeTime = 10 * time.Second
)

// guard checks every request and sets the security headers of its answer.
func (h *handler) guard(next http.Handler) http.Handler {
	var cross http.CrossOriginProtection
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cache-Control", "no-store")
		if r.ContentLength != 0 {
			// Also for paths that take no body: before it answers, net/http reads the rest
			// of the body, and could wait for ever.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTime))
		}
		if !h.named(r.Host) {
			refuse(w, http.StatusForbidden, "this page is not served under the name %q: use an IP address or localhost, or add the name with dashboard.WithHosts, or -http name:port", r.Host)
			return
		}
		if err := cross.Check(r); err != nil {
			refuse(w, http.StatusForbidden, "refused: the request comes from another site: %v", err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// named reports whether a request's Host is safe: an IP address or an allowed name. Any site
// can point a name of its own at this address, and its pages would then be of the same
// origin (DNS rebinding). It cannot do that with an address.
func (h *handler) named(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), ".")
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	for _, name := range append([]string{"localhost"}, h.hosts...) {
		if strings.EqualFold(host, strings.TrimSuffix(name, ".")) {
			return true
		}
	}
	return false
}

// refuse answers with an error, as JSON.
func refuse(w http.ResponseWriter, status int, format string, args ...any) {
	answer(w, status, map[string]string{"error": fmt.Sprintf(format, args...)})
}

// answer answers with a value as JSON.
func answer(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // impossible: all types are our own
		panic(err)
	}
	send(w, status, append(body, '\n'))
}

// send answers with JSON.
func send(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	within(w, func() {
		w.WriteHeader(status)
		w.Write(body) // an error means that the client has gone
	})
}

// within runs write with a deadline, and clears the deadline afterwards: it must not hit the
// next answer over the same connection, which may be another handler's. Writers of
// wrappers may not support deadlines; the wrapper then has to bound the time itself.
func within(w http.ResponseWriter, write func()) {
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(time.Now().Add(writeTime))
	write()
	_ = c.Flush()
	_ = c.SetWriteDeadline(time.Time{})
}
