package status_test

import (
	"testing"
	"time"

	"github.com/x/ringdht/status"
)

func TestHistogram(t *testing.T) {
	h := status.Histogram{Counts: []int64{0, 4, 0, 0, 5, 1}}
	if h.Count() != 10 || h.Bound(0) != time.Microsecond || h.Bound(4) != 16*time.Microsecond {
		t.Errorf("%+v", h)
	}
	for q, want := range map[float64]time.Duration{0: 2, 0.1: 2, 0.4: 2, 0.5: 16, 0.9: 16, 0.95: 32, 1: 32} {
		if got := h.Quantile(q); got != want*time.Microsecond {
			t.Errorf("quantile %v is %v, want %v µs", q, got, int(want))
		}
	}
	if (status.Histogram{}).Quantile(0.5) != 0 {
		t.Error("of nothing")
	}
}
