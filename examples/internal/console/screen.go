package console

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/x/ringdht/examples/internal/table"
)

// Screen is the output of a program. It is safe for concurrent use. The text of one call
// stays together. A prompt or progress line on a terminal moves out of its way. While a view
// has the terminal, text waits.
type Screen struct {
	out     *stream // results of commands
	notices *stream // all else: progress, notices, the prompt
	err     *stream // errors and logs
	back    bool    // of a command in the background
	*shared
}

// stream is an output of a screen.
type stream struct {
	io.Writer
	terminal bool  // never changes
	dumb     bool  // a terminal whose last line cannot be rewritten; never changes
	failed   error // the first write error
}

// shared is the state that screens on the same streams share.
type shared struct {
	mu sync.Mutex
	live
	view         bool          // a view has the terminals
	redraw       chan struct{} // capacity 1: the view is to be drawn now
	held         []writing     // text to write after the view
	heldBytes    int
	omitted      int  // how many texts were too much to hold
	keepsRunning bool // the program goes on if it cannot print
}

type writing struct {
	to   *stream
	text string
}

// maxHeld bounds the bytes that wait for the end of a view. The oldest are dropped.
const maxHeld = 256 << 10

// NewScreen returns a screen on two streams. With quiet, notices and progress go to stderr,
// so that stdout has results only.
func NewScreen(stdout, stderr io.Writer, quiet bool) *Screen {
	out, err := newStream(stdout), newStream(stderr)
	s := &Screen{out: out, notices: out, err: err, shared: &shared{redraw: make(chan struct{}, 1)}}
	if quiet {
		s.notices = err
	}
	return s
}

func newStream(w io.Writer) *stream {
	return &stream{Writer: w, terminal: isTerminal(w), dumb: os.Getenv("TERM") == "dumb"}
}

// Quiet returns a screen on the same streams whose stdout has results only.
func (s *Screen) Quiet() *Screen {
	return &Screen{out: s.out, notices: s.err, err: s.err, back: s.back, shared: s.shared}
}

// behind returns the screen of a command in the background.
func (s *Screen) behind() *Screen {
	return &Screen{out: s.out, notices: s.notices, err: s.err, back: true, shared: s.shared}
}

// Print prints a result: one or more lines.
func (s *Screen) Print(text string) { s.write(s.out, text) }

// Tell prints a result in sentences, which wrap by words on a terminal.
func (s *Screen) Tell(text string) { s.wrap(s.out, text) }

// Say prints a notice: one line, which wraps by words on a terminal.
func (s *Screen) Say(format string, args ...any) { s.wrap(s.notices, fmt.Sprintf(format, args...)) }

// Complain prints an error as Say prints a notice.
func (s *Screen) Complain(format string, args ...any) { s.wrap(s.err, fmt.Sprintf(format, args...)) }

func (s *Screen) wrap(w *stream, text string) { s.write(w, fold(w.Writer, text)) }

// fold wraps text by words if it is for a terminal.
func fold(to io.Writer, text string) string {
	if !isTerminal(to) {
		return text
	}
	return table.Wrap(table.PlainLines(text), sizeOf(to).Columns)
}

// Columns returns the width of the terminal that results go to, or 0 if they go elsewhere.
func (s *Screen) Columns() int {
	if !s.out.terminal {
		return 0
	}
	return sizeOf(s.out.Writer).Columns
}

// Errors returns a writer for logs.
func (s *Screen) Errors() io.Writer { return complaints{s} }

type complaints struct{ s *Screen }

func (c complaints) Write(p []byte) (int, error) {
	c.s.wrap(c.s.err, words.Replace(string(p)))
	return len(p), nil
}

func (s *Screen) write(w *stream, text string) {
	text = table.PlainLines(text) // part of it may come from another machine
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.view && w.terminal {
		s.hold(writing{w, text})
		return
	}
	s.aside(func() { s.put(w, text) })
}

// put writes text and remembers the first error. A program that goes on reports it at once.
// The caller holds mu.
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

// keepRunning says that the program goes on if it cannot print. If it could not print before,
// that is reported now.
func (s *Screen) keepRunning() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keepsRunning = true
	if s.out.failed != nil {
		fmt.Fprintf(s.err, "Output is lost: %s\n", Text(s.out.failed))
	}
}

// Ended returns the error that a program ends with: err, joined with the first failure to
// print results.
func (s *Screen) Ended(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out.failed != nil {
		err = errors.Join(err, fmt.Errorf("output is lost: %w", s.out.failed))
	}
	return err
}

// hold keeps text until the view has ended. The caller holds mu.
func (d *shared) hold(w writing) {
	d.held = append(d.held, w)
	d.heldBytes += len(w.text)
	for d.heldBytes > maxHeld {
		d.heldBytes -= len(d.held[0].text)
		d.held = d.held[1:]
		d.omitted++
	}
}

// release writes the text that was held. The caller holds mu.
func (s *Screen) release() {
	if s.omitted > 0 {
		fmt.Fprintf(s.err, "%s printed during the view omitted\n", Count(s.omitted, "line"))
	}
	for _, w := range s.held {
		s.put(w.to, w.text)
	}
	s.held, s.heldBytes, s.omitted = nil, 0, 0
}
