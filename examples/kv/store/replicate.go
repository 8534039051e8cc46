package store

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/x/ringdht/rpc"
)

// Errors of requests. They travel: they are the same at both ends.
var (
	ErrDeposed = rpc.NewError("kv.deposed", "not done: the node is not the primary of the key any more")
	ErrNotDone = rpc.NewError("kv.not-done", "not done: an owner of the key, or the registry, could not be reached")
	ErrHalf    = rpc.NewError("kv.half", "perhaps done: an owner of the key could not be reached")
	errMoved   = rpc.NewError("kv.moved", "the owner holds the key under another term than the primary knows")
)

// Entry is a copy: the state of a key at an owner, in any zone.
type Entry struct {
	Value   string
	Version Version
	Held    uint64    // the owner's term when it last had a part in the key. Under another one only Value and Version count
	Primary uint64    // at a replica: the greatest term of a primary
	View    [2]uint64 // at a primary: the terms of its replicas
}

// Version orders the values of a key: by the primary's term, then by its count.
type Version struct{ Term, N uint64 }

// Order is what a primary tells a replica.
type Order struct {
	Term    uint64 // the primary's
	Held    uint64 // the replica's, as the primary knows it. With 0 it is a question for it
	Adopt   bool   // have a part in the key from now on
	Write   bool
	Value   string
	Version Version
}

// Alive asks the registry whether this life was not declared dead before the call. An error says that it
// was, or that the registry does not answer.
type Alive func(ctx context.Context) error

// Follow is what a replica, which holds the key under the term held, does with an order. It answers with
// its copy.
func Follow(ctx context.Context, alive Alive, held uint64, e *Entry, o Order) (Entry, error) {
	switch {
	case o.Held == 0:
		return Entry{Held: held}, nil
	case o.Held != held || e.Held != held && !o.Adopt:
		return Entry{}, errMoved
	case e.Held == held && o.Term < e.Primary:
		return Entry{}, ErrDeposed
	case o.Adopt && alive(ctx) != nil:
		return Entry{}, ErrNotDone
	}
	e.Held, e.Primary = held, o.Term
	if o.Write {
		e.Value, e.Version = o.Value, o.Version
	}
	return *e, nil
}

// Request is what a client wants of a key.
type Request struct {
	Kind     Kind
	Old, New string
}

// Kind of a request.
type Kind uint8

const (
	Get     Kind = iota
	Put          // New
	Swap         // New if the value is Old
	Refresh      // see that both replicas have the value
)

// Answer to a request.
type Answer struct {
	Value string
	Done  bool // false: the value is not Old
}

// Primary does the requests for a key, one at a time.
type Primary struct {
	Tell  func(ctx context.Context, replica int, o Order) (Entry, error) // replica is 0 or 1
	Alive Alive
}

const again = 20 * time.Millisecond // how long to wait before the next try

// Do does a request under the primary's term. Its error is ErrHalf, ErrNotDone or ErrDeposed.
func (p Primary) Do(ctx context.Context, term uint64, e *Entry, r Request) (Answer, error) {
	decided := false // the value of e is what r writes
	for {
		done, err := true, error(nil)
		if e.Held != term {
			err = p.takeOver(ctx, term, e)
		}
		switch {
		case err != nil || decided:
		case r.Kind == Put, r.Kind == Swap && e.Value == r.Old:
			decided = true
			err = p.write(ctx, term, e, r.New)
		default: // others may have a primary already
			done = r.Kind != Swap
			_, err = p.both(ctx, e, Order{Term: term})
		}
		if err == nil {
			return Answer{e.Value, done}, nil
		}
		e.Held = 0 // what the replicas have is open
		time.Sleep(again)
		switch over := errors.Is(err, ErrDeposed); {
		case !over && ctx.Err() == nil:
		case decided:
			return Answer{}, ErrHalf
		case over:
			return Answer{}, ErrDeposed
		default:
			return Answer{}, ErrNotDone
		}
	}
}

// takeOver has the replicas refuse primaries of lower terms. Then it gives both the latest value that
// they or this owner have.
func (p Primary) takeOver(ctx context.Context, term uint64, e *Entry) error {
	e.View = [2]uint64{}
	copies, err := p.both(ctx, e, Order{Term: term})
	if err != nil {
		return err
	}
	e.View = [2]uint64{copies[0].Held, copies[1].Held}
	if err = p.Alive(ctx); err != nil { // later than the replicas began to hold the key
		return err
	}
	if copies, err = p.both(ctx, e, Order{Term: term, Adopt: true}); err != nil {
		return err
	}
	for _, r := range copies {
		if v, w := e.Version, r.Version; v.Term < w.Term || v.Term == w.Term && v.N < w.N {
			e.Value, e.Version = r.Value, w
		}
	}
	return p.write(ctx, term, e, e.Value)
}

// write gives a value to both replicas. What fails to is done by takeOver.
func (p Primary) write(ctx context.Context, term uint64, e *Entry, value string) error {
	e.Value, e.Version, e.Held = value, Version{term, e.Version.N + 1}, 0
	_, err := p.both(ctx, e, Order{Term: term, Write: true, Value: e.Value, Version: e.Version})
	if err == nil {
		e.Held = term
	}
	return err
}

// both tells both replicas. It gives up after the first error.
func (p Primary) both(ctx context.Context, e *Entry, o Order) (copies [2]Entry, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var errs [2]error
	var calls sync.WaitGroup
	for i, held := range e.View {
		o := o
		o.Held = held
		calls.Go(func() {
			if copies[i], errs[i] = p.Tell(ctx, i, o); errs[i] != nil {
				cancel()
			}
		})
	}
	calls.Wait()
	return copies, cmp.Or(errs[0], errs[1])
}
