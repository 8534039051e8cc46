package plane

import "github.com/x/ringdht/internal/link"

// slowDown notes that bytes were offered to a crowded queue, see [link.Throttle].
func (l *inLink) slowDown(t *link.Throttle, drained int64, bytes int) {
	l.crowded = true
	if l.crowdedBytes += bytes; l.crowdedBytes >= link.Quantum {
		l.crowdedBytes = 0
		l.mustPause = t.Allow(drained) || l.mustPause
	}
}
