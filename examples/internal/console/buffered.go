package console

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

// What a program gives a stream for errors and logs: a moment for what is written, so
// that it comes in order with what is printed elsewhere, and a second when it ends.
const (
	moment   = 100 * time.Millisecond
	lastWait = time.Second
)

// Buffered makes a stream for errors and logs that no program has to wait for: a pipe that
// nobody reads must not stop a registry. What the stream does not take within a moment
// waits for it, up to 256 KiB; what is beyond that is left out, and counted. flush waits
// for what was written, for a second at most. A terminal is returned as it is.
func Buffered(stream io.Writer) (w io.Writer, flush func()) {
	if isTerminal(stream) {
		return stream, func() {}
	}
	p := &buffered{w: stream}
	return p, func() { p.wait(lastWait) }
}

type buffered struct {
	w io.Writer

	mu      sync.Mutex // guards what follows
	text    []byte     // waits for the stream
	omitted int        // lines that found no room
	busy    chan struct{}
	stuck   bool // the stream did not take something within a moment, and has taken nothing since
}

// Write queues text, and gives the stream a moment to take it.
func (p *buffered) Write(text []byte) (int, error) {
	p.mu.Lock()
	if len(p.text)+len(text) > maxHeld {
		p.omitted += bytes.Count(text, []byte("\n"))
	} else {
		p.text = append(p.text, text...)
	}
	if p.busy == nil {
		p.busy = make(chan struct{})
		go p.run()
	}
	p.mu.Unlock()
	p.wait(moment)
	return len(text), nil
}

// wait waits until the stream has taken everything, unless it is known to stand still.
func (p *buffered) wait(limit time.Duration) {
	p.mu.Lock()
	busy, stuck := p.busy, p.stuck
	p.mu.Unlock()
	if busy == nil || stuck {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-busy:
	case <-timer.C:
		p.mu.Lock()
		p.stuck = p.busy == busy
		p.mu.Unlock()
	}
}

// run is the goroutine that writes, as long as there is something.
func (p *buffered) run() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.text) > 0 || p.omitted > 0 {
		text := p.text
		p.text = nil
		if len(text) == 0 {
			text = fmt.Appendf(nil, "%s of what was printed here left out\n", Count(p.omitted, "line"))
			p.omitted = 0
		}
		p.mu.Unlock()
		p.w.Write(text) // an error: there is nowhere to say it
		p.mu.Lock()
		p.stuck = false
	}
	close(p.busy)
	p.busy = nil
}
