package plane

import (
	"runtime"
	"time"

	"github.com/x/ringdht/internal/link"
)

// slowDown notes that bytes were offered to a crowded queue, see [link.Throttle].
func (l *inLink) slowDown(t *link.Throttle, drained int64, bytes int) {
	l.crowded = true
	if l.crowdedBytes += int32(bytes); l.crowdedBytes >= link.Quantum {
		l.crowdedBytes = 0
		l.mustPause = t.Allow(drained) || l.mustPause
	}
}

// afterBatch pauses if a queue is crowded, and ends the peer's direction after its End.
func (l *inLink) afterBatch() {
	if l.mustPause {
		time.Sleep(link.Pause)
	} else if l.crowded {
		runtime.Gosched()
	}
	l.mustPause, l.crowded = false, false
	if l.conn.Ending() {
		l.conn.PeerEnded()
	}
}
