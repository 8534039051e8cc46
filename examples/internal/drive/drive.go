// Package drive runs an example program in a test as a person would: it types lines, and
// waits for output.
package drive

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds the wait for output that should come at once. Only what hangs takes so long, also on
// a busy machine.
const patience = 2 * time.Minute

// Run is a program's run function.
type Run func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int

// Program is a running program.
type Program struct {
	t         testing.TB
	name      string
	in        *io.PipeWriter
	interrupt context.CancelFunc
	ended     chan struct{} // closed after status is set
	status    int

	out, err stream
}

// Start starts a program. At the end of the test it interrupts the program, if it still runs,
// and waits for it.
func Start(t testing.TB, run Run, args ...string) *Program {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stdin, in := io.Pipe()
	p := &Program{t: t, name: strings.Join(args, " "), in: in, interrupt: cancel, ended: make(chan struct{})}
	p.out.init()
	p.err.init()
	go func() {
		p.status = run(ctx, args, stdin, &p.out, &p.err)
		close(p.ended)
		stdin.Close() // makes typing into an ended program an error, and not a wait
	}()
	t.Cleanup(func() {
		cancel()
		in.Close()
		p.wait()
	})
	return p
}

// Type types lines.
func (p *Program) Type(lines ...string) {
	p.t.Helper()
	for _, line := range lines {
		if _, err := io.WriteString(p.in, line+"\n"); err != nil {
			p.t.Fatalf("typing %q: %v%s", line, err, p.state())
		}
	}
}

// EOF ends the input.
func (p *Program) EOF() { p.in.Close() }

// Interrupt is Ctrl-C.
func (p *Program) Interrupt() { p.interrupt() }

// Expect waits until the output on stdout since the last match matches a regular expression.
// It returns the match and its groups.
func (p *Program) Expect(pattern string) []string {
	p.t.Helper()
	return p.expect(&p.out, "stdout", pattern)
}

// ExpectError is Expect for stderr.
func (p *Program) ExpectError(pattern string) []string {
	p.t.Helper()
	return p.expect(&p.err, "stderr", pattern)
}

func (p *Program) expect(s *stream, name, pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile("(?m)" + pattern)
	ended := p.ended
	timeout := time.After(patience)
	for {
		match, changed := s.match(re)
		if match != nil {
			return match
		}
		if ended == nil {
			p.t.Fatalf("the program ended without %q on %s%s", pattern, name, p.state())
		}
		select {
		case <-changed:
		case <-ended:
			ended = nil // all is printed: match once more
		case <-timeout:
			p.t.Fatalf("no %q on %s%s", pattern, name, p.state())
		}
	}
}

// Status waits for the end of the program and returns its exit status.
func (p *Program) Status() int {
	p.t.Helper()
	p.wait()
	return p.status
}

func (p *Program) wait() {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("the program does not end%s", p.state())
	}
}

// Stdout returns the whole output so far.
func (p *Program) Stdout() string { return p.out.String() }

// Stderr returns the whole error output so far.
func (p *Program) Stderr() string { return p.err.String() }

// late are warnings that a loaded machine causes, and no mistake of a program.
var late = []string{
	"this process did not get the processor for a while, or was stopped",
	"this process got no CPU time for a while, or was stopped",
}

// Complaints returns the error output so far, without the warnings that a loaded machine causes.
func (p *Program) Complaints() string {
	var all strings.Builder
	for line := range strings.Lines(p.Stderr()) {
		if !slices.ContainsFunc(late, func(l string) bool { return strings.Contains(line, `msg="`+l) }) {
			all.WriteString(line)
		}
	}
	return all.String()
}

func (p *Program) state() string {
	return fmt.Sprintf("\n--- %s\n--- stdout\n%s--- stderr\n%s", p.name, p.Stdout(), p.Stderr())
}

// stream records output.
type stream struct {
	mu      sync.Mutex
	text    []byte
	seen    int           // up to the end of the last match
	changed chan struct{} // closed at the next write
}

func (s *stream) init() { s.changed = make(chan struct{}) }

func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = append(s.text, b...)
	close(s.changed)
	s.changed = make(chan struct{})
	return len(b), nil
}

func (s *stream) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.text)
}

func (s *stream) match(re *regexp.Regexp) ([]string, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := s.text[s.seen:]
	at := re.FindSubmatchIndex(rest)
	if at == nil {
		return nil, s.changed
	}
	var match []string
	for i := 0; i < len(at); i += 2 {
		if at[i] < 0 {
			match = append(match, "")
		} else {
			match = append(match, string(rest[at[i]:at[i+1]]))
		}
	}
	s.seen += at[1]
	return match, s.changed
}
