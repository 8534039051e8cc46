package link

import (
	"testing"
	"time"
)

// TestDirectTimeIsAMovingMinimum: a slow write now and then changes little, a system that has
// become slower is followed, and a faster one at once.
func TestDirectTimeIsAMovingMinimum(t *testing.T) {
	after := func(was time.Duration, n int, took func(i int) time.Duration) time.Duration {
		for i := range n {
			was = nextDirectTime(was, took(i))
		}
		return was
	}
	const fast, slow = 1500 * time.Nanosecond, 10 * time.Microsecond
	if d := after(firstDirectTime, 1, func(int) time.Duration { return fast }); d != fast {
		t.Errorf("%v after a write of %v", d, fast)
	}
	if d := after(fast, 2, func(int) time.Duration { return time.Hour }); d > fast*4/3 {
		t.Errorf("%v after two writes that took long", d)
	}
	if d := after(fast, 1000, func(i int) time.Duration { return []time.Duration{fast, slow, slow}[i%3] }); d > fast*4/3 {
		t.Errorf("%v where every third write takes %v", d, fast)
	}
	if d := after(fast, 20, func(int) time.Duration { return slow }); d != slow {
		t.Errorf("%v after 20 writes of %v", d, slow)
	}
	if d := after(slow, 1000, func(int) time.Duration { return 0 }); d != leastDirectTime {
		t.Errorf("%v by a clock that stands still", d)
	}
}

// TestDirectAfterAsLongAsAWrite: the appender writes itself once the link has been idle for as
// long as a direct write takes, and each direct write is measured.
func TestDirectAfterAsLongAsAWrite(t *testing.T) {
	near, _ := tcpPair(t)
	w := idleWriter(t, near, 1<<20, 1)
	due := func() bool {
		t.Helper()
		_, _, due, err := w.AppendSpans(frame(0, 100), []Span{{0, 100}})
		if err != nil {
			t.Fatal(err)
		}
		if due {
			w.WriteDirect()
		} else {
			w.wg.Wait()
		}
		return due
	}
	if w.directTime = time.Minute; !due() {
		t.Error("not due after an hour")
	}
	if d := w.directTime; d >= time.Minute || d < leastDirectTime {
		t.Errorf("a direct write is said to take %v", d)
	}
	w.lastWrite -= time.Minute
	if w.directTime = time.Hour; due() {
		t.Error("due within the time of a write")
	}
	if w.directTime != time.Hour {
		t.Error("a write by the goroutine was measured")
	}
	if w.lastWrite -= time.Hour; !due() {
		t.Error("not due after the time of a write")
	}
	w.Close()
}
