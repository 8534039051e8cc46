package rpc

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/x/ringdht"
)

const (
	interval = time.Second     // between two questions for a call
	patience = 5 * time.Second // for a node's other messages, before a verdict on a call
)

// question is what is asked of a peer: whether it knows calls that have gone there on a lane
// (kindAsk), or whether it waits for calls that it has made (kindCheck).
//
// A question for calls travels behind their requests, on the same lane. So it says how things stand
// without a doubt: the request is known, has been answered, or went to an incarnation that is over.
// And if the question cannot be sent since the peer is gone, the requests before it have met the
// same end.
type question struct {
	peer ringdht.ID
	kind byte
	lane lane
}

// asks asks peers for calls: once a second for those that were there a second ago, and at once when
// a member has ended. Each question has at most one goroutine, so there are three for a peer.
type asks struct {
	e  *Endpoint
	mu sync.Mutex
	// under way; true if it is to be asked again
	again map[question]bool
}

func (a *asks) init(e *Endpoint) { a.e, a.again = e, make(map[question]bool) }

// wind makes sure that tick runs within a second. It is called after a call was noted.
func (e *Endpoint) wind() {
	if e.winding.Load() || !e.winding.CompareAndSwap(false, true) {
		return
	}
	if t := e.timer.Load(); t != nil {
		t.Reset(interval)
	} else {
		e.timer.Store(time.AfterFunc(interval, e.tick))
	}
}

// tick asks for all calls that have been there for a second. It runs as long as there are calls.
func (e *Endpoint) tick() {
	e.winding.Store(false)
	if e.ctx.Err() != nil {
		return
	}
	due := make(map[question][]uint64)
	e.calls.due(due)
	e.serves.due(due)
	for q, list := range due {
		e.asks.ask(q, list)
	}
	if e.calls.len() > 0 || e.serves.len() > 0 {
		e.wind()
	}
}

// now asks for all calls to and from a peer.
func (a *asks) now(peer ringdht.ID) {
	for _, q := range []question{{peer, kindAsk, requests}, {peer, kindAsk, answers}, {peer, kindCheck, answers}} {
		if list := a.about(q); len(list) > 0 {
			a.ask(q, list)
		}
	}
}

// about returns the calls that a question is about, now.
func (a *asks) about(q question) []uint64 {
	if q.kind == kindCheck {
		return a.e.serves.about(q.peer)
	}
	return a.e.calls.about(q)
}

// ask asks for these calls. If the question is under way it is asked again after that.
func (a *asks) ask(q question, list []uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, underWay := a.again[q]; underWay {
		a.again[q] = true
		return
	}
	a.again[q] = false
	go a.run(q, list)
}

func (a *asks) run(q question, list []uint64) {
	for {
		for part := range slices.Chunk(list, maxListed) {
			a.settle(q, part)
		}
		a.mu.Lock()
		if !a.again[q] || a.e.ctx.Err() != nil {
			delete(a.again, q)
			a.mu.Unlock()
			return
		}
		a.again[q] = false
		a.mu.Unlock()
		list = a.about(q)
	}
}

// settle asks for calls, and ends them if the peer is gone. A callee that is about to leave takes in
// nothing more, but what it has answered is on its way: so it is asked until it has left.
func (a *asks) settle(q question, list []uint64) {
	until := time.Now().Add(patience)
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, interval) {
		err := a.send(q, list)
		leaving := errors.Is(err, ringdht.ErrLeft) && q.kind == kindAsk && time.Now().Before(until)
		if err != nil && isGone(err) && !leaving {
			a.gone(q, list, err)
		}
		if !leaving {
			return
		}
		select {
		case <-time.After(pause):
		case <-a.e.ctx.Done():
			return
		}
	}
}

func (a *asks) send(q question, list []uint64) error {
	b := newBuffer()
	defer b.put()
	b.b = appendList(b.b, q.kind, list...)
	return a.e.carrier.send(a.e.ctx, q.lane, q.peer, b.b)
}

// gone ends calls after a question could not be sent: the peer is not there any more.
func (a *asks) gone(q question, list []uint64, err error) {
	if q.kind == kindCheck {
		for _, number := range list {
			a.e.serves.cancel(key{q.peer, number}, false)
		}
		return
	}
	a.e.lost(q.peer, list, err)
}

// undelivered takes what a stream has left when it ended. The latest were certainly not handled. For
// the others the peer is asked.
func (e *Endpoint) undelivered(l lane, peer ringdht.ID, bodies [][]byte, notHandled uint64, err error) {
	over := errors.Is(err, ringdht.ErrEvicted) || errors.Is(err, ringdht.ErrClosed) // this node, not the peer
	var again []*serving
	for i, b := range bodies {
		number, _, ok := parseCall(b)
		switch {
		case !ok:
		case b[0] == kindRequest && len(bodies)-i <= int(notHandled):
			e.calls.finish(number, peer, outcome{err: err})
		case !over && (b[0] == kindAnswer || b[0] == kindFailure):
			if s := e.serves.again(key{peer, number}, b, e.carrier.incarnation()); s != nil {
				again = append(again, s)
			}
		}
	}
	if len(again) > 0 {
		go func() {
			for _, s := range again {
				e.deliver(s, s.body.b)
				e.serves.end(s)
				s.body.put()
			}
		}()
	}
	if !over && !errors.Is(err, ringdht.ErrRefused) { // it would have no room for a question either
		e.calls.noteEnd()
		e.asks.now(peer)
	}
}
