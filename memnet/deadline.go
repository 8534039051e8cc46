package memnet

import (
	"sync"
	"time"
)

// A deadline is that of the reads or the writes of one end. The mutex of the cond that it wakes
// guards it.
type deadline struct {
	expired bool
	at      time.Time   // from when on the timer's firing counts; zero: it does not
	timer   *time.Timer // made by a deadline in the future, reused by later ones
}

// set replaces the deadline; the zero time clears it. A deadline in the past wakes the waiting
// calls at once. It requires wake.L.
func (d *deadline) set(t time.Time, wake *sync.Cond) {
	d.stop()
	d.expired = false
	if t.IsZero() {
		d.timer = nil // an idle connection must not keep the timer of its handshake
		return
	}
	now := time.Now()
	wait := t.Sub(now)
	if wait <= 0 {
		d.expired = true
		wake.Broadcast()
		return
	}
	// Not t: it may lack the monotonic reading that timers use.
	d.at = now.Add(wait)
	if d.timer != nil {
		d.timer.Reset(wait)
		return
	}
	d.timer = time.AfterFunc(wait, func() {
		wake.L.Lock()
		defer wake.L.Unlock()
		// The time tells a real firing from one that Stop was too late for.
		if !d.at.IsZero() && !time.Now().Before(d.at) {
			d.expired = true
			wake.Broadcast()
		}
	})
}

// stop disables the timer, if there is one.
func (d *deadline) stop() {
	d.at = time.Time{}
	if d.timer != nil {
		d.timer.Stop()
	}
}
