package channel

import (
	"errors"
	"testing"
)

// FuzzReceive feeds a channel what a hostile peer sends: bodies with the right lives, cut from data. It
// neither panics nor takes more memory than it may, and what it sends can still be parsed.
func FuzzReceive(f *testing.F) {
	f.Add([]byte("\x02\x00\x00\x00\x04\x01\x05abc"))
	f.Add([]byte("\x0b\x00\x00\x00\xc8\x01abcdefgh\x0b\x00\x00\x0abcdefghij"))
	f.Add([]byte("\x02\x03\x00\x05\x02\x02\x02\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		k := &taker{admits: 4 << 20}
		c := New(1, 2, k)
		for i := range 3 {
			c.Send(make([]byte, 150*i))
		}
		c.Take(nil, 200)
		delivered, arrived := 0, 0
		for len(data) > 1 {
			n := min(int(data[0])+1, len(data)-1)
			b := header{flags: data[1], from: 2, to: 1}.append(nil)[:17]
			b = append(b, data[2:n+1]...)
			data = data[n+1:]
			arrived += len(b)
			err := c.Receive(b)
			for _, frame := range k.frames[delivered:] {
				delivered++
				arrived -= len(frame)
			}
			switch {
			case arrived < 0:
				t.Fatal("more is delivered than has arrived")
			case cap(c.part) > max(kept, 2*arrived):
				t.Fatalf("%d bytes of memory for %d", cap(c.part), arrived)
			case c.acked > c.high || c.next < c.acked || c.end() < c.next:
				t.Fatalf("%+v", c.sending)
			case err != nil && (!errors.Is(err, ErrViolation) || c.Pending() || c.Held() != 0):
				t.Fatalf("%v: pending %v, holds %d", err, c.Pending(), c.Held())
			}
			for range 4 {
				if out := c.Take(nil, MinBody); len(out) == 0 {
					break
				} else if _, _, err := parse(out); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// FuzzBodies feeds it any bytes.
func FuzzBodies(f *testing.F) {
	f.Add(header{flags: flagAsk, from: 2, to: 1}.append(nil))
	f.Add(append(header{from: 2, to: 1}.append(nil), "\x03abc\x00\x01d"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		k := &taker{admits: 1 << 20}
		c := New(1, 2, k)
		from, to, err := Lives(b)
		got := c.Receive(b)
		switch {
		case err != nil && !errors.Is(got, ErrViolation):
			t.Errorf("Lives: %v, Receive: %v", err, got)
		case err == nil && (from != 2 || to != 1) && (got == nil || len(k.frames) > 0):
			t.Errorf("a body from %d to %d: %v", from, to, got)
		}
		total := 0
		for _, frame := range k.frames {
			total += len(frame) + 1
		}
		if total > len(b) {
			t.Errorf("%d bytes of %d are delivered", total, len(b))
		}
	})
}
