package console

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// clear takes the cursor to the start of the line and empties it.
const clear = "\r\x1b[K"

// Screen is where a program prints. It is safe for concurrent use: what is
// written in one call stays together, and a prompt or progress line on a terminal
// makes room for it.
type Screen struct {
	// static after construction
	out  io.Writer // what commands were asked for
	chat io.Writer // what is said beside it: progress, notices, the prompt
	err  io.Writer // errors and logs
	live bool      // chat is a terminal, whose last line can be rewritten

	mu   sync.Mutex
	line string // the last line as it stands there, if live
}

// NewScreen returns a screen on two streams. Notices and progress go to stderr if
// quiet, so that stdout holds results only.
func NewScreen(stdout, stderr io.Writer, quiet bool) *Screen {
	s := &Screen{out: stdout, chat: stdout, err: stderr}
	if quiet {
		s.chat = stderr
	}
	s.live = isTerminal(s.chat)
	return s
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Print prints a result, one or more lines.
func (s *Screen) Print(text string) { s.write(s.out, text) }

// Say prints a notice, a line.
func (s *Screen) Say(format string, args ...any) { s.write(s.chat, fmt.Sprintf(format, args...)) }

// Complain prints an error, a line.
func (s *Screen) Complain(format string, args ...any) { s.write(s.err, fmt.Sprintf(format, args...)) }

// Errors is the stream for errors, to log to.
func (s *Screen) Errors() io.Writer { return complaints{s} }

type complaints struct{ s *Screen }

func (c complaints) Write(p []byte) (int, error) {
	c.s.write(c.s.err, string(p))
	return len(p), nil
}

func (s *Screen) write(w io.Writer, text string) {
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line != "" {
		io.WriteString(s.chat, clear)
	}
	io.WriteString(w, text)
	if s.line != "" {
		io.WriteString(s.chat, s.line)
	}
}

// Progress says how far something has come: on a terminal in one line that the
// next call replaces, otherwise in a line each. [Screen.Done] removes it.
func (s *Screen) Progress(format string, args ...any) {
	if !s.live {
		s.Say(format, args...)
		return
	}
	s.setLine(fmt.Sprintf(format, args...))
}

// Done removes the progress line.
func (s *Screen) Done() { s.setLine("") }

func (s *Screen) setLine(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line != "" {
		io.WriteString(s.chat, clear)
	}
	io.WriteString(s.chat, line)
	s.line = line
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
