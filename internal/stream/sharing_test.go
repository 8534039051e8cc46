package stream

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/wire"
)

// bundler is an open sender that makes bundles. Its first admitted byte is at from.
type bundler struct {
	*Sender
	t       *testing.T
	from    fifo.Cursor
	waiting int
}

func openBundler(t *testing.T, window, most int) *bundler {
	t.Helper()
	s := opening(t)
	if out := s.Opened(1010*ms, 3, grant(window), most, nil); len(out) != 0 || s.State() != Open {
		t.Fatal(show(out), s.State())
	}
	s.cwnd = maxCongestion
	return &bundler{Sender: s, t: t}
}

// admit accepts messages that there must be room for.
func (b *bundler) admit(port uint8, bodies ...string) {
	b.t.Helper()
	for _, body := range bodies {
		n := b.Push(port, []byte(body))
		if n == 0 {
			b.t.Fatalf("no room for %q", body)
		}
		if b.waiting == 0 {
			b.from = b.Last(n)
		}
		b.waiting += n
	}
}

// leave sends what was admitted, and shows it.
func (b *bundler) leave() (out []byte) {
	var q fifo.Queue
	b.Copy(b.from, b.waiting, &q)
	b.waiting = 0
	for chunk := range q.Chunks() {
		out = append(out, chunk...)
	}
	q.Clear()
	return out
}

// bodies shows the messages of frames: "0: a b, 2: c", numbers relative to first.
func bodies(out []byte) string {
	var all []string
	for _, f := range frames(out) {
		if f.Type() != wire.Data {
			all = append(all, show(f))
			continue
		}
		var s strings.Builder
		s.WriteString(fmt.Sprintf("%d:", f.Seq()-first))
		for w := wire.Walk(f); w.Next(); {
			s.WriteString(" " + string(w.Body))
		}
		all = append(all, s.String())
	}
	return strings.Join(all, ", ")
}

// Messages share a frame while it has not left, has room, and they have one port and are short.
func TestWhatSharesAFrame(t *testing.T) {
	long := strings.Repeat("l", wire.MaxBundled+1)
	most := strings.Repeat("m", wire.MaxBundled)
	large := strings.Repeat("l", 5000) // in a chunk with room for more
	for name, c := range map[string]struct {
		do   func(b *bundler)
		want string
	}{
		"what waits":   {func(b *bundler) { b.admit(1, "a", "", "b") }, "0: a  b"},
		"one alone":    {func(b *bundler) { b.admit(1, "a") }, "0: a"},
		"another port": {func(b *bundler) { b.admit(1, "a", "b"); b.admit(2, "c"); b.admit(1, "d") }, "0: a b, 2: c, 3: d"},
		"1 KiB":        {func(b *bundler) { b.admit(1, large, "a", most, "b") }, "0: " + large + ", 1: a " + most + " b"},
		"1 KiB first":  {func(b *bundler) { b.admit(1, most, "b") }, "0: " + most + " b"},
		"over 1 KiB":   {func(b *bundler) { b.admit(1, large, "a", long, "b") }, "0: " + large + ", 1: a, 2: " + long + ", 3: b"},
		"a question":   {func(b *bundler) { b.admit(1, "a"); b.Ask(1011*ms, nil); b.admit(1, "b", "c") }, "0: a, 1: b c"},
		"a flush":      {func(b *bundler) { b.admit(1, "a"); b.Flush(1011*ms, nil); b.admit(1, "b", "c") }, "0: a, 1: b c"},
		"a question open": {func(b *bundler) {
			b.admit(1, "a")
			b.Ask(1011*ms, nil)
			b.admit(1, "b")
			b.Ask(1012*ms, nil)
			b.admit(1, "c")
		}, "0: a, 1: b c"},
		"an early answer": {func(b *bundler) {
			b.admit(1, "a", "b")
			acked(t, b.Sender, 1020*ms, 1, 1, plenty, 0)
			b.admit(1, "c", "d")
		}, "0: a b, 2: c d"},
		"acknowledged": {func(b *bundler) {
			b.admit(1, "a", "b")
			acked(t, b.Sender, 1020*ms, 2, 2, plenty, 0)
			b.admit(1, "c", "d")
		}, "2: c d"},
	} {
		b := openBundler(t, plenty, wire.MaxBundle)
		c.do(b)
		if got := bodies(b.leave()); got != c.want {
			t.Errorf("%s: %.60q, want %.60q", name, got, c.want)
		}
		b.admit(1, "after")
		if got := bodies(b.leave()); !strings.HasSuffix(got, ": after") {
			t.Errorf("%s: behind what has left: %q", name, got)
		}
	}
	plain := openBundler(t, plenty, 0)
	plain.admit(1, "a", "b")
	if got := bodies(plain.leave()); got != "0: a, 1: b" {
		t.Errorf("for a sink that takes no bundles: %q", got)
	}
	for most := range 60 {
		b := openBundler(t, plenty, most)
		b.admit(1, slices.Repeat([]string{"xyz"}, 30)...)
		out := b.leave()
		for _, f := range frames(out) {
			if n := len(f) - wire.HeaderSize; n > max(most, 3) {
				t.Errorf("a body of %d bytes, where %d are allowed", n, most)
			}
		}
		if shared := wire.Count(out) > len(frames(out)); shared != (most >= 2+5+5) {
			t.Errorf("at most %d bytes: %q", most, bodies(out))
		}
	}
}

