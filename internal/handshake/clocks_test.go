package handshake_test

import (
	"testing"
	"time"

	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/ringtest"
)

func TestElapsed(t *testing.T) {
	from := time.Now()
	for _, c := range []struct {
		to   time.Time
		want time.Duration
	}{
		{from.Add(time.Second), time.Second},
		{from.Round(0).Add(time.Hour), time.Hour}, // set forward, or suspended
		{from, 0},
		{ringtest.ShiftWallClock(from, time.Hour), time.Hour},
		{ringtest.ShiftWallClock(from.Add(2*time.Hour), -time.Hour), 2 * time.Hour},
	} {
		if got := handshake.Elapsed(from, c.to); got != c.want {
			t.Errorf("%v, want %v", got, c.want)
		}
	}
}
