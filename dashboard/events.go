package dashboard

import (
	"net/http"
	"time"
)

// patience is how long a page may take to read an update; it is what an interval is for
// most of them.
const patience = 5 * time.Second

// events is /events. It goes on until the page has gone, or was dropped since it does not
// read: then its connection ends, and a page that is alive connects again.
func (h *handler) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	if r.Method == http.MethodHead { // it would be a page that takes everything, and is never told anything
		return
	}
	c := http.NewResponseController(w)
	v, err := h.broadcaster.join(func() { _ = c.SetWriteDeadline(time.Now()) })
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, "%v", err)
		return
	}
	defer h.broadcaster.leave(v)
	w.Header().Set("X-Accel-Buffering", "no") // proxies would hold it back
	next := []byte("retry: 1000\n\n")
	for {
		select {
		case <-v.dropped: // cut has set the deadline: it must not be moved
			return
		default:
		}
		_ = c.SetWriteDeadline(time.Now().Add(patience))
		if _, err := w.Write(next); err != nil {
			return
		}
		if c.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-v.dropped:
			return
		case next = <-v.queue:
		}
	}
}
