package console

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// slow is a stream that accepts writes only when the test lets it.
type slow struct {
	strings.Builder
	let chan struct{}
}

func (s *slow) Write(p []byte) (int, error) {
	<-s.let
	return s.Builder.Write(p)
}

// A blocked stream costs a moment, once. When it goes on, it gets the buffered lines in
// order, and the number of omitted lines.
func TestBuffered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{let: make(chan struct{})}
		w, flush := Buffered(s)
		start := time.Now()
		const lines = 100_000
		for i := range lines {
			fmt.Fprintf(w, "line %d\n", i)
		}
		flush()
		if d := time.Since(start); d != moment {
			t.Errorf("a stream that stands still costs %v, a moment is %v", d, moment)
		}
		close(s.let)
		synctest.Wait()
		fmt.Fprintln(w, "the end")
		flush()
		got := strings.Split(strings.TrimSpace(s.String()), "\n")
		n, lost := 0, 0
		for got[n] == fmt.Sprintf("line %d", n) {
			n++
		}
		fmt.Sscan(got[n], &lost)
		if n+lost != lines || n < 10_000 || len(got) != n+2 || got[n+1] != "the end" {
			t.Errorf("%d lines, %d left out of %d, and then %q", n, lost, lines, got[n:])
		}
	})
}

// A working stream is waited for, so that later output elsewhere comes after it.
func TestBufferedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, pipe := io.Pipe()
		var got strings.Builder
		go func() {
			b := make([]byte, 100)
			for {
				time.Sleep(moment / 2)
				n, err := r.Read(b)
				if err != nil {
					return
				}
				got.Write(b[:n])
			}
		}()
		w, flush := Buffered(pipe)
		for i := range 10 {
			fmt.Fprintln(w, i)
			synctest.Wait()
			if want := fmt.Sprintf("%d\n", i); !strings.HasSuffix(got.String(), want) {
				t.Errorf("%q has not been written: %q", want, got.String())
			}
		}
		flush()
		pipe.Close()
		time.Sleep(moment)
	})
}
