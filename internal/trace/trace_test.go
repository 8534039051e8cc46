package trace

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

var (
	errTime   = errors.New("no time left")
	errNoNode = errors.New("no such node")
)

// rig is a trace with the nonce 7, to 50.
type rig struct {
	Table
	*Trace
	t *testing.T
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t}
	r.Trace = r.Begin(7, 50)
	r.Ask(r.Trace, time.Second)
	return r
}

// answer is one that takes as many seconds as links.
func (r *rig) answer(id uint64, links int, last bool) {
	r.t.Helper()
	if !r.Answered(7, id, links, last, time.Duration(1+links)*time.Second) {
		r.t.Error("an answer is stale")
	}
}

func (r *rig) want(complete bool, err error, hops ...uint64) {
	r.t.Helper()
	select {
	case <-r.Done():
		if !complete {
			r.t.Error("the trace is over")
		}
	default:
		if complete {
			r.t.Error("the trace is not over")
		}
	}
	got, why := r.End(7, errTime)
	if why != err || len(got) != len(hops) {
		r.t.Errorf("%v %v, want %v %v", got, why, hops, err)
	}
	for i, h := range got {
		if h.ID != hops[i] {
			r.t.Errorf("%v, want %v", got, hops)
		}
	}
	if r.Answered(7, 50, 3, true, 0) || r.Refused(7, 50, errNoNode) || len(r.traces) != 0 {
		r.t.Error("the trace has not ended")
	}
}

// Answers come in any order. The trace is over when none is missing.
func TestAnswers(t *testing.T) {
	r := newRig(t)
	r.answer(50, 3, true)
	r.answer(20, 1, false)
	r.Ask(r.Trace, 2*time.Second)
	r.answer(20, 1, false)
	r.answer(30, 2, false)
	r.answer(99, 4, false) // it is over
	if e := fmt.Sprint(r.hops[1].Elapsed, r.hops[2].Elapsed, r.hops[3].Elapsed); e != "0s 1s 3s" {
		t.Error("times:", e)
	}
	r.want(true, nil, 20, 30, 50)
}

// A repeated trace may take another, shorter route. Hops of the longer one are not waited for and
// not listed.
func TestTraceByTwoRoutes(t *testing.T) {
	r := newRig(t)
	r.answer(40, 4, false) // the first question, by the old tables
	r.answer(20, 1, false) // the second, by the new ones
	r.answer(30, 2, false)
	r.answer(50, 3, true)
	r.want(true, nil, 20, 30, 50)
}

// A trace that ends early has the answers that have come, and the reason.
func TestTraceThatIsCutShort(t *testing.T) {
	newRig(t).want(false, errTime)
	r := newRig(t)
	r.answer(20, 1, false)
	r.answer(40, 3, false)
	r.want(false, errTime, 20, 40)
	r = newRig(t)
	r.answer(50, 3, true)
	r.answer(30, 2, false)
	r.want(false, errTime, 30, 50)
}

// A refusal ends the trace, with the answers of those before. One of another trace does not.
func TestRefusal(t *testing.T) {
	r := newRig(t)
	r.answer(20, 1, false)
	if r.Refused(8, 50, errNoNode) || r.Refused(7, 51, errNoNode) || r.Answered(8, 50, 3, true, 0) {
		t.Error("a frame of another trace is taken")
	}
	for range 2 {
		if !r.Refused(7, 50, errNoNode) {
			t.Error("the refusal is stale")
		}
	}
	r.want(true, errNoNode, 20)
}
