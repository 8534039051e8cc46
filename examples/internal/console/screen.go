package console

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/x/ringdht/examples/internal/table"
)

// clear takes the cursor to the start of the line and empties it.
const clear = "\r\x1b[K"

// Screen is where a program prints. It is safe for concurrent use: what is
// written in one call stays together, a prompt or progress line on a terminal
// makes room for it, and it waits while a view has the terminal.
type Screen struct {
	out     *stream // what commands were asked for
	notices *stream // what is said beside it: progress, notices, the prompt
	err     *stream // errors and logs
	*shared
}

// stream is where a screen writes.
type stream struct {
	io.Writer
	terminal bool  // whose last line can be rewritten; static
	failed   error // the first write that failed
}

// shared is what screens on the same streams share.
type shared struct {
	mu           sync.Mutex
	line         string    // the last line as it stands,
	on           *stream   // on this terminal
	view         bool      // a view has the terminals
	held         []writing // what waits for the end of the view
	heldBytes    int
	omitted      int  // how much of it was too much
	keepsRunning bool // the program goes on when it cannot print
}

type writing struct {
	to   *stream
	text string
}

// maxHeld is how many bytes wait for the end of a view; the latest do.
const maxHeld = 256 << 10

// NewScreen returns a screen on two streams. Notices and progress go to stderr if
// quiet, so that stdout holds results only.
func NewScreen(stdout, stderr io.Writer, quiet bool) *Screen {
	out, err := &stream{Writer: stdout, terminal: isTerminal(stdout)}, &stream{Writer: stderr, terminal: isTerminal(stderr)}
	s := &Screen{out: out, notices: out, err: err, shared: &shared{}}
	if quiet {
		s.notices = err
	}
	return s
}

// Quiet returns the same screen, with stdout for results only.
func (s *Screen) Quiet() *Screen {
	return &Screen{out: s.out, notices: s.err, err: s.err, shared: s.shared}
}

// live says that there is a line that can be rewritten.
func (s *Screen) live() bool { return s.notices.terminal }

// Print prints a result, one or more lines.
func (s *Screen) Print(text string) { s.write(s.out, text) }

// Say prints a notice, a line.
func (s *Screen) Say(format string, args ...any) { s.write(s.notices, fmt.Sprintf(format, args...)) }

// Complain prints an error, a line.
func (s *Screen) Complain(format string, args ...any) { s.write(s.err, fmt.Sprintf(format, args...)) }

// Errors is the stream for errors, to log to.
func (s *Screen) Errors() io.Writer { return complaints{s} }

type complaints struct{ s *Screen }

func (c complaints) Write(p []byte) (int, error) {
	c.s.write(c.s.err, words.Replace(string(p)))
	return len(p), nil
}

func (s *Screen) write(w *stream, text string) {
	text = table.PlainLines(text) // whatever part of it another machine has made up
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.view && w.terminal {
		s.hold(writing{w, text})
		return
	}
	rewrite := s.line != "" && !s.view
	if rewrite {
		io.WriteString(s.on, clear)
	}
	s.put(w, text)
	if rewrite {
		io.WriteString(s.on, s.line)
	}
}

// put writes text, and notes that it could not be written; it needs mu. A program that goes on
// says so at once.
func (s *Screen) put(w *stream, text string) {
	_, err := io.WriteString(w, text)
	if err == nil || w.failed != nil {
		return
	}
	w.failed = err
	if s.keepsRunning && w == s.out {
		fmt.Fprintf(s.err, "Output is lost: %s\n", Text(err))
	}
}

// keepRunning says that the program goes on when it cannot print. What could not be printed before is
// told now.
func (s *Screen) keepRunning() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keepsRunning = true
	if s.out.failed != nil {
		fmt.Fprintf(s.err, "Output is lost: %s\n", Text(s.out.failed))
	}
}

// Ended is the error that a program ends with: err, and that results could not be printed.
func (s *Screen) Ended(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out.failed != nil {
		err = errors.Join(err, fmt.Errorf("output is lost: %w", s.out.failed))
	}
	return err
}

// hold keeps what is written during a view; it needs mu.
func (d *shared) hold(w writing) {
	d.held = append(d.held, w)
	d.heldBytes += len(w.text)
	for d.heldBytes > maxHeld {
		d.heldBytes -= len(d.held[0].text)
		d.held = d.held[1:]
		d.omitted++
	}
}

// release writes what was held; it needs mu.
func (s *Screen) release() {
	if s.omitted > 0 {
		fmt.Fprintf(s.err, "%s of what was printed meanwhile left out\n", Count(s.omitted, "line"))
	}
	for _, w := range s.held {
		s.put(w.to, w.text)
	}
	s.held, s.heldBytes, s.omitted = nil, 0, 0
}

// Progress says how far something has come: on a terminal in one line that the
// next call replaces, otherwise in a line each. [Screen.Done] removes it.
func (s *Screen) Progress(format string, args ...any) {
	if !s.live() {
		s.Say(format, args...)
		return
	}
	s.setLine(fmt.Sprintf(format, args...))
}

// Done removes the progress line.
func (s *Screen) Done() { s.setLine("") }

func (s *Screen) setLine(line string) {
	line = table.Plain(line)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line != "" && !s.view {
		io.WriteString(s.on, clear)
	}
	s.line, s.on = line, s.notices
	if !s.view { // else it is written when that ends
		io.WriteString(s.on, line)
	}
}

// entered notes that whoever typed has ended the line that the prompt was in.
func (s *Screen) entered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line = ""
}

// While calls work and returns its error. For every second that it takes, it
// prints how far that is.
func (s *Screen) While(work func() error, progress func() string) error {
	done := make(chan error, 1)
	go func() { done <- work() }()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	defer s.Done()
	for {
		select {
		case err := <-done:
			return err
		case <-ticker.C:
			s.Progress("%s", progress())
		}
	}
}
