package console

import (
	"fmt"
	"io"
	"time"

	"github.com/x/ringdht/examples/internal/table"
)

// clear moves the cursor to the start of the line and empties it.
const clear = "\r\x1b[K"

// live is the last line of a terminal, which changes: the prompt, or the progress of a
// command. While the line editor has the prompt, the progress is the line above it.
type live struct {
	editor   *editor // edits a line on the terminal, or nil
	prompt   string  // without an editor: shown while a line is awaited, and no progress
	progress struct{ front, back string }
	shown    string  // the line as it is, if no editor shows it,
	on       *stream // on this terminal
	away     bool    // the program is in the background of its shell
}

// progressText returns the progress to show. That of the command in the foreground hides that of
// the one in the background. The caller holds mu.
func (d *shared) progressText() string {
	if d.progress.front != "" {
		return d.progress.front
	}
	return d.progress.back
}

// rewritable reports whether notices go to a terminal whose last line can be rewritten.
func (s *Screen) rewritable() bool { return s.notices.terminal && !s.notices.dumb }

// Progress prints how far a task is: on a terminal in one line that the next call replaces,
// cut to the terminal's width, otherwise in a line for each call. [Screen.Done] removes the
// line.
func (s *Screen) Progress(format string, args ...any) {
	if !s.rewritable() {
		s.Say(format, args...)
		return
	}
	s.setProgress(table.Plain(fmt.Sprintf(format, args...)))
}

// Done removes the progress line.
func (s *Screen) Done() { s.setProgress("") }

func (s *Screen) setProgress(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := &s.progress.front
	if s.back {
		of = &s.progress.back
	}
	if *of == text {
		return
	}
	*of = text
	s.refresh()
}

// setPrompt shows a prompt, without an editor.
func (s *Screen) setPrompt(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prompt = text
	s.refresh()
}

// entered notes that Enter has ended the line of the prompt.
func (s *Screen) entered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prompt, s.shown = "", ""
}

// refresh shows the live line as it is to be. The caller holds mu.
func (s *Screen) refresh() {
	if s.view || s.away {
		return
	}
	if s.editor != nil && s.editor.reading {
		s.editor.around(func() {})
		return
	}
	text := s.progressText()
	if text == "" {
		text = s.prompt
	}
	to := s.notices
	if s.editor != nil {
		to = s.editor.out
	}
	if text != "" && !to.dumb {
		text = table.Cut(text, sizeOf(to.Writer).Columns-1) // a full line would move the cursor
	}
	if text == s.shown {
		return
	}
	s.erase()
	s.shown, s.on = text, to
	io.WriteString(to, text)
}

// erase removes the live line, if no editor shows it. The caller holds mu.
func (s *Screen) erase() {
	if s.shown == "" {
		return
	}
	if s.on.dumb {
		io.WriteString(s.on, "\n")
	} else {
		io.WriteString(s.on, clear)
	}
	s.shown = ""
}

// aside calls do, which writes text, with the live line out of the way. The caller holds mu.
func (s *Screen) aside(do func()) {
	switch {
	case s.view || s.away:
		do()
	case s.editor != nil && s.editor.reading:
		s.editor.around(do)
	default:
		s.erase()
		do()
		s.refresh()
	}
}

// While calls work and returns its error. Each second it prints the progress.
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
