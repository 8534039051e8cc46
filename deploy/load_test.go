package deploy

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/status"
)

// client asks the instances of the service, and counts the answers to each request.
type client struct {
	t    *testing.T
	node *ringdht.Node
	echo *ringdht.Service
	due  chan []byte // requests to send, also those that a leaving instance gave back

	mu       sync.Mutex
	made     uint64
	answers  map[uint64]int // of each request
	open     int            // requests without an answer
	given    int            // requests that came back
	answered chan struct{}  // has a token when none is open
}

func newClient(t *testing.T, registry string) *client {
	c := &client{t: t, due: make(chan []byte, 10_000), answers: make(map[uint64]int), answered: make(chan struct{}, 1)}
	c.node = ringdht.NewNode(ringdht.WithListen("127.0.0.1:0"))
	c.echo = c.node.Service("echo")
	c.echo.Handle(c.answer)
	c.echo.OnUndelivered(c.undelivered)
	if err := c.node.Join(t.Context(), registry); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.node.Close() })
	if err := c.node.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// answer is the client's handler.
func (c *client) answer(_ context.Context, m ringdht.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := binary.BigEndian.Uint64(m.Body)
	if c.answers[id]++; c.answers[id] == 1 {
		if c.open--; c.open == 0 {
			select {
			case c.answered <- struct{}{}:
			default:
			}
		}
	}
}

// undelivered sends again what an instance that left has not handled. A request of unknown outcome
// is a failure of the ring: no instance was killed.
func (c *client) undelivered(u status.Undelivered) {
	if u.NotHandled < u.Messages {
		c.t.Errorf("%d requests to %d have no known outcome: %v", u.Messages-u.NotHandled, u.Sink, u.Err)
	}
	c.mu.Lock()
	c.given += len(u.Bodies)
	c.mu.Unlock()
	for _, body := range u.Bodies {
		c.due <- body
	}
}

// request makes a request.
func (c *client) request() {
	c.mu.Lock()
	c.made++
	c.open++
	id := c.made
	c.mu.Unlock()
	c.due <- binary.BigEndian.AppendUint64(nil, id)
}

// send sends requests to instances drawn at random, until ctx ends.
func (c *client) send(ctx context.Context) {
	for {
		var body []byte
		select {
		case <-ctx.Done():
			return
		case body = <-c.due:
		}
		for sent := false; !sent; {
			all := c.node.Members()
			if len(all) == 0 {
				c.t.Error("the client knows no instance")
				return
			}
			err := c.echo.Send(ctx, all[rand.IntN(len(all))].ID, body)
			sent = err == nil
			leaves := errors.Is(err, ringdht.ErrLeft) || errors.Is(err, ringdht.ErrNoSuchNode)
			if !sent && !leaves { // one that leaves is no failure: another is asked
				c.t.Errorf("sending: %v", err)
				return
			}
		}
	}
}

// Five instances of a service, and then their registry, are restarted one by one under 1,000
// requests a second. Each request gets its answer, and no log has an error.
func TestRollingRestartUnderLoad(t *testing.T) {
	state := "RINGDHT_STATE=" + filepath.Join(t.TempDir(), "state")
	r := startRing(t, 5, state, "RINGDHT_LEASE=4s")
	for _, web := range r.nodeWeb {
		await(t, web+"/readyz", http.StatusOK, "ready")
	}
	c := newClient(t, r.addr)
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() { c.send(ctx) })
	}
	loadOver := make(chan struct{})
	work.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-loadOver:
				return
			case <-tick.C:
				for range 10 {
					c.request()
				}
			}
		}
	})

	began, all := time.Now(), append([]*process{r.registry}, r.nodes...)
	for i := range r.nodes[:5] {
		if status := r.nodes[i].terminate(); status != 0 {
			t.Errorf("node: status %d\n%s", status, r.nodes[i].log())
		}
		r.join(t)
		all = append(all, r.nodes[len(r.nodes)-1])
		await(t, r.nodeWeb[len(r.nodeWeb)-1]+"/readyz", http.StatusOK, "ready")
	}
	if status := r.registry.terminate(); status != 0 {
		t.Errorf("registry: status %d\n%s", status, r.registry.log())
	}
	r.startRegistry(t, r.addr, state, "RINGDHT_LEASE=4s")
	all = append(all, r.registry)
	await(t, r.web+"/readyz", http.StatusOK, "ready")
	close(loadOver)

	deadline := time.After(time.Minute)
	for wait := true; wait; {
		c.mu.Lock()
		wait = c.open > 0
		c.mu.Unlock()
		if wait {
			select {
			case <-c.answered:
			case <-deadline:
				t.Error("requests have no answer")
				wait = false
			}
		}
	}
	took := time.Since(began)
	stop()
	work.Wait()
	if err := c.node.Leave(t.Context()); err != nil { // it learns of each request that it was handled
		t.Error(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, n := range c.answers {
		if n != 1 {
			t.Errorf("request %d has %d answers", id, n)
		}
	}
	t.Logf("%d requests in %v, %d without an answer, %d given back by an instance that left", c.made, took.Round(time.Millisecond), c.open, c.given)
	for _, p := range all {
		for _, bad := range []string{`"level":"ERROR"`, `"msg":"dead"`, "no answer"} {
			if strings.Contains(p.log(), bad) {
				t.Errorf("%s: %s\n%s", p.name, bad, p.log())
			}
		}
	}
}
