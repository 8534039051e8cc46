//go:build linux

package chaos

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/ringdht"
)

// tick is the interval at which a sender with a rate sends what is due.
const tick = 20 * time.Millisecond

// sender sends to all members that its node knows. It has a goroutine for each, so that a
// member that takes nothing does not delay messages to the others.
type sender struct {
	process  uint64
	node     *ringdht.Node
	load     *ringdht.Service // of the node
	book     *book
	accepted atomic.Uint64

	mu       sync.Mutex
	sinks    map[ringdht.ID]*sink
	failures map[string]uint64
	cancel   context.CancelFunc // ends the sending
	done     chan struct{}
}

// sink is an ID to send to. Its numbers go on when another process gets the ID.
type sink struct {
	mu sync.Mutex // held while sending, so that numbers are in the order of acceptance
	id ringdht.ID
	n  uint64 // accepted

	since atomic.Int64 // when the present Send began, 0 if there is none
}

func newSender(process uint64, node *ringdht.Node, load *ringdht.Service, book *book) *sender {
	return &sender{process: process, node: node, load: load, book: book, sinks: make(map[ringdht.ID]*sink), failures: make(map[string]uint64)}
}

// start sends until stop is called.
func (s *sender) start(rate, payload int, drawn bool) {
	s.stop()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	s.mu.Lock()
	s.cancel, s.done = cancel, done
	s.mu.Unlock()
	go func() {
		defer close(done)
		if drawn {
			s.draw(ctx, rate, payload)
		} else {
			s.serveAll(ctx, rate, payload)
		}
	}()
}

// stop ends the sending, and waits until it has ended.
func (s *sender) stop() {
	s.mu.Lock()
	cancel, done := s.cancel, s.done
	s.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
}

// serveAll keeps a goroutine for every member. It polls the membership, as a program does that
// is not told of changes.
func (s *sender) serveAll(ctx context.Context, rate, payload int) {
	var wg sync.WaitGroup
	defer wg.Wait()
	type worker struct{ stop context.CancelFunc }
	workers := make(map[ringdht.ID]worker)
	var share atomic.Int64 // of each sink, per second
	for {
		members := s.node.Members()
		for id, w := range workers {
			if !slices.Contains(members, id) {
				w.stop()
				delete(workers, id)
			}
		}
		share.Store(int64(rate / max(1, len(members))))
		for _, id := range members {
			if _, ok := workers[id]; ok || id == s.node.ID() {
				continue
			}
			ctx, cancel := context.WithCancel(ctx)
			workers[id] = worker{cancel}
			wg.Go(func() {
				defer cancel()
				body := newBody(payload)
				paced(ctx, rate > 0, share.Load, func() bool { return s.send(ctx, id, body) })
			})
		}
		if !pause(ctx, tick) {
			return
		}
	}
}

// draw sends each message to a random member, one after the other. When one sink takes
// nothing, all others wait too.
func (s *sender) draw(ctx context.Context, rate, payload int) {
	body := newBody(payload)
	paced(ctx, rate > 0, func() int64 { return int64(rate) }, func() bool {
		members := s.node.Members()
		if len(members) == 0 {
			return false
		}
		return s.send(ctx, members[rand.IntN(len(members))], body)
	})
}

// paced calls send as often as is due at each tick, or all the time. Calls that were missed
// while one call took long are not made up for.
func paced(ctx context.Context, pacing bool, rate func() int64, send func() bool) {
	owed := 0.0
	for ctx.Err() == nil {
		if !pacing {
			if !send() && !pause(ctx, tick) {
				return
			}
			continue
		}
		for owed += float64(rate()) * tick.Seconds(); owed >= 1 && ctx.Err() == nil; owed-- {
			if !send() {
				owed = 0
			}
		}
		// The ticks of all goroutines coincide, as in a program with one clock.
		now := time.Now()
		if !pause(ctx, now.Truncate(tick).Add(tick).Sub(now)) {
			return
		}
	}
}

// pause waits, and says whether to go on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func newBody(payload int) []byte {
	body := make([]byte, max(minBody, payload))
	for i := range body {
		body[i] = byte(rand.Uint32())
	}
	return body
}

// send sends the next message to a sink. A number is used up only when Send has accepted it:
// if Send fails and sends it all the same, the sink gets the number twice.
func (s *sender) send(ctx context.Context, id ringdht.ID, body []byte) bool {
	s.mu.Lock()
	to := s.sinks[id]
	if to == nil {
		to = &sink{id: id}
		s.sinks[id] = to
	}
	s.mu.Unlock()
	to.mu.Lock()
	defer to.mu.Unlock()
	header{process: s.process, sink: uint64(id), n: to.n + 1, at: time.Now().UnixNano()}.put(body)
	to.since.Store(time.Now().UnixNano())
	err := s.load.Send(ctx, id, body)
	to.since.Store(0)
	if err != nil {
		s.mu.Lock()
		s.failures[reason(err)]++
		s.mu.Unlock()
		return false
	}
	to.n++
	s.book.noteAccepted(s.process, uint64(id), to.n)
	s.accepted.Add(1)
	return true
}

// reason is the text of an error without the parts that differ between calls.
func reason(err error) string {
	for _, known := range []error{ringdht.ErrLeft, ringdht.ErrNoSuchNode, ringdht.ErrNotReady, ringdht.ErrRefused, ringdht.ErrClosed, context.Canceled} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return err.Error()
}

func (s *sender) report(st *state) {
	st.Accepted = s.accepted.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Failures = make(map[string]uint64, len(s.failures))
	maps.Copy(st.Failures, s.failures)
	for id, to := range s.sinks {
		if since := to.since.Load(); since != 0 && time.Since(time.Unix(0, since)) > time.Second {
			st.Waiting = append(st.Waiting, uint64(id))
		}
	}
}
