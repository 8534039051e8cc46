package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// longest is the longest delay that a histogram records, in nanoseconds.
const longest = int64(100 * time.Second)

// newHistogram returns a histogram of delays in nanoseconds, exact to 1 in 1,000.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, longest, 3) }

// quantile returns a quantile in seconds; p is in percent.
func quantile(h *hdrhistogram.Histogram, p float64) float64 {
	return time.Duration(h.ValueAtQuantile(p)).Seconds()
}
