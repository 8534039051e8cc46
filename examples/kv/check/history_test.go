package check

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/x/ringdht/examples/kv/store"
	"github.com/x/ringdht/keys"
)

// checkTime bounds the check of one key. One that takes longer is a failure.
const checkTime = time.Minute

// history is what clients asked for and were answered, by key. It counts events for a clock: that keeps
// their order, and goes on while virtual time stands still.
type history struct {
	clock  atomic.Int64
	undone atomic.Int64

	mu  sync.Mutex
	ops map[string][]porcupine.Operation
}

// outcome of a request.
type outcome struct {
	store.Answer
	unknown bool
}

// do records a request. A request that was not done had no effect, so it is none of the history's.
func (h *history) do(client int, key string, r store.Request, f func() (store.Answer, error)) error {
	call := h.clock.Add(1)
	a, err := f()
	op := porcupine.Operation{ClientId: client, Input: r, Call: call, Output: outcome{Answer: a}, Return: h.clock.Add(1)}
	switch {
	case err == nil:
	case r.Kind == store.Get, isNotDone(err):
		h.undone.Add(1)
		return err
	default:
		op.Output, op.Return = outcome{unknown: true}, math.MaxInt64
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ops == nil {
		h.ops = make(map[string][]porcupine.Operation)
	}
	h.ops[key] = append(h.ops[key], op)
	return err
}

// isNotDone reports whether a request had no effect, and will have none.
func isNotDone(err error) bool {
	return errors.Is(err, store.ErrNotDone) || errors.Is(err, store.ErrDeposed) || errors.Is(err, keys.ErrNotHandled)
}

// model is one key: a value that is read, written, and written if it is another.
var model = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		value, r, o := state.(string), input.(store.Request), output.(outcome)
		switch {
		case r.Kind == store.Get:
			return o.Value == value, value
		case r.Kind == store.Put:
			return true, r.New
		case o.unknown:
			if value == r.Old {
				value = r.New
			}
			return true, value
		case value == r.Old:
			return o.Done, r.New
		default:
			return !o.Done && o.Value == value, value
		}
	},
	DescribeOperation: func(input, output any) string {
		r, o := input.(store.Request), output.(outcome)
		text := map[store.Kind]string{store.Get: "get", store.Put: "put " + r.New, store.Swap: "swap " + r.Old + " by " + r.New}[r.Kind]
		switch {
		case o.unknown:
			return text + ": unknown"
		case r.Kind == store.Get:
			return fmt.Sprintf("%s: %q", text, o.Value)
		}
		return fmt.Sprintf("%s: %t, %q", text, o.Done, o.Value)
	},
}

// check returns what is wrong with the history of a key, or an empty text. Each value is written at most once.
func (h *history) check() (wrong string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(h.ops)) {
		ops := observed(h.ops[key])
		switch porcupine.CheckOperationsTimeout(model, ops, checkTime) {
		case porcupine.Unknown:
			return fmt.Sprintf("%s: the check of %d requests takes longer than %v", key, len(ops), checkTime)
		case porcupine.Illegal:
			return fmt.Sprintf("%s is not linearizable:\n%s", key, describe(ops))
		}
	}
	return ""
}

// observed leaves out writes of unknown outcome that no request has seen: they may have come last, or
// not at all. Else each would double the work of the check.
func observed(ops []porcupine.Operation) (rest []porcupine.Operation) {
	seen := make(map[string]bool)
	for _, op := range ops {
		r, o := op.Input.(store.Request), op.Output.(outcome)
		switch {
		case r.Kind == store.Get:
			seen[o.Value] = true
		case r.Kind == store.Swap && (o.Done || o.unknown):
			seen[r.Old] = true
		case r.Kind == store.Swap:
			seen[o.Value] = true
		}
	}
	for _, op := range ops {
		if r := op.Input.(store.Request); !op.Output.(outcome).unknown || seen[r.New] {
			rest = append(rest, op)
		}
	}
	return rest
}

// describe lists the requests by their beginnings.
func describe(ops []porcupine.Operation) (text string) {
	for _, op := range slices.SortedFunc(slices.Values(ops), func(a, b porcupine.Operation) int { return int(a.Call - b.Call) }) {
		end := fmt.Sprint(op.Return)
		if op.Return == math.MaxInt64 {
			end = "?"
		}
		text += fmt.Sprintf("%5d %5s client %d: %s\n", op.Call, end, op.ClientId, model.DescribeOperation(op.Input, op.Output))
	}
	return text
}

// summary counts.
func (h *history) summary() string {
	all, unknown := 0, 0
	for _, ops := range h.ops {
		for _, op := range ops {
			if all++; op.Output.(outcome).unknown {
				unknown++
			}
		}
	}
	return fmt.Sprintf("%d requests, %d of unknown outcome; %d were not done or are Gets without an answer", all, unknown, h.undone.Load())
}

// client does a random request. value is one that no other has written.
func client(ctx context.Context, h *history, s *store.Store, number int, key string, random *rand.Rand, value string) {
	r := store.Request{Kind: store.Get}
	switch random.IntN(4) {
	case 0:
		r = store.Request{Kind: store.Put, New: value}
	case 1:
		a, err := s.Do(ctx, key, r)
		if err != nil {
			return
		}
		r = store.Request{Kind: store.Swap, Old: a.Value, New: value}
	}
	h.do(number, key, r, func() (store.Answer, error) { return s.Do(ctx, key, r) })
}
