package dashboard

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/status"
)

// controlled reports whether control is on. If not, it answers with an error.
func (h *handler) controlled(w http.ResponseWriter) bool {
	if !h.control {
		refuse(w, http.StatusForbidden, "control is off: this page is read-only; the operator turns control on with dashboard.WithControl, or the flag -control")
	}
	return h.control
}

// setup serves /setup.
func (h *handler) setup(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		K    int
		Plan string
	}
	if !h.controlled(w) || !decode(w, r, &ask) {
		return
	}
	plan := ringdht.Classic
	switch ask.Plan {
	case "", ringdht.Classic.String():
	case ringdht.FewestHops.String():
		plan = ringdht.FewestHops
	default:
		refuse(w, http.StatusBadRequest, "plan must be %q or %q, not %q", ringdht.Classic, ringdht.FewestHops, ask.Plan)
		return
	}
	if ask.K < 0 {
		refuse(w, http.StatusBadRequest, "k must be at least 1, or 0 for as many entries as are useful, not %d", ask.K)
		return
	}
	// If the client goes away, the set-up goes on; only the audit is not made.
	audit, err := h.r.Setup(r.Context(), ask.K, plan)
	if err != nil {
		refuse(w, codeOf(err), "%s", plain(err))
		return
	}
	answer(w, http.StatusOK, audit)
}

// outcome is the answer of /run.
type outcome struct {
	Exact    bool          `json:"exact"`
	Stopped  bool          `json:"stopped"`
	Verdict  string        `json:"verdict"`
	Sent     int64         `json:"sent"`
	Received int64         `json:"received"`
	Elapsed  time.Duration `json:"elapsed_ns"`
	Rate     float64       `json:"rate"`
	MeanHops float64       `json:"mean_hops"`
	MaxHops  int           `json:"max_hops"`
}

// maxRuns bounds the requests for a run that are under way: one may go on after its page is closed.
const maxRuns = 4

// run serves /run. Only the wait ends with the request. If its page is closed, the run goes
// on until it is over or stopped, and its account is in the next snapshot.
func (h *handler) run(w http.ResponseWriter, r *http.Request) {
	var ask struct{ Messages, Payload int }
	if !h.controlled(w) || !decode(w, r, &ask) {
		return
	}
	if ask.Messages < 1 || ask.Payload < 0 {
		refuse(w, http.StatusBadRequest, "messages must be at least 1 and payload 0 or the bytes of each, not %d and %d", ask.Messages, ask.Payload)
		return
	}
	select {
	case h.runs <- struct{}{}:
	default:
		refuse(w, http.StatusConflict, "%d pages have asked for a run already: wait for its end, or stop it", maxRuns)
		return
	}
	type result struct {
		s   *status.Summary
		err error
	}
	done := make(chan result, 1)
	go func() { // RunTraffic would stop the run with the request
		defer func() { <-h.runs }()
		s, err := h.r.RunTraffic(context.WithoutCancel(r.Context()), status.Traffic{Messages: ask.Messages, Payload: ask.Payload})
		done <- result{s, err}
	}()
	var got result
	select {
	case got = <-done:
	case <-r.Context().Done():
		return
	}
	s, err := got.s, got.err
	if err != nil {
		refuse(w, codeOf(err), "%s", plain(err))
		return
	}
	answer(w, http.StatusOK, outcome{
		Exact: s.Exact(), Stopped: s.Stopped, Verdict: s.Verdict(), Sent: s.Sum.Sent, Received: s.Sum.Received,
		Elapsed: s.Elapsed, Rate: s.Rate(), MeanHops: s.MeanHops, MaxHops: s.MaxHops,
	})
}

// stop serves /stop. It answers when the run under way, whatever has started it, is over. If no run
// is under way it does nothing. If its page is closed, the run stops all the same.
func (h *handler) stop(w http.ResponseWriter, r *http.Request) {
	var ask struct{}
	if !h.controlled(w) || !decode(w, r, &ask) {
		return
	}
	if err := h.r.StopTraffic(r.Context()); err != nil {
		refuse(w, codeOf(err), "%s", plain(err))
		return
	}
	answer(w, http.StatusOK, struct{}{})
}

// codeOf returns the HTTP status for an error of the registry: a conflict with the state of
// the ring, a closed registry, or else a bad request.
func codeOf(err error) int {
	switch {
	case errors.Is(err, ringdht.ErrBusy), errors.Is(err, ringdht.ErrNotReady):
		return http.StatusConflict
	case errors.Is(err, ringdht.ErrClosed):
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}
