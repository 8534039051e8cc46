package ringdht_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// face is a registry and some nodes in memory.
func face(t *testing.T, handler ringdht.Handler, opts ...ringdht.NodeOption) (*ringdht.Registry, []*ringtest.Node) {
	t.Helper()
	network := memnet.New(1)
	r, err := ringdht.NewRegistry(ringdht.WithTransport(network.Host("registry")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if _, err := r.Listen(t.Context(), "registry:1"); err != nil {
		t.Fatal(err)
	}
	nodes := make([]*ringtest.Node, 3)
	for i := range nodes {
		host := network.Host(string(rune('a' + i)))
		if nodes[i], err = ringtest.Join(t.Context(), "registry:1", handler, append(opts, ringdht.WithTransport(host))...); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nodes[i].Close() })
	}
	return r, nodes
}

func TestBeforeTheSetUp(t *testing.T) {
	r, nodes := face(t, nil)
	n := nodes[0]
	table := n.Table()
	if table.Len() != 0 || table.Epoch() != 0 || table.Self() != n.ID() {
		t.Errorf("%+v", table)
	}
	if p, ok := table.Next(nodes[1].ID()); ok {
		t.Error(p)
	}
	for p := range r.Tables() {
		t.Error(p)
	}
	soon, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := n.Send(soon, nodes[1].ID(), nil); !errors.Is(err, ringdht.ErrNotReady) || !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if _, err := n.Trace(t.Context(), nodes[1].ID()); !errors.Is(err, ringdht.ErrNotReady) {
		t.Error(err)
	}
	if s := n.Status(); s.Members != 1 || s.Epoch != 0 {
		t.Errorf("%d members, epoch %d", s.Members, s.Epoch)
	}
	if err := n.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	if ids := n.Members(); len(ids) > 0 {
		t.Error(ids)
	}
	if a := r.Audit(); a.Nodes != 0 || a.Pairs != 0 || !a.OK() {
		t.Error(a)
	}
}

