package undelivered

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// What the callback was told, neither a later Flush nor Close tells again.
func TestToldIsTold(t *testing.T) {
	r := newRig(t, true, 1<<20)
	r.lost(40, "a")
	r.lost(50, "b", "c")
	r.call(0, true)
	want(t, r.told, "40: 1 a", "50: 2 b,c")
	want(t, r.flush())
	want(t, r.flush(40))
	r.empty()
}

// A Flush returns what ended while it waited, since nil would mean that it was delivered. It also
// returns what the callback had not been told when it began.
func TestFlushReturnsWhatEndsMeanwhile(t *testing.T) {
	r := newRig(t, true, 1<<20)
	r.lost(50, "before")
	since := r.BeginFlush()
	r.lost(40, "during")
	r.call(0, true)
	want(t, r.EndFlush(since, nil), "50: 1 before", "40: 1 during")
	want(t, r.told, "50: 1 before", "40: 1 during")

	// A Flush that begins after the callback was told leaves it for the other one.
	since = r.BeginFlush()
	r.lost(60, "c")
	r.call(0, true)
	want(t, r.flush(60))
	r.lost(70, "d")
	r.call(0, true)
	want(t, r.EndFlush(since, []uint64{60, 70}), "60: 1 c", "70: 1 d")
	r.empty()

	// What was kept for a Flush of other sinks is forgotten with that Flush.
	since = r.BeginFlush()
	r.lost(70, "e")
	r.call(0, true)
	want(t, r.EndFlush(since, []uint64{60}))
	r.empty()
}

// What a Flush has returned before the callback was told it, the callback is told as well, but Close
// does not return it.
func TestFlushBeforeTheCallback(t *testing.T) {
	r := newRig(t, true, 1<<20)
	r.lost(40, "a")
	want(t, r.flush(40), "40: 1 a")
	r.lost(40, "b")
	r.call(0, true)
	want(t, r.told, "40: 1 a", "40: 1 b")
	r.empty()
}

// What a callback that fails was to be told, Flush or Close tells. So it is for one of several
// streams that were merged.
func TestCallbackThatFailsIsNotTold(t *testing.T) {
	r := newRig(t, true, 1<<20)
	for _, body := range []string{"good", "bad", "fine"} {
		r.lost(40, body)
	}
	r.call(1, true)
	r.call(1, false)
	r.call(1, true)
	want(t, r.flush(50))
	want(t, r.flush(40), "40: 1 bad")
	for i := range maxPerSink {
		r.lost(40, fmt.Sprint(i))
	}
	r.lost(40, "bad") // merged with the last one
	r.lost(40, "fine")
	r.call(maxPerSink, true)
	r.call(1, false)
	r.call(1, true)
	want(t, r.TakeRest(), "40: 1 ")
	r.empty()
}

// So it is for one of many sinks that were merged.
func TestCallbackThatFailsForOneOfMany(t *testing.T) {
	r := newRig(t, true, 1<<20)
	since := r.BeginFlush() // until it ends, what was told stays
	for i := range uint64(maxEntries) {
		r.lost(1000+i, "x")
		r.call(1, true)
	}
	for i := range uint64(10) {
		r.lost(10000+i, "x")
	}
	r.call(3, true)
	r.call(1, false)
	r.call(0, true)
	if left := r.TakeRest(); len(left) != 1 || !left[0].Many || left[0].Messages != 1 {
		t.Errorf("%+v", left)
	}
	r.EndFlush(since, nil)
	r.empty()
}

// model is what a Ledger is to tell, stream by stream.
type model struct {
	sink        uint64
	text        string
	told, taken bool
}

