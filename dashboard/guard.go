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

// policy lets the page load its own files and nothing else: no script or style in the
// page itself, nothing from elsewhere, and nobody frames it.
const policy = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"

// readTime is how long a request's body may take to arrive, and writeTime a piece of an
// answer to be taken.
const (
	readTime  = 10 * time.Second
	writeTime = 10 * time.Second
)

// guard is in front of everything.
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
			// Also for those who want no body: net/http reads what is left of it before it
			// answers, and would wait for ever.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTime))
		}
		if !h.named(r.Host) {
			refuse(w, http.StatusForbidden, "this page answers under an IP address, localhost, and the names it was given, not under %q: see dashboard.WithHosts, or -http name:port", r.Host)
			return
		}
		if err := cross.Check(r); err != nil {
			refuse(w, http.StatusForbidden, "refused, since another site asks for it: %v", err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// named says that a request's host is one that nobody else can make lead here. A name is
// anybody's to point at this address, and a page under that name would be of the same
// origin (DNS rebinding); an address is not.
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

// refuse answers with an error.
func refuse(w http.ResponseWriter, status int, format string, args ...any) {
	answer(w, status, map[string]string{"error": fmt.Sprintf(format, args...)})
}

// answer answers with a value as JSON.
func answer(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // of a type of ours
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
		w.Write(body) // who has gone does not hear it
	})
}

// within gives an answer so long to be taken, and no longer: the deadline must not meet the
// next answer over the same connection, which may be another handler's. Not every writer has
// deadlines; those without come from wrappers, which have to see to it themselves.
func within(w http.ResponseWriter, write func()) {
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(time.Now().Add(writeTime))
	write()
	_ = c.Flush()
	_ = c.SetWriteDeadline(time.Time{})
}
