//go:build linux

package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// traffic is the command that makes a node send its share.
func (r *ring) traffic() command {
	rate := r.plan.rate / r.plan.nodes
	return command{Do: "send", Rate: rate, Payload: r.plan.payload, Drawn: r.plan.drawn}
}

func (r *ring) sending() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.began.IsZero()
}

// send starts the traffic of all nodes, and waits until all have received messages from all
// others.
func (r *ring) send() {
	r.t.Helper()
	r.mu.Lock()
	r.began = time.Now()
	r.mu.Unlock()
	r.wg.Go(r.sample)
	r.mark(r.began, false)
	r.all(r.nodes(), func(p *process) error { _, err := p.ask(r.traffic()); return err })
	r.recovered()
}

// sample is how many messages had been received by a time.
type sample struct {
	at       time.Time
	received uint64
}

// sample is the goroutine that takes the samples.
func (r *ring) sample() {
	for range time.Tick(sampling) {
		r.mu.Lock()
		if r.ended {
			r.mu.Unlock()
			return
		}
		r.samples = append(r.samples, sample{time.Now(), r.totalReceived()})
		r.mu.Unlock()
	}
}

// totalReceived is the sum of the messages that all processes have reported as received; it
// needs mu.
func (r *ring) totalReceived() (n uint64) {
	for _, p := range r.processes {
		n += p.state.Received
	}
	return n
}

// mark starts a measurement at a time that has just passed. keep keeps the gaps of the one
// before.
func (r *ring) mark(at time.Time, keep bool) {
	r.mu.Lock()
	r.marks++
	for _, p := range r.processes {
		p.touched = p.touched && (keep || p.stopped)
	}
	c := command{Do: "mark", Mark: r.marks, At: at.UnixNano(), Keep: keep}
	r.mu.Unlock()
	for _, p := range r.nodes() {
		p.tell(c)
	}
}

// recovered waits until every pair of living nodes with a connection has passed a message
// that was sent after the mark, and returns how long after the mark that was.
func (r *ring) recovered() time.Duration {
	r.t.Helper()
	var last int64
	pairs := 0
	r.need(func() string {
		last, pairs = 0, 0
		var missing []string
		living := r.living()
		for _, sink := range living {
			for _, source := range living {
				if source == sink || slices.Contains(r.cutOff, source) != slices.Contains(r.cutOff, sink) {
					continue
				}
				pairs++
				after := int64(0)
				if i := slices.IndexFunc(sink.state.Arrivals, func(x arrivals) bool { return x.Process == source.terms.Process }); i >= 0 && sink.state.Mark == r.marks {
					after = sink.state.Arrivals[i].After
				}
				if after == 0 {
					missing = append(missing, fmt.Sprintf("%s (%d) to %s (%d)", source.name, source.id(), sink.name, sink.id()))
				}
				last = max(last, after)
			}
		}
		if len(missing) == 0 {
			return ""
		}
		return fmt.Sprintf("messages to come through after the fault on %d of %d ways, from %s",
			len(missing), pairs, strings.Join(missing[:min(4, len(missing))], ", from "))
	})
	return time.Duration(last)
}

// gap is the longest gap since the first mark between processes without a fault.
func (r *ring) gap() time.Duration {
	r.t.Helper()
	r.all(r.nodes(), func(p *process) error { _, err := p.ask(command{Do: "state"}); return err })
	r.mu.Lock()
	defer r.mu.Unlock()
	var longest int64
	calm := make(map[uint64]bool)
	for _, p := range r.living() {
		calm[p.terms.Process] = !p.touched
	}
	for _, sink := range r.living() {
		for _, x := range sink.state.Arrivals {
			if calm[sink.terms.Process] && calm[x.Process] {
				longest = max(longest, x.Gap)
			}
		}
	}
	return time.Duration(longest)
}

// throughput is the messages per second from one time to another: the mean, and the lowest
// of any full second.
func (r *ring) throughput(from, to time.Time) (mean, lowest float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var span []sample
	for _, s := range r.samples {
		if !s.at.Before(from) && !s.at.After(to) {
			span = append(span, s)
		}
	}
	if len(span) < 2 {
		return 0, 0
	}
	rate := func(a, b sample) float64 { return float64(b.received-a.received) / b.at.Sub(a.at).Seconds() }
	mean = rate(span[0], span[len(span)-1])
	lowest = mean
	for i, j := 0, 0; j < len(span); j++ {
		for ; span[j].at.Sub(span[i].at) >= time.Second; i++ {
			lowest = min(lowest, rate(span[i], span[j]))
		}
	}
	return mean, lowest
}
