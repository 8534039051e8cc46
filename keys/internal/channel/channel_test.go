package channel

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// taker is an output that keeps copies of frames. It admits frames of at most that many bytes.
type taker struct {
	frames [][]byte
	admits uint64
	heads  []int
	then   func()
}

func (k *taker) Deliver(frame []byte) {
	k.frames = append(k.frames, bytes.Clone(frame))
	if k.then != nil {
		k.then()
	}
}

func (k *taker) Admit(total uint64, head []byte) bool {
	k.heads = append(k.heads, len(head))
	return total <= k.admits
}

// pair returns both ends of a channel, and their outputs.
func pair() (a, b *Channel, atA, atB *taker) {
	atA, atB = &taker{admits: 1 << 20}, &taker{admits: 1 << 20}
	return New(1, 2, atA), New(2, 1, atB), atA, atB
}

// carry takes all bodies of one end to the other.
func carry(t *testing.T, from, to *Channel, limit int) (bodies int) {
	t.Helper()
	for from.Pending() {
		if err := to.Receive(from.Take(nil, limit)); err != nil {
			t.Fatal(err)
		}
		bodies++
	}
	return bodies
}

// The bytes of bodies, one after the other.
func TestGoldenBytes(t *testing.T) {
	a, b, _, _ := pair()
	a.Send([]byte("pull"))
	a.Send(nil)
	a.Send([]byte("ask"))
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() {}, "00 0000000000000001 0000000000000002 00 00 04 70756c6c 00 03 61736b"},
		{a.Ask, "01 0000000000000001 0000000000000002 00 0a"},
		{a.StreamEnded, "01 0000000000000001 0000000000000002 00 00 04 70756c6c 00 03 61736b"},
		{func() {
			b.Send(bytes.Repeat([]byte("x"), 200))
			carry(t, b, a, 1000)
			a.Send([]byte("ok"))
		}, "00 0000000000000001 0000000000000002 ca01 0a 02 6f6b"},
		{func() {
			b.Send([]byte("lost"))
			b.Take(nil, 1000)
			b.Send([]byte("new"))
			carry(t, b, a, 1000)
		}, "02 0000000000000001 0000000000000002 ca01 0d"},
	} {
		step.do()
		want, err := hex.DecodeString(strings.ReplaceAll(step.want, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Take(nil, 1000); !bytes.Equal(got, want) {
			t.Errorf("%x\nwant %x", got, want)
		}
	}
}

// A body has what fits. A frame is cut only if it is longer than a whole body, and then after 64 bytes.
func TestBodiesAreCutBetweenFrames(t *testing.T) {
	a, b, _, atB := pair()
	const limit = 300
	room := limit - maxHeader
	sizes := []int{room - 100, 90, 200, 50, room, 10, room - 2, room - 1, 5, 1000}
	for i, n := range sizes {
		a.Send(bytes.Repeat([]byte{byte(i)}, n))
	}
	for a.Pending() {
		body := a.Take(nil, limit)
		if len(body) > limit {
			t.Fatalf("a body of %d bytes, at most %d", len(body), limit)
		}
		if err := b.Receive(body); err != nil {
			t.Fatal(err)
		}
	}
	for i, n := range sizes {
		if got := atB.frames[i]; len(got) != n || n > 0 && got[0] != byte(i) {
			t.Errorf("frame %d has %d bytes, want %d", i, len(got), n)
		}
	}
	for _, n := range atB.heads {
		if n < minHead {
			t.Errorf("a frame begins with %d bytes", n)
		}
	}
	if len(atB.heads) != 3 { // room, room - 1 and 1000 do not fit with their lengths
		t.Errorf("%d frames are cut, want 3", len(atB.heads))
	}
}

// An acknowledgement goes by itself after 64 frames or 64 KiB, and not before.
func TestAcknowledgements(t *testing.T) {
	a, b, _, _ := pair()
	for i := range ackFrames {
		if b.Pending() {
			t.Fatalf("an acknowledgement after %d frames", i)
		}
		a.Send([]byte("x"))
		carry(t, a, b, 1000)
	}
	if carry(t, b, a, 1000) != 1 || a.Unacknowledged() != 0 || a.Held() != 0 {
		t.Errorf("after %d frames %d are unacknowledged", ackFrames, a.Unacknowledged())
	}
	a.Send(make([]byte, ackBytes))
	for a.next < uint64(2*ackFrames+ackBytes-1000) {
		if err := b.Receive(a.Take(nil, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	if b.Pending() {
		t.Error("an acknowledgement before 64 KiB")
	}
	carry(t, a, b, 1000)
	carry(t, b, a, 1000)
	if a.Unacknowledged() != 0 {
		t.Error("no acknowledgement after 64 KiB")
	}

	a.Send([]byte("x"))
	carry(t, a, b, 1000)
	b.Send([]byte("answer"))
	carry(t, b, a, 1000)
	if a.Unacknowledged() != 0 || a.Pending() {
		t.Error("what flows back does not acknowledge")
	}
}

// Room asks, once for the same frames.
func TestRoomAsks(t *testing.T) {
	a, b, _, _ := pair()
	if a.Ask(); a.Pending() {
		t.Error("a question about nothing")
	}
	a.Send(make([]byte, 99))
	if !a.Room(101) || a.Room(100) {
		t.Errorf("%d bytes are held", a.Held())
	}
	if body := a.Take(nil, 1000); body[0] != flagAsk || a.Room(100) || a.Pending() {
		t.Error("the question does not go with the last bytes, once")
	} else if err := b.Receive(body); err != nil {
		t.Fatal(err)
	}
	if carry(t, b, a, 1000) != 1 || !a.Room(1) {
		t.Error("the peer does not answer")
	}
}

// Memory follows what is held, up and down.
func TestMemoryIsGivenUp(t *testing.T) {
	a, b, _, _ := pair()
	for range 3 {
		a.Send(make([]byte, 1<<20))
		a.Send([]byte("last")) // stays unacknowledged
		for a.Pending() {
			if err := b.Receive(a.Take(nil, 10<<10)); err != nil {
				t.Fatal(err)
			}
			carry(t, b, a, 1000)
		}
		if a.Unacknowledged() == 0 || cap(a.buf) > max(kept, 4*a.Held()) || cap(b.part) > kept {
			t.Errorf("%d bytes for %d, %d in part", cap(a.buf), a.Held(), cap(b.part))
		}
	}
}

// Deliver may close the channel: what follows in the body does not come out.
func TestCloseInDeliver(t *testing.T) {
	a, b, _, atB := pair()
	atB.then = b.Close
	for range 3 {
		a.Send([]byte("x"))
	}
	body := a.Take(nil, 1000)
	if err := b.Receive(body); err != nil || len(atB.frames) != 1 {
		t.Errorf("%d frames, %v", len(atB.frames), err)
	}
	b.Send([]byte("y"))
	b.Ask()
	b.StreamEnded()
	if err := b.Receive(body); err != nil || len(atB.frames) != 1 || b.Pending() || b.Held() != 0 || b.Unacknowledged() != 0 {
		t.Errorf("a closed channel goes on: %v", err)
	}
}

// Bodies that no peer sends close the channel.
func TestViolations(t *testing.T) {
	body := func(h header, bytes ...byte) []byte {
		h.from, h.to = 2, 1
		return append(h.append(nil), bytes...)
	}
	long := bytes.Repeat([]byte{1}, 300)
	for name, b := range map[string][]byte{
		"nothing":                              {},
		"an unknown flag":                      body(header{flags: 4}),
		"half a header":                        body(header{})[:18],
		"a number that is cut":                 body(header{ack: 300, offset: 300})[:20],
		"no offset":                            body(header{ack: 300})[:19],
		"an acknowledgement of the future":     body(header{ack: 304}),
		"an acknowledgement of queued bytes":   body(header{ack: 305}),
		"an acknowledgement in a length":       body(header{ack: 2}),
		"again from an acknowledged byte":      body(header{flags: flagAgain}),
		"an acknowledgement without bound":     body(header{ack: 1 << 63}),
		"an offset without bound":              body(header{offset: maxNumber + 1}),
		"a length without end":                 body(header{ack: 1}, 0x80),
		"a length without bound":               body(header{ack: 1}, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01),
		"a frame beyond MaxFrame":              body(header{ack: 1}, 0x81, 0x80, 0x80, 0x80, 0x04),
		"a frame that is not admitted":         body(header{ack: 1}, 0x81, 0x80, 0x40),
		"one that is not admitted, with bytes": body(header{ack: 1}, append([]byte{0x81, 0x80, 0x40}, long...)...),
	} {
		k := &taker{admits: 1 << 20}
		c := New(1, 2, k)
		c.Send(nil)
		c.Send(long)
		c.Take(nil, 1000)
		if err := c.Receive(body(header{ack: 1})); err != nil {
			t.Fatal(err)
		}
		c.Send([]byte("queued"))
		err := c.Receive(b)
		if !errors.Is(err, ErrViolation) {
			t.Errorf("%s: %v", name, err)
		}
		if (len(k.heads) > 0) != strings.Contains(name, "admitted") {
			t.Errorf("%s: Admit was asked about %d frames", name, len(k.heads))
		}
		if again := c.Receive(body(header{ack: 1})); again != err || c.Pending() || c.Held() != 0 {
			t.Errorf("%s: the channel goes on: %v", name, again)
		}
	}
}

func TestLives(t *testing.T) {
	if from, to, err := Lives(header{from: 1<<63 + 5, to: 7}.append(nil)); from != 1<<63+5 || to != 7 || err != nil {
		t.Error(from, to, err)
	}
	if _, _, err := Lives(make([]byte, 18)); !errors.Is(err, ErrViolation) {
		t.Error(err)
	}
}

func TestPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("Take takes less than MinBody")
		}
	}()
	New(1, 2, &taker{}).Take(nil, MinBody-1)
}
