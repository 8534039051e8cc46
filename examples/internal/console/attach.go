package console

import (
	"context"
	"io"
)

// attach decides how lines are read: with the line editor on a terminal that can move the
// cursor, otherwise as they come. It also decides what an interrupt does. stop restores the
// terminal.
func (c *Console) attach(ctx context.Context, in io.Reader) (stop func()) {
	c.editor = nil
	if t := newTTY(in); t != nil && c.Screen.notices.terminal && canDraw(c.Screen.notices.Writer) {
		c.editor = newEditor(c, t)
		c.lines = c.editor
		c.Screen.edit(c.editor)
	} else {
		c.lines = newInput(in)
	}
	unattend := c.attend(ctx)
	leave := func() {}
	if c.typed {
		interrupts := interruptsOf(ctx)
		c.end = interrupts.end
		leave = interrupts.take(c.interrupted)
	}
	return func() {
		leave()
		unattend()
		c.Screen.leave()
	}
}

// edit gives the last line of the terminal to an editor.
func (s *Screen) edit(e *editor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	s.shared.editor = e
	if s.away = !e.tty.foreground(); s.away {
		e.hide(true)
		s.put(s.notices, isAway)
		return
	}
	e.grab()
}

// Marks around a paste are asked for, so that it can be told from what is typed.
const (
	marksOn  = "\x1b[?2004h"
	marksOff = "\x1b[?2004l"
)

// grab takes the keys of the terminal, one by one.
func (e *editor) grab() {
	if e.tty.raw() {
		io.WriteString(e.out, marksOn)
	}
}

// release restores the terminal.
func (e *editor) release() {
	if e.tty.restore() {
		io.WriteString(e.out, marksOff)
	}
}

const isAway = "In the background of the shell, commands are not read. After fg they are.\n"

// leave takes the last line from the editor, and restores the terminal.
func (s *Screen) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prompt, s.progress.front, s.progress.back = "", "", ""
	e := s.shared.editor
	if e == nil {
		s.erase()
		return
	}
	if e.reading && !s.away {
		e.around(func() { e.hide(true) })
	}
	s.erase()
	e.hide(true)
	s.shared.editor = nil
	e.release()
}

// restoreAtPanic is deferred by goroutines that execute commands. It restores the terminal
// before a panic ends the program.
func (c *Console) restoreAtPanic() {
	if r := recover(); r != nil {
		if c.editor != nil {
			c.editor.release()
		}
		panic(r)
	}
}

// interrupted takes an interrupt at a terminal: it ends the command in the foreground, else
// the one in the background, else it goes to the prompt. It returns false if the program is
// to end.
func (c *Console) interrupted() bool {
	c.mu.Lock()
	j, ended := c.front, c.ended
	if j == nil {
		j = c.back
	}
	c.mu.Unlock()
	switch {
	case ended || c.Screen.isAway():
		return false // as without a terminal
	case j != nil && j.ctx.Err() == nil:
		j.cancel()
		return true
	case j != nil:
		return false // the command does not end
	case c.editor == nil:
		return c.warn()
	}
	c.editor.put(key{text: string(interruptKey)})
	return true
}

// interruptedAtPrompt takes an interrupt while the line is empty. It is called by the line
// editor, which clears other lines.
func (c *Console) interruptedAtPrompt() {
	if !c.warn() {
		c.end()
	}
}

// warn says what ends with the program. It returns false if nothing does, or if that has been
// said since the last command.
func (c *Console) warn() bool {
	if c.Losing == nil {
		return false
	}
	text := c.Losing()
	c.mu.Lock()
	warned := c.warned
	c.warned = true
	c.mu.Unlock()
	if text == "" || warned {
		return false
	}
	c.Screen.Say("%s", text)
	return true
}

func (s *Screen) isAway() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.away
}
