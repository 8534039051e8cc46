package dashboard

import (
	"net/http"
	"time"
)

// patience bounds the time that a page may take to read an update.
const patience = 5 * time.Second

// events serves /events. It ends when the page has gone, or was dropped because it does not
// read. Then the connection ends, and a page that is alive connects again.
func (h *handler) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	if r.Method == http.MethodHead { // it would take a place, and its writes go nowhere
		return
	}
	c := http.NewResponseController(w)
	v, err := h.broadcaster.join(func() { _ = c.SetWriteDeadline(time.Now()) })
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, "%v", err)
		return
	}
	defer h.broadcaster.leave(v)
	w.Header().Set("X-Accel-Buffering", "no") // else proxies buffer the stream
	next := []byte("retry: 1000\n\n")
	for {
		select {
		case <-v.dropped: // cut has set the deadline; do not extend it
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
