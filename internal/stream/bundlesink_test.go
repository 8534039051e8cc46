package stream

import (
	"bytes"
	"slices"
	"testing"

	"github.com/x/ringdht/internal/wire"
)

// A sink takes a bundle whole, or nothing of it.
func TestABundleIsTakenWhole(t *testing.T) {
	of := func(n, many int) wire.Frame { return bundle(n, slices.Repeat([][]byte{{'x'}}, many)...) }
	r := receiver()
	step := func(f wire.Frame, room int, want Verdict, next int) {
		t.Helper()
		if v, _ := r.Data(f, room); v != want || r.next != first+uint64(next) {
			t.Fatalf("messages %d and %d more: verdict %d, next %d, want %d and %d", f.Seq()-first, f.Messages()-1, v, r.next-first, want, next)
		}
	}
	step(of(0, 3), 42, Full, 0)
	step(of(0, 3), 43, Accepted, 3)
	step(of(0, 3), plenty, Duplicate, 3)
	step(of(1, 2), plenty, Duplicate, 3)
	step(of(2, 2), plenty, Stale, 3) // half of it was taken: not of this stream
	step(of(4, 3), plenty, Held, 3)
	step(of(4, 3), plenty, Duplicate, 3)
	step(of(10, 2), plenty, Held, 3)
	step(of(3, 1), plenty, Accepted, 7)
	step(of(7, 3), 2, Full, 7) // what is held goes
	step(of(7, 3), plenty, Accepted, 10)
	step(of(10, 2), plenty, Accepted, 12)
	step(of(maxAhead+11, 2), plenty, Held, 12)
	step(of(maxAhead+12, 1), plenty, Stale, 12)
	spoilt := of(12, 3)
	spoilt[wire.HeaderSize+1]++
	step(spoilt, plenty, Unsound, 12)
	r.Cut()
	step(of(12, 2), plenty, Beyond, 12)
	step(of(3, 2), plenty, Duplicate, 12)
	step(of(11, 2), plenty, Stale, 12)
	if got := deliveries(r); len(got) != 12 {
		t.Errorf("%d messages, want 12", len(got))
	}
}

// A source that puts a message into several frames is given each message once, in order, and nothing of
// its frames stays.
func TestOverlappingBundlesAreDeliveredOnce(t *testing.T) {
	r := receiver()
	dropped := 0
	r.OnDrop(func(wire.Frame) { dropped++ })
	of := func(n, many int) wire.Frame {
		return bundle(n, slices.Repeat([][]byte{{byte(n)}}, many)...)
	}
	for _, f := range []wire.Frame{of(1, 5), of(2, 1), of(3, 9), of(4, 1), of(6, 2), of(12, 4), of(13, 1), of(40, 2)} {
		if v, _ := r.Data(f, plenty); v != Held {
			t.Fatal(v)
		}
	}
	r.AppendAck(nil, 1000) // what it says does not matter
	if v, _ := r.Data(of(0, 1), plenty); v != Accepted {
		t.Fatal(v)
	}
	var got []byte
	for i, d := range deliveries(r) {
		if d.number != first+uint64(i) {
			t.Fatalf("message %d comes as number %d", d.number-first, i)
		}
		got = append(got, d.body...)
	}
	if want := []byte{0, 1, 1, 1, 1, 1, 6, 6}; !bytes.Equal(got, want) || r.Bytes() != len(of(12, 4))+len(of(13, 1))+len(of(40, 2)) {
		t.Errorf("%v, want %v, and %d bytes are held", got, want, r.Bytes())
	}
	r.Abandon()
	if r.Bytes() != 0 || len(r.held) != 0 || dropped != 3 {
		t.Errorf("%d bytes, %d frames are held, %d were dropped", r.Bytes(), len(r.held), dropped)
	}
}

// Empty messages take two bytes of a window each. However many there are, no number lies outside the
// sink's window.
func TestWindowOfEmptyMessages(t *testing.T) {
	b := openBundler(t, MaxWindow, wire.MaxBundle)
	n := 0
	for ; b.Room(0); n++ {
		b.admit(0, "")
	}
	out := b.leave()
	if n < maxAhead*9/10 || n >= maxAhead {
		t.Fatalf("%d messages in a window", n)
	}
	all := frames(out)
	r := receiver()
	last := all[len(all)-1]
	if v, _ := r.Data(last, plenty); v != Held {
		t.Error("the last one:", v)
	}
	sync := frames(b.Ask(1011*ms, nil))[0]
	if v := r.Sync(sync.Seq(), 1); v != Accepted {
		t.Error("the question:", v)
	}
	ack := wire.Frame(r.AppendAck(nil, MaxWindow))
	if out, _, err := b.Ack(1020*ms, ack.Seq(), ack.Body(), nil); err != nil || b.Stale() != 0 || len(frames(out)) < 2 {
		t.Error(err, b.Stale(), len(frames(out)))
	}
	for _, f := range all {
		if v, _ := r.Data(f, 16<<20); v != Accepted && v != Duplicate {
			t.Fatal(v)
		}
	}
	ack = r.AppendAck(ack[:0], MaxWindow)
	if _, _, err := b.Ack(1030*ms, ack.Seq(), ack.Body(), nil); err != nil || b.Stale() != 0 {
		t.Error(err, b.Stale())
	}
	got := deliveries(r)
	r.Handled(uint64(len(got)))
	ack = r.AppendAck(ack[:0], MaxWindow)
	if _, _, err := b.Ack(1040*ms, ack.Seq(), ack.Body(), nil); err != nil || b.Pending() != 0 || len(got) != n {
		t.Errorf("%v: %d of %d messages, %d pending", err, len(got), n, b.Pending())
	}
}
