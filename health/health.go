// Package health answers the probes of an orchestrator, for a node or a registry.
//
//	mux.Handle("/", health.Handler(node.ReadyNow))
//	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
//	health.Limit(server, 256)
//
// A program that waits in [github.com/x/ringdht.Node.Join] for its registry must answer /livez
// meanwhile, or it is restarted for nothing. So start the server first, see the example of [Handler].
//
// The answers are lines of plain text. Nothing is authenticated, so the reason of a 503 is seen by
// all that reach the port.
package health

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// maxReason bounds the reason in an answer, in bytes. Part of an error may come from other
// machines.
const maxReason = 512

// patience bounds the reading of a request's body, and the writing of its answer.
const patience = 5 * time.Second

// Handler answers GET and HEAD of these paths:
//
//	/livez   200 "ok": the process serves. Restart it if there is no answer. /healthz is the same.
//	/readyz  200 "ready" if ready returns nil, otherwise 503 and the error.
//
// It calls ready at each request, on the request's goroutine, so ready should not wait.
// [github.com/x/ringdht.Node.ReadyNow] and [github.com/x/ringdht.Registry.ReadyNow] suit. A node
// whose registry is away stays ready, since its messages flow. A node that leaves is not ready from
// the call of Leave on, before it closes its listener.
func Handler(ready func() error) http.Handler {
	mux := http.NewServeMux()
	for _, live := range []string{"GET /livez", "GET /healthz"} {
		mux.HandleFunc(live, func(w http.ResponseWriter, r *http.Request) {
			answer(w, r, http.StatusOK, "ok")
		})
	}
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := ready(); err != nil {
			answer(w, r, http.StatusServiceUnavailable, reason(err))
			return
		}
		answer(w, r, http.StatusOK, "ready")
	})
	return mux
}

// reason returns an error as one line of printable text.
func reason(err error) string {
	text := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, err.Error())
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "..."
	}
	return text
}

func answer(w http.ResponseWriter, r *http.Request, status int, text string) {
	c := http.NewResponseController(w)
	if r.ContentLength != 0 { // net/http reads a body before it answers, and would wait for it
		_ = c.SetReadDeadline(time.Now().Add(patience))
		w.Header().Set("Connection", "close")
	}
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(len(text)+1))
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	_ = c.SetWriteDeadline(time.Now().Add(patience))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n") // an error means that the client has gone
	_ = c.Flush()
	_ = c.SetWriteDeadline(time.Time{}) // the next answer over this connection may be another handler's
}
