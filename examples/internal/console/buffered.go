package console

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

// Waiting for a stream is bounded: for moment after each write, so that its lines usually
// appear in order with those of other streams, and for lastWait at the end.
const (
	moment   = 100 * time.Millisecond
	lastWait = time.Second
)

// Buffered returns a writer for errors and logs that does not block the program: a pipe that
// is not read must not stop a registry. Text that the stream does not accept within a moment
// is buffered, up to 256 KiB. Beyond that it is omitted, and the omitted lines are counted.
// flush waits until the buffer is written, for at most a second. A terminal is returned
// unchanged.
func Buffered(stream io.Writer) (w io.Writer, flush func()) {
	if isTerminal(stream) {
		return stream, func() {}
	}
	p := &buffered{w: stream}
	return p, func() { p.wait(lastWait) }
}

type buffered struct {
	w io.Writer

	mu      sync.Mutex // guards the fields below
	text    []byte     // not written yet
	omitted int        // lines, since the buffer was full
	busy    chan struct{}
	stuck   bool // a write took longer than a moment, and has not ended
}

// Write appends text to the buffer, and waits a moment until it is written.
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

// wait waits until the buffer is written, unless the stream is known to be stuck.
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

// run writes the buffer until it is empty.
func (p *buffered) run() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.text) > 0 || p.omitted > 0 {
		text := p.text
		p.text = nil
		if len(text) == 0 {
			text = fmt.Appendf(nil, "%s omitted: this stream was not read\n", Count(p.omitted, "line"))
			p.omitted = 0
		}
		p.mu.Unlock()
		p.w.Write(text) // an error could be reported nowhere
		p.mu.Lock()
		p.stuck = false
	}
	close(p.busy)
	p.busy = nil
}
