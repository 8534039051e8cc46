package console

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds a line that is read. It has room for the longest message that a ring allows
// by default.
const maxLine = 1 << 20

// line is a line of the input, or its end.
type line struct {
	text string
	ok   bool
	err  error // why the input ended, if it is an error
}

// input gives lines to one goroutine. A caller of next need not wait for its line: the next
// caller gets it.
type input struct {
	scanner *bufio.Scanner
	pending chan line // requested, and not taken yet
}

func newInput(in io.Reader) *input {
	s := bufio.NewScanner(in)
	s.Buffer(nil, maxLine)
	return &input{scanner: s}
}

// next returns a channel for the next line. A caller that receives the line calls taken, or
// returns it with leave.
func (in *input) next() <-chan line {
	if in.pending == nil {
		got := make(chan line, 1)
		go func() {
			ok := in.scanner.Scan()
			err := in.scanner.Err()
			if errors.Is(err, bufio.ErrTooLong) {
				err = fmt.Errorf("a line has more than %d bytes: the rest of the input is not read", maxLine)
			}
			got <- line{in.scanner.Text(), ok, err}
		}()
		in.pending = got
	}
	return in.pending
}

func (in *input) taken() { in.pending = nil }

// leave returns a line that next has delivered.
func (in *input) leave(l line) { in.pending <- l }
