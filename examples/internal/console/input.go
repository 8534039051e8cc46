package console

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// maxLine is the longest line that is read; a message of the greatest length that
// a ring allows by default fits in.
const maxLine = 1 << 20

// line is one that was typed, or the end of all.
type line struct {
	text string
	ok   bool
	err  error // why there is no more, if that is no ordinary end
}

// input hands out lines to one goroutine. Who asked for a line need not wait for it:
// the next to ask gets it.
type input struct {
	scanner *bufio.Scanner
	pending chan line // asked for and not taken
}

func newInput(in io.Reader) *input {
	s := bufio.NewScanner(in)
	s.Buffer(nil, maxLine)
	return &input{scanner: s}
}

// next returns where the next line will be. Who gets it calls taken, or leaves it to
// another with leave.
func (in *input) next() <-chan line {
	if in.pending == nil {
		got := make(chan line, 1)
		go func() {
			ok := in.scanner.Scan()
			err := in.scanner.Err()
			if errors.Is(err, bufio.ErrTooLong) {
				err = fmt.Errorf("a line has more than %d bytes, and nothing behind its start is read", maxLine)
			}
			got <- line{in.scanner.Text(), ok, err}
		}()
		in.pending = got
	}
	return in.pending
}

func (in *input) taken() { in.pending = nil }

// leave puts a line back that next has returned.
func (in *input) leave(l line) { in.pending <- l }
