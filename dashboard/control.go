package dashboard

import (
	"errors"
	"net/http"
	"time"

	"github.com/x/ringdht"
)

// controlled says that control is on; it answers itself if not.
func (h *handler) controlled(w http.ResponseWriter) bool {
	if !h.control {
		refuse(w, http.StatusForbidden, "control is off: this page only looks, see dashboard.WithControl, or the flag -control")
	}
	return h.control
}

// setup is /setup.
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
	// It goes on when nobody waits for it any more; what is left undone then is the audit.
	audit, err := h.r.Setup(r.Context(), ask.K, ringdht.WithPlan(plan))
	if err != nil {
		refuse(w, status(err), "%s", plain(err))
		return
	}
	answer(w, http.StatusOK, audit)
}

// outcome is the answer to /run.
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

// run is /run. The run goes on when its page is closed, and its account is in the next
// snapshot: what ends with the request is the waiting for it.
func (h *handler) run(w http.ResponseWriter, r *http.Request) {
	var ask struct{ Messages, Payload int }
	if !h.controlled(w) || !decode(w, r, &ask) {
		return
	}
	if ask.Messages < 1 || ask.Payload < 0 {
		refuse(w, http.StatusBadRequest, "messages must be at least 1 and payload 0 or the bytes of each, not %d and %d", ask.Messages, ask.Payload)
		return
	}
	s, err := h.r.Run(r.Context(), ringdht.Traffic{Messages: ask.Messages, Payload: ask.Payload})
	if err != nil {
		refuse(w, status(err), "%s", plain(err))
		return
	}
	answer(w, http.StatusOK, outcome{
		Exact: s.Exact(), Verdict: s.Verdict(), Sent: s.Sum.Sent, Received: s.Sum.Received,
		Elapsed: s.Elapsed, Rate: s.Rate(), MeanHops: s.MeanHops, MaxHops: s.MaxHops,
	})
}

// status is that of an error of the registry's: what is not as it should be in the ring, or
// else in the request.
func status(err error) int {
	switch {
	case errors.Is(err, ringdht.ErrBusy), errors.Is(err, ringdht.ErrNotReady):
		return http.StatusConflict
	case errors.Is(err, ringdht.ErrClosed):
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}