// Messages that waited for the window or for the grant share frames, in order, behind those before.
func TestBacklogIsBundled(t *testing.T) {
	s := opening(t)
	for i := range 5 {
		s.Push(0, []byte{'a' + byte(i)})
	}
	s.Push(1, []byte("f"))
	if got := bodies(s.Opened(1010*ms, 3, grant(80), wire.MaxBundle, nil)); got != "0: a b c d e" {
		t.Errorf("the window takes %q", got)
	}
	s.Push(1, []byte("g"))
	out, _ := acked(t, s, 1020*ms, 3, 5, 120, 0) // 59 bytes are kept until all five are acknowledged
	if got := bodies(out); got != "5: f g" || s.Pending() != 4 {
		t.Errorf("then %q, with %d pending", got, s.Pending())
	}
	out, _ = acked(t, s, 1030*ms, 7, 7, 120, 0)
	if len(out) > 0 || s.InFlight() != 0 || s.Waiting() {
		t.Error("at the end", bodies(out), s.InFlight())
	}
}

// A source that knows that some messages of a bundle are delivered keeps the bundle, and sends it whole.
func TestAckWithinABundle(t *testing.T) {
	b := openBundler(t, plenty, wire.MaxBundle)
	b.admit(0, "a", "b", "c", "d")
	one := b.leave()
	b.admit(0, "e", "f")
	two := b.leave()
	b.Ask(1011*ms, nil)
	acked(t, b.Sender, 1020*ms, 3, 4, plenty, 0) // "d" is being handled
	if b.Pending() != 3 || b.InFlight() != len(one)+len(two) {
		t.Errorf("%d pending, %d bytes kept of %d and %d", b.Pending(), b.InFlight(), len(one), len(two))
	}
	out, _ := acked(t, b.Sender, 1030*ms, 3, 4, plenty, 1)
	if got := bodies(out); got != "4: e f, sync 6 round 2" || b.Retransmitted() != 2 {
		t.Errorf("sent again: %q, which counts as %d", got, b.Retransmitted())
	}
	acked(t, b.Sender, 1040*ms, 5, 6, plenty, 2)
	if b.Pending() != 1 || b.InFlight() != len(two) || b.Delivered() != first+5 {
		t.Errorf("%d pending, %d bytes kept", b.Pending(), b.InFlight())
	}
	acked(t, b.Sender, 1050*ms, 6, 6, plenty, 2)
	if b.Pending() != 0 || b.InFlight() != 0 || b.Waiting() {
		t.Errorf("%d pending, %d bytes kept", b.Pending(), b.InFlight())
	}
}