// In whatever order streams end, callbacks return or fail and Flushes run, each stream is told by the
// one that must tell it, and by no other.
func TestStreamsAreToldByOne(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		r := newRig(t, seed%5 > 0, 1<<20)
		var all []*model
		called := 0 // the callback has returned from so many
		type flush struct {
			since  uint64
			before []*model // told before it began
		}
		var flushes []flush
		for range 200 {
			switch random.IntN(5) {
			case 0, 1:
				m := &model{sink: 40 + random.Uint64N(3)}
				m.text = fmt.Sprintf("%d: 1 %d", m.sink, len(all))
				if len(r.kept[place{sink: m.sink}]) < maxPerSink {
					r.lost(m.sink, fmt.Sprint(len(all)))
					all = append(all, m)
				}
			case 2:
				if r.tells {
					ok := random.IntN(4) > 0
					if r.call(1, ok); ok {
						all[called].told = true
						want(t, r.told[len(r.told)-1:], all[called].text)
					}
					called++
				}
			case 3:
				f := flush{since: r.BeginFlush()}
				for _, m := range all {
					if m.told {
						f.before = append(f.before, m)
					}
				}
				flushes = append(flushes, f)
			case 4:
				if len(flushes) == 0 {
					continue
				}
				f := flushes[0]
				flushes = flushes[1:]
				var sinks []uint64
				for sink := range uint64(3) {
					if random.IntN(2) > 0 {
						sinks = append(sinks, 40+sink)
					}
				}
				var told []string
				for _, m := range all {
					if !m.taken && !slices.Contains(f.before, m) && (sinks == nil || slices.Contains(sinks, m.sink)) {
						told, m.taken = append(told, m.text), true
					}
				}
				if len(flushes) == 0 {
					for _, m := range all {
						m.taken = m.taken || m.told
					}
				}
				want(t, r.EndFlush(f.since, sinks), told...)
			}
			if len(flushes) == 0 {
				for _, m := range all {
					m.taken = m.taken || m.told
				}
			}
			if t.Failed() {
				t.Fatal("seed", seed)
			}
		}
		for _, f := range flushes {
			r.EndFlush(f.since, nil)
		}
		r.call(0, true)
		r.TakeRest()
		r.empty()
	}
}

// AwaitCall is nil once the callback has returned from the stream, and its channel is closed when the
// callback returns.
func TestAwaitCall(t *testing.T) {
	r := newRig(t, true, 1<<20)
	if n := r.LatestCall(nil); n != 0 || r.AwaitCall(n) != nil {
		t.Error("a call before the first:", n)
	}
	r.lost(40, "a")
	r.lost(50, "b")
	r.lost(40, "c")
	r.lost(60, "d")
	if n := r.LatestCall([]uint64{70}); n != 0 {
		t.Error("a call for another sink:", n)
	}
	if a, b, all := r.LatestCall([]uint64{40, 50}), r.LatestCall([]uint64{50}), r.LatestCall(nil); a != 3 || b != 2 || all != 4 {
		t.Error(a, b, all)
	}
	for i := range 3 {
		returned := r.AwaitCall(3)
		if returned == nil {
			t.Fatalf("does not wait after %d calls", i)
		}
		r.call(1, i > 0) // failed is returned, too
		<-returned
	}
	if r.AwaitCall(3) != nil || r.AwaitCall(4) == nil {
		t.Error("waits for the wrong call")
	}
}

// A Flush leaves out what the callback had received when it began, also where that had been added up
// with later streams, for lack of room.
func TestToldOfMany(t *testing.T) {
	r := newRig(t, true, 1<<20)
	for i := range maxPerSink + 3 {
		r.lost(40, fmt.Sprint(i))
	}
	r.call(maxPerSink+1, true) // of the four that were added up, two
	want(t, r.flush(), "40: 2 ")
	r.call(0, true)
	r.empty()
}

// Messages whose bodies only a callback had that fails are counted.
func TestCallbackThatFailsLosesBodies(t *testing.T) {
	r := newRig(t, true, 1) // room for one stream here, and for one there
	r.lost(40, "a")
	r.call(1, false) // its body stays for Flush, which keeps out the next one's
	if n := r.lost(40, "b", "c"); n != 0 || r.unlisted != 0 {
		t.Error("not listed although the callback is to have the bodies:", n, r.unlisted)
	}
	r.call(1, false)
	if r.unlisted != 2 {
		t.Errorf("%d messages are not listed, want 2", r.unlisted)
	}
	want(t, r.flush(), "40: 1 a", "40: 2 ")
	r.empty()

	// So they are where streams are added up: a message is listed or counted.
	r = newRig(t, true, 1<<20)
	const streams = maxPerSink + 5
	for i := range streams {
		r.unlisted += r.lost(40, fmt.Sprint(i))
	}
	r.call(0, false)
	messages, listed := uint64(0), uint64(0)
	for _, s := range r.flush() {
		messages, listed = messages+s.Messages, listed+uint64(len(s.Bodies))
	}
	if messages != streams || listed+r.unlisted != streams {
		t.Errorf("%d messages, %d of them listed and %d counted, want %d", messages, listed, r.unlisted, streams)
	}
	r.empty()
}
