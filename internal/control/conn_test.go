package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// plain is JSON; the real codecs live in the root package.
type plain struct{}

func (plain) Append(dst []byte, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	return append(dst, b...), err
}

func (plain) Decode(b []byte, v any) error { return json.Unmarshal(b, v) }

func pair(max int) (a, b *Conn, raw net.Conn) {
	near, far := memnet.Pipe()
	return NewConn(near, plain{}, max), NewConn(far, plain{}, max), near
}

func TestMessagesArriveInOrder(t *testing.T) {
	a, b, _ := pair(1 << 20)
	defer a.Close()
	defer b.Close()
	for i := range uint64(100) {
		if err := a.Send(TypeReady, Ready{Epoch: i}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range uint64(100) {
		typ, body, err := b.Recv()
		var m Ready
		if err == nil {
			err = b.Decode(body, &m)
		}
		if err != nil || typ != TypeReady || m.Epoch != i {
			t.Fatal(typ, m, err)
		}
	}
	a.Shutdown(time.Second)
	if _, _, err := b.Recv(); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
	if err := a.Send(TypeReady, Ready{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("sending on a closed connection: %v", err)
	}
}

func TestMessagesThatCannotBe(t *testing.T) {
	a, b, _ := pair(100)
	defer a.Close()
	defer b.Close()
	if err := a.Send(TypeReady, func() {}); err == nil {
		t.Error("a function was sent")
	}
	if err := a.Send(TypeBye, Bye{Reason: strings.Repeat("x", wire.MaxLength)}); !errors.Is(err, wire.ErrTooLong) {
		t.Errorf("a message of more than 16 MiB: %v", err)
	}
	if err := a.Send(TypeBye, Bye{Reason: strings.Repeat("x", 200)}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Recv(); !errors.Is(err, wire.ErrTooLong) {
		t.Errorf("more than the receiver takes: %v", err)
	}
	if err := b.Decode([]byte("{"), &Ready{}); err == nil || !strings.Contains(err.Error(), "control.Ready") {
		t.Errorf("nonsense decoded: %v", err)
	}
}

// A peer that does not read loses the connection when the queue is full, and the sender
// does not wait.
func TestPeerThatDoesNotRead(t *testing.T) {
	a, _, _ := pair(1 << 20)
	defer a.Close()
	big := Bye{Reason: strings.Repeat("x", 1<<20)}
	var err error
	for sent := 0; err == nil; sent++ {
		if sent > 40 {
			t.Fatal("40 MiB are queued")
		}
		err = a.Send(TypeBye, big)
	}
	if err = a.Send(TypeReady, Ready{}); err == nil {
		t.Error("the connection is still open")
	}
}

func TestLeaseEndsSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, _ := pair(1 << 20)
		defer a.Close()
		defer b.Close()
		b.SetLease(4 * time.Second)
		go func() { // sends just in time, then falls silent
			for range 3 {
				time.Sleep(3 * time.Second)
				a.Send(TypeBeat, Beat{})
			}
		}()
		start := time.Now()
		for range 3 {
			if _, _, err := b.Recv(); err != nil {
				t.Fatal(err)
			}
		}
		_, _, err := b.Recv()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != 9*time.Second+4*time.Second { // the lease, whose last quarter is for the second read
			t.Errorf("took %v", took)
		}
	})
}

// Recv fails on a connection that takes no deadline: its lease would never end.
func TestRecvWithoutDeadlines(t *testing.T) {
	near, far := memnet.Pipe()
	defer far.Close()
	c := NewConn(undated{near}, plain{}, 1<<20)
	defer c.Close()
	c.SetLease(time.Hour)
	if _, _, err := c.Recv(); !errors.Is(err, errUndated) {
		t.Error(err)
	}
}

// Expire ends a Recv, one that waits as well as the next, and a connection that takes no deadline.
func TestExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, _ := pair(1 << 20)
		defer a.Close()
		defer b.Close()
		b.SetLease(time.Second)
		a.Send(TypeBeat, Beat{})
		if _, _, err := b.Recv(); err != nil {
			t.Fatal(err)
		}
		b.SetLease(0)
		start := time.Now()
		time.AfterFunc(time.Hour, b.Expire)
		for range 2 {
			if _, _, err := b.Recv(); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Hour {
				t.Errorf("after %v: %v", time.Since(start), err)
			}
		}
		near, far := memnet.Pipe()
		defer far.Close()
		c := NewConn(undated{near}, plain{}, 1<<20)
		time.AfterFunc(time.Hour, c.Expire)
		if _, _, err := c.Recv(); err == nil {
			t.Error("it has received something")
		}
		c.Close()
	})
}

type undated struct{ net.Conn }

var errUndated = errors.New("no deadlines")

func (undated) SetReadDeadline(time.Time) error { return errUndated }

// A frame that goes to many peers is kept once, also while none of them reads. It counts against the bound
// of each. (With queues that copy, each peer takes as much as the frame.)
func TestPeersShareFrames(t *testing.T) {
	const peers, size = 200, 256 << 10
	frame, err := Encode(plain{}, TypeBye, Bye{Reason: strings.Repeat("x", size)})
	if err != nil {
		t.Fatal(err)
	}
	conns, far := make([]*Conn, peers), make([]net.Conn, peers)
	for i := range conns {
		var near net.Conn
		near, far[i] = net.Pipe() // has no buffer
		conns[i] = NewConn(near, plain{}, 1<<20)
		defer conns[i].Close()
		defer far[i].Close()
		if err := conns[i].Send(TypePing, Ping{}); err != nil {
			t.Fatal(err)
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		for _, c := range conns {
			if err := c.Pass(frame); err != nil {
				t.Fatal(err)
			}
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / (10 * peers); each > size/100 {
		t.Errorf("a frame of %d bytes takes %d bytes for each peer", len(frame), each)
	}
	for i := range conns {
		if queued := conns[i].w.Queued(); queued < 10*size {
			t.Fatalf("%d bytes count", queued)
		}
	}
	got := make([]byte, len(frame))
	if _, err := io.ReadFull(far[1], got[:wire.PrefixSize+2]); err != nil { // the Ping
		t.Fatal(err)
	}
	for range 10 {
		if _, err := io.ReadFull(far[1], got); err != nil || !bytes.Equal(got, frame) {
			t.Fatalf("not what was sent: %v", err)
		}
	}
	for range SendLimit / size {
		err = conns[0].Pass(frame)
	}
	if !errors.Is(err, link.ErrFull) && !errors.Is(err, net.ErrClosed) || conns[0].w.Err() == nil {
		t.Errorf("beyond the bound: %v", err)
	}
}