// What is pending when a stream ends begins within a bundle.
func TestUnacknowledgedWithinABundle(t *testing.T) {
	for name, c := range map[string]struct {
		end     func(b *bundler)
		want    string
		unknown uint64
	}{
		"gone":                  {func(b *bundler) { b.Evicted(9) }, "cdefgh", 5},
		"reset":                 {func(b *bundler) { b.Reset(first + 7) }, "cdefgh", 5},
		"nothing more":          {func(b *bundler) { b.Farewell(1030*ms, first+3) }, "defgh", 0},
		"a farewell in the 2nd": {func(b *bundler) { b.Farewell(1030*ms, first+6) }, "gh", 0},
		"a farewell behind it":  {func(b *bundler) { b.Farewell(1030*ms, first+7) }, "h", 0},
		"an ack, then gone":     {func(b *bundler) { acked(t, b.Sender, 1030*ms, 6, 7, 0, 0); b.Evicted(9) }, "gh", 1},
	} {
		b := openBundler(t, 1000, wire.MaxBundle)
		b.admit(0, "a", "b", "c", "d")
		b.leave()
		b.admit(0, "e", "f", "g")
		b.leave()
		b.window = 0
		b.Push(0, []byte("h")) // in the backlog
		acked(t, b.Sender, 1020*ms, 2, 3, 0, 0)
		got, unknown := "", uint64(99)
		b.OnEnd(func() {
			for _, body := range b.Unacknowledged() {
				got += string(body)
			}
			unknown = b.Unknown()
		})
		if c.end(b); got != c.want || unknown != c.unknown || b.Pending() != uint64(len(c.want)) {
			t.Errorf("%s: %q is pending and %d of unknown outcome, want %q and %d", name, got, unknown, c.want, c.unknown)
		}
	}
}

// A lost bundle is sent again whole, those that arrived ahead of it are not. Acknowledgements count
// messages.
func TestOnlyMissingBundlesAreSentAgain(t *testing.T) {
	b, r := openBundler(t, plenty, wire.MaxBundle), receiver()
	var sent []wire.Frame
	for i := range 8 {
		for n := range i + 1 {
			b.admit(0, string(rune('a'+n)))
		}
		sent = append(sent, frames(b.leave())...)
	}
	sync := frames(b.Ask(1011*ms, nil))[0]
	for _, i := range []int{0, 2, 3, 6} {
		r.Data(sent[i], plenty)
	}
	round, _ := wire.ParseRound(sync.Body())
	r.Sync(sync.Seq(), round)
	ack := wire.Frame(r.AppendAck(nil, plenty))
	want(t, ack, "ack 0 received 1 window 1048576 round 1 2+7 20+7")
	out, _, err := b.Ack(1020*ms, ack.Seq(), ack.Body(), nil)
	if got := bodies(out); err != nil || got != "1: a b, 10: a b c d e, 15: a b c d e f, 28: a b c d e f g h, sync 36 round 2" || b.Retransmitted() != 2+5+6+8 {
		t.Errorf("%v: %q, which counts as %d", err, got, b.Retransmitted())
	}
	for _, f := range frames(out)[:4] {
		r.Data(f, plenty)
	}
	if got := deliveries(r); len(got) != 36 || got[35].number != first+35 || r.Bytes() != 0 {
		t.Errorf("%d messages, %d bytes are left", len(got), r.Bytes())
	}
}

// The congestion window bounds what is sent again, in whole frames, and at least one.
func TestResendsOfBundlesAreBounded(t *testing.T) {
	b := openBundler(t, plenty, wire.MaxBundle)
	body := strings.Repeat("x", 900)
	var sent []byte
	for range 10 {
		b.admit(0, body, body, body, body)
		sent = append(sent, b.leave()...)
	}
	all := frames(sent)
	for _, from := range []int{0, 1, len(all) - 5} {
		b.Ask(1011*ms, nil)
		b.cwnd = minCongestion
		before, delivered := b.Retransmitted(), int(all[from].Seq()-first)
		out, _ := acked(t, b.Sender, 1020*ms, delivered, delivered, plenty, b.latest.round)
		again := frames(out)
		again = again[:len(again)-1] // a question
		size := 0
		for i, f := range again {
			if !bytes.Equal(f, all[from+i]) {
				t.Fatalf("from frame %d on: frame %d has changed", from, i)
			}
			size += len(f)
		}
		more := from + len(again)
		if size > b.cwnd || more < len(all) && size+len(all[more]) <= b.cwnd || b.Retransmitted()-before != uint64(wire.Count(out)-1) {
			t.Errorf("from frame %d on: %d bytes in %d frames, which count as %d", from, size, len(again), b.Retransmitted()-before)
		}
	}
}
