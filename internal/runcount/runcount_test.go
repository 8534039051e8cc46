package runcount

import (
	"sync"
	"testing"
)

// Each run has its own count. The counts of runs take room only once there is a run.
func TestCountsByPort(t *testing.T) {
	var c Counter
	c.Add(0, 3)
	c.Add(First-1, 2)
	if c.Take(0)+c.Of(First-1)+c.Of(First)+c.Take(255) != 0 || c.Total() != 5 || c.runs.Load() != nil {
		t.Error("a run, or room for one, without a run")
	}
	c.Add(First, 1)
	c.Add(255, 10)
	c.Add(255, 20)
	if a, b := c.Of(First), c.Of(255); a != 1 || b != 30 || c.Of(129) != 0 || c.Total() != 36 {
		t.Error(a, b, c.Total())
	}
	if n, again := c.Take(255), c.Take(255); n != 30 || again != 0 || c.Of(First) != 1 || c.Total() != 36 {
		t.Error(n, again, c.Total())
	}
}

// The total over all ports never goes back while runs are reset, and counts everything once.
func TestTotalNeverGoesBack(t *testing.T) {
	var c Counter
	const each = 20000
	var adding, taking sync.WaitGroup
	stop := make(chan struct{})
	taken := int64(0)
	for port := uint8(127); port < 130; port++ {
		adding.Go(func() {
			for range each {
				c.Add(port, 1)
			}
		})
	}
	taking.Go(func() {
		for {
			taken += c.Take(128) + c.Take(127)
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	taking.Go(func() {
		last := int64(0)
		for {
			n := c.Total()
			if n < last {
				t.Errorf("%d after %d", n, last)
				return
			}
			last = n
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	adding.Wait()
	close(stop)
	taking.Wait()
	if taken += c.Take(128); taken != each || c.Total() != 3*each {
		t.Errorf("%d taken, %d in all", taken, c.Total())
	}
}
