package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/node"
	"github.com/x/ringdht/internal/plane"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// coordinator is a node with a callback that notes what it was told, and a sink that
// holds what it gets.
func coordinator(t *testing.T, panics bool) (tr *ringtest.Ring, n, sink *ringtest.Node, told chan status.Undelivered) {
	tr = ringtest.New(t, memnet.New(1))
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	told = make(chan status.Undelivered, 16)
	n = tr.Join(nil, ringtest.WithUndelivered(func(u status.Undelivered) {
		told <- u
		if panics {
			panic("test")
		}
	}))
	sink = tr.Join(func(ctx context.Context, _ ringdht.Message) { ringtest.Block(ctx, release) })
	tr.Join(nil)
	tr.Setup(0)
	for _, text := range []string{"a", "b", "c"} {
		if err := n.Send(tr.Ctx(), sink.ID(), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return tr, n, sink, told
}

func wantTold(t *testing.T, told chan status.Undelivered, sink *ringtest.Node) {
	t.Helper()
	if u := <-told; u.Messages != 3 || u.Sink != sink.ID() || string(bytes.Join(u.Bodies, nil)) != "abc" {
		t.Errorf("the callback got %+v", u)
	}
}

// What the callback was told is not told again by Flush, Leave or Close, however much
// later.
func TestOnceToldIsTold(t *testing.T) {
	for name, end := range map[string]func(n *ringtest.Node, ctx context.Context) error{
		"Leave":            (*ringtest.Node).Leave,
		"Close":            func(n *ringtest.Node, _ context.Context) error { return n.Close() },
		"Flush and Leave":  func(n *ringtest.Node, ctx context.Context) error { return errors.Join(n.Flush(ctx), n.Leave(ctx)) },
		"Flush of a sink":  func(n *ringtest.Node, ctx context.Context) error { return n.Flush(ctx, 1, 2, 3) },
		"Leave and Close ": func(n *ringtest.Node, ctx context.Context) error { return errors.Join(n.Leave(ctx), n.Close()) },
	} {
		tr, n, sink, told := coordinator(t, false)
		sink.Close()
		wantTold(t, told, sink)
		// Its stream ends before the callback is called, and is told when that has returned:
		// a Flush in between would wait for it.
		if err := ringtest.NodeOf(n).Present().Plane().Await(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		if err := end(n, tr.Ctx()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(told) != 0 {
			t.Errorf("%s: the callback was told %+v", name, <-told)
		}
	}
}

// What was pending when the node closed, or was declared dead, the callback is told before
// Close returns, and Close does not repeat it.
func TestCloseTellsTheCallback(t *testing.T) {
	for _, evicted := range []bool{false, true} {
		_, n, sink, told := coordinator(t, false)
		if evicted {
			ringtest.NodeOf(n).Present().Evict()
		}
		if err := n.Close(); err != nil {
			t.Errorf("evicted %v: %v", evicted, err)
		}
		if len(told) != 1 {
			t.Fatalf("evicted %v: told %d times before Close returned", evicted, len(told))
		}
		wantTold(t, told, sink)
	}
}

// A callback that panicked has not been told; Close says it.
func TestCloseTellsWhatACallbackDidNotTake(t *testing.T) {
	for _, evicted := range []bool{false, true} {
		_, n, sink, _ := coordinator(t, true)
		if evicted {
			ringtest.NodeOf(n).Present().Evict()
		}
		lost := new(status.UndeliveredError)
		if err := n.Close(); !errors.As(err, &lost) || len(lost.Streams) != 1 || lost.Streams[0].Sink != sink.ID() || len(lost.Streams[0].Bodies) != 3 {
			t.Errorf("evicted %v: %v", evicted, err)
		}
		if err := n.Close(); err != nil {
			t.Error("twice:", err)
		}
	}
}

// A Flush that waits for what is not delivered says so, with a callback too.
func TestFlushSaysWhatEndedMeanwhile(t *testing.T) {
	tr, n, sink, told := coordinator(t, false)
	done := make(chan error)
	go func() { done <- n.Flush(tr.Ctx()) }()
	x := ringtest.NodeOf(n).Present().Plane()
	ringtest.WaitUntil(t, "the flush waits", func() bool { return x.Flushing() == 1 })
	sink.Close()
	lost := new(status.UndeliveredError)
	if err := <-done; !errors.As(err, &lost) || lost.Streams[0].Messages != 3 {
		t.Error(err)
	}
	wantTold(t, told, sink)
	if err := errors.Join(n.Flush(tr.Ctx()), n.Leave(tr.Ctx())); err != nil {
		t.Error("told again:", err)
	}
}

// What incarnations leave undelivered is bounded in sinks, and nothing vanishes for it.
func TestLeftoverIsBounded(t *testing.T) {
	reason := errors.New("test")
	tr := ringtest.New(t, memnet.New(1))
	n := tr.Join(nil)
	const incs, sinks = 5, 3000
	for inc := range incs {
		var left []plane.Undelivered
		for i := range sinks {
			left = append(left, plane.Undelivered{Sink: uint64(inc*2000 + i), Messages: 2, Bodies: [][]byte{nil, nil}, Err: reason})
		}
		left = append(left, plane.Undelivered{Many: true, Messages: 5, Err: reason})
		if all := ringtest.NodeOf(n).Inherit(left); all > node.MaxLeftover+len(left)+1 {
			t.Fatalf("%d entries after %d incarnations", all, inc+1)
		}
	}
	some := n.Flush(tr.Ctx(), 7)
	rest := n.Flush(tr.Ctx())
	if err := n.Flush(tr.Ctx()); err != nil {
		t.Error("something stays:", err)
	}
	total := uint64(0)
	for _, err := range []error{some, rest} {
		var e *status.UndeliveredError
		if !errors.As(err, &e) || !errors.Is(e, reason) {
			t.Fatalf("%v", err)
		}
		for _, u := range e.Streams {
			total += u.Messages
		}
		total += e.Unlisted
		if strings.Contains(e.Error(), "not listed") != (e.Unlisted > 0) || e.Unlisted == 0 && len(e.Streams) == 1 {
			t.Errorf("%.200v", e)
		}
	}
	if want := uint64(incs * (2*sinks + 5)); total != want {
		t.Errorf("%d messages are told, want %d", total, want)
	}
	ringtest.NodeOf(n).Inherit([]plane.Undelivered{{Many: true, Messages: 5, Err: reason}})
	if err := n.Flush(tr.Ctx()); err == nil || !strings.HasSuffix(err.Error(), fmt.Sprintf(": %d to nodes that are not listed", 5)) {
		t.Error(err)
	}
}
