package memnet

import (
	"sync"
	"time"
)

// A deadline bounds the reads or the writes of one end. It is guarded by the mutex of the cond it wakes.
type deadline struct {
	expired bool
	at      time.Time   // when the timer's firing counts, zero if it does not
	timer   *time.Timer // made by a deadline in the future, reused by those that replace it
}

// set replaces the deadline; the zero time clears it. One that has passed wakes those who wait at once. The caller holds
// wake.L.
func (d *deadline) set(t time.Time, wake *sync.Cond) {
	d.stop()
	d.expired = false
	if t.IsZero() {
		d.timer = nil // a handshake had a deadline, and an idle connection should not keep it for ever
		return
	}
	now := time.Now()
	wait := t.Sub(now)
	if wait <= 0 {
		d.expired = true
		wake.Broadcast()
		return
	}
	// Not t, which may lack the monotonic reading that the timer goes by.
	d.at = now.Add(wait)
	if d.timer != nil {
		d.timer.Reset(wait)
		return
	}
	d.timer = time.AfterFunc(wait, func() {
		wake.L.Lock()
		defer wake.L.Unlock()
		// A firing that Stop came too late for is told from a real one by the time.
		if !d.at.IsZero() && !time.Now().Before(d.at) {
			d.expired = true
			wake.Broadcast()
		}
	})
}

// stop makes the timer, if any, harmless.
func (d *deadline) stop() {
	d.at = time.Time{}
	if d.timer != nil {
		d.timer.Stop()
	}
}
