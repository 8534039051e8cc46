package console

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds a line that is read, in bytes. It has room for 16 times the longest message
// that a ring allows by default.
const maxLine = 1<<20 - 1

// line is a line of the input, or its end.
type line struct {
	text string
	ok   bool
	err  error // why there is no text
}

// lines is where commands come from.
type lines interface {
	// next returns a channel for the next line. A caller that receives the line calls taken.
	// A caller need not wait for its line: the next caller gets it.
	next() <-chan line
	taken()
}

// input reads lines from a pipe, a file, or a terminal that edits them itself.
type input struct {
	reader  *bufio.Reader
	pending chan line // requested, and not taken yet
}

func newInput(in io.Reader) *input { return &input{reader: bufio.NewReader(in)} }

func (in *input) next() <-chan line {
	if in.pending == nil {
		got := make(chan line, 1)
		go func() { got <- in.read() }()
		in.pending = got
	}
	return in.pending
}

func (in *input) taken() { in.pending = nil }

// read reads a line. A line that is too long costs no more memory than one that is not. The
// last line need not have an end.
func (in *input) read() line {
	var text []byte
	long := false
	for {
		part, err := in.reader.ReadSlice('\n')
		end := err == nil
		if end {
			part = part[:len(part)-1]
		}
		if long = long || len(text)+len(part) > maxLine; long {
			text = nil
		} else {
			text = append(text, part...)
		}
		switch {
		case long && (end || !errors.Is(err, bufio.ErrBufferFull)):
			return line{ok: true, err: tooLong(maxLine, "byte")}
		case end:
			return line{text: string(text), ok: true}
		case errors.Is(err, bufio.ErrBufferFull):
		case len(text) > 0:
			return line{text: string(text), ok: true} // the next read returns err again
		case errors.Is(err, io.EOF) || refused(err):
			return line{}
		default:
			return line{err: err}
		}
	}
}

func tooLong(most int, unit string) error {
	return fmt.Errorf("the line is too long and was not executed: a line has at most %s", Count(most, unit))
}
