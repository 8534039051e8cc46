package dashboard

import (
	"errors"
	"net/http"
	"time"

	"github.com/x/ringdht"
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
	Verdict  string        `json:"verdict"`
	Sent     int64         `json:"sent"`
	Received int64         `json:"received"`
	Elapsed  time.Duration `json:"elapsed_ns"`
	Rate     float64       `json:"rate"`
	MeanHops float64       `json:"mean_hops"`
	MaxHops  int           `json:"max_hops"`
}

// run serves /run. Only the wait ends with the request. If its page is closed, the run goes
// on, and its account is in the next snapshot.
func (h *handler) run(w http.ResponseWriter, r *http.Request) {
	var ask struct{ Messages, Payload int }
	if !h.controlled(w) || !decode(w, r, &ask) {
		return
	}
	if ask.Messages < 1 || ask.Payload < 0 {
		refuse(w, http.StatusBadRequest, "messages must be at least 1 and payload 0 or the bytes of each, not %d and %d", ask.Messages, ask.Payload)
		return
	}
	s, err := h.r.RunTraffic(r.Context(), ringdht.Traffic{Messages: ask.Messages, Payload: ask.Payload})
	if err != nil {
		refuse(w, codeOf(err), "%s", plain(err))
		return
	}
	answer(w, http.StatusOK, outcome{
		Exact: s.Exact(), Verdict: s.Verdict(), Sent: s.Sum.Sent, Received: s.Sum.Received,
		Elapsed: s.Elapsed, Rate: s.Rate(), MeanHops: s.MeanHops, MaxHops: s.MaxHops,
	})
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