func TestSetupChecksItsArguments(t *testing.T) {
	r, nodes := face(t, nil)
	epoch := r.Epoch()
	if _, err := r.Setup(t.Context(), -1); err == nil {
		t.Error("a table of -1 entries")
	}
	if _, err := r.Setup(t.Context(), 0, 9); err == nil {
		t.Error("plan 9")
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Setup(over, 0); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if r.Epoch() != epoch || nodes[0].Table().Len() > 0 {
		t.Error("a refused set-up has changed something")
	}
}

func TestTablesOutliveTheRegistry(t *testing.T) {
	r, _ := face(t, nil)
	if _, err := r.Setup(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	tables := r.Tables()
	rows := 0
	for p, table := range tables {
		if table.Self() != p.ID || table.Len() != 2 || table.Epoch() == 0 {
			t.Errorf("%v: %+v", p, table)
		}
		r.Close()
		rows++
	}
	for range tables {
		rows++
		break
	}
	if rows != 4 {
		t.Errorf("%d rows", rows)
	}
}

func TestClosed(t *testing.T) {
	_, nodes := face(t, nil)
	n := nodes[0]
	for range 2 {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := n.Leave(t.Context()); !errors.Is(err, ringdht.ErrNotMember) {
		t.Error(err)
	}
	select {
	case <-n.Disconnected():
	case <-time.After(time.Minute):
		t.Error("a closed node is connected")
	}
	if err := n.WaitConnected(t.Context()); !errors.Is(err, ringdht.ErrClosed) {
		t.Error(err)
	}
	if err := n.Ready(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if n.Status().ID != n.ID() || n.Table().Self() != n.ID() {
		t.Error("the ID has changed")
	}
}

func TestRegistryErrors(t *testing.T) {
	network := memnet.New(1)
	r, _ := ringdht.NewRegistry(ringdht.WithTransport(network.Host("registry")))
	if _, err := r.Setup(t.Context(), 0); !errors.Is(err, ringdht.ErrNotReady) {
		t.Error(err)
	}
	if _, err := r.RunTraffic(t.Context(), status.Traffic{Messages: 1}); !errors.Is(err, ringdht.ErrNotReady) {
		t.Error(err)
	}
	if _, err := r.Trace(t.Context(), 1, 2); !errors.Is(err, ringdht.ErrNoSuchNode) {
		t.Error(err)
	}
	l, err := network.Host("registry").Listen(t.Context(), ":1")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := r.Serve(l); !errors.Is(err, net.ErrClosed) || errors.Is(err, ringdht.ErrClosed) {
		t.Error(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.WaitMembers(over, 0); err != nil {
		t.Error(err)
	}
	if err := r.WaitMembers(over, 1); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := r.WaitMembers(t.Context(), 1); !errors.Is(err, ringdht.ErrClosed) {
		t.Error(err)
	}
	if err := r.WaitSettled(t.Context()); !errors.Is(err, ringdht.ErrClosed) || !errors.Is(err, ringdht.ErrNotReady) {
		t.Error(err)
	}
	if _, err := r.Listen(t.Context(), ":2"); !errors.Is(err, ringdht.ErrClosed) {
		t.Error(err)
	}
	if s := r.Snapshot(); s.Live || len(s.Members) > 0 {
		t.Errorf("%+v", s)
	}
}

// A run stops when its caller goes. The account of what was sent is in the snapshot.
func TestRunStopsWithItsCaller(t *testing.T) {
	r, _ := face(t, nil, ringdht.WithTraffic())
	if _, err := r.Setup(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error)
	go func() {
		_, err := r.RunTraffic(ctx, status.Traffic{Messages: 1 << 30})
		over <- err
	}()
	for r.Snapshot().Running == nil {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-over; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := r.StopTraffic(t.Context()); err != nil { // waits until it is over
		t.Fatal(err)
	}
	s := r.Snapshot()
	if s.Running != nil || s.Last == nil || !s.Last.Stopped || s.Last.Exact() || !s.Last.Balanced() || s.Last.Sum.Sent != s.Last.Sum.Received || s.Last.Asked != int64(3)<<30 {
		t.Errorf("%+v", s.Last)
	}
	want := fmt.Sprintf("stopped: exact, %d of %d messages were sent", s.Last.Sum.Sent, s.Last.Asked)
	if s.Last.Verdict() != want || s.Runs[0].Verdict != want || !s.Runs[0].Stopped || s.Verdicts["stopped"] != 1 {
		t.Errorf("%q, %+v, %v", s.Last.Verdict(), s.Runs, s.Verdicts)
	}
	if sum, err := r.RunTraffic(t.Context(), status.Traffic{Messages: 100}); err != nil || !sum.Exact() {
		t.Errorf("%+v, %v", sum, err)
	}
	if err := r.StopTraffic(t.Context()); err != nil {
		t.Error("without a run:", err)
	}
}

// Close returns an *UndeliveredError as it is: there is no second error to join to it.
func TestCloseReturnsUndelivered(t *testing.T) {
	r, nodes := face(t, func(ctx context.Context, _ ringdht.Message) { <-ctx.Done() })
	if _, err := r.Setup(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := nodes[0].Send(t.Context(), nodes[1].ID(), []byte("abc")); err != nil {
		t.Fatal(err)
	}
	err := nodes[0].Close()
	e, ok := err.(*status.UndeliveredError)
	if !ok || len(e.Streams) != 1 || string(e.Streams[0].Bodies[0]) != "abc" {
		t.Errorf("%T: %v", err, err)
	}
	if err := nodes[0].Close(); err != nil {
		t.Error(err)
	}
}

// A program that tests its handler makes messages by itself.
func TestDecodeWithoutNode(t *testing.T) {
	body, err := ringdht.Msgpack().Append(nil, ringdht.Peer{ID: 5, Addr: "a:1"})
	if err != nil {
		t.Fatal(err)
	}
	var p ringdht.Peer
	if err := (ringdht.Message{Body: body}).Decode(&p); err != nil || p.ID != 5 {
		t.Error(p, err)
	}
}
