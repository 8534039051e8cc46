//go:build linux

package chaos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/status"
)

// client is a process that asks the instances of a service at a fixed rate. It is written as
// a user of the library writes it: what certainly was not handled goes to another instance.
type client struct {
	terms  terms
	say    func(event)
	log    *slog.Logger
	ledger *ledger
	node   *ringdht.Node
	work   *ringdht.Service // of the node
	wg     sync.WaitGroup   // requests

	mu       sync.Mutex
	changed  chan struct{}         // closed when instances change
	serving  map[ringdht.ID]uint64 // instances, with their incarnations
	open     map[uint64]*request
	account  calls
	duration []time.Duration // of each request since the mark

	// set by the command to send
	stop    context.CancelFunc
	stopped chan struct{}
}

// calls is the account of a client.
type calls struct {
	Made      uint64
	Answered  uint64
	Failed    uint64
	GivenBack uint64            // requests that an instance which left had accepted and not handled
	Refused   map[string]uint64 // by error: calls of Send after which another instance was asked
	Waited    uint64            // requests that found no instance

	Longest time.Duration // since the mark
	Usual   time.Duration // the median since the mark
}

// request is a request without an answer.
type request struct {
	number  uint64
	due     time.Time
	outcome chan error // of each attempt: nil, errNotHandled, or another
}

var errNotHandled = errors.New("not handled")

// slow is a time for an attempt that is worth a line in the log.
const slow = 250 * time.Millisecond

func runClient(t terms) {
	talk := &eventWriter{out: os.Stdout}
	c := &client{
		terms: t, say: talk.say, log: logger(), changed: make(chan struct{}), serving: make(map[ringdht.ID]uint64),
		open: make(map[uint64]*request), account: calls{Refused: make(map[string]uint64)},
	}
	if err := c.join(); err != nil {
		c.say(event{What: "failed", Error: err.Error()})
		os.Exit(1)
	}
	go c.watch()
	readCommands(os.Stdin, c.execute)
}

func (c *client) join() (err error) {
	if c.ledger, err = createLedger(c.terms.Book); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c.node, c.work = newWork(c.terms, c.handle, c.undelivered)
	if err := c.node.Join(ctx, c.terms.Registry); err != nil {
		return err
	}
	c.say(event{What: "joined", ID: uint64(c.node.ID()), Incarnation: c.node.Incarnation()})
	err = c.node.Ready(ctx)
	c.say(event{What: "ready", Error: text(err)})
	return err
}

// watch forgets instances that left or died.
func (c *client) watch() {
	for e := range c.node.Watch(context.Background()) {
		switch {
		case e.Self:
			lives(c.say, e)
		case e.Change.Over():
			c.forget(e.ID, e.Incarnation)
		}
	}
}

func (c *client) forget(id ringdht.ID, inc uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.serving[id] == inc {
		delete(c.serving, id)
		c.showServing()
	}
}

// showServing needs mu.
func (c *client) showServing() {
	all := []uint64{}
	for id := range c.serving {
		all = append(all, uint64(id))
	}
	slices.Sort(all)
	c.say(event{What: "serving", Members: all})
}

// handle takes answers, and notes instances.
func (c *client) handle(_ context.Context, m ringdht.Message) {
	kind, process, number, err := parseService(m.Body)
	if err != nil {
		c.say(event{What: "wrong", Error: err.Error()})
		return
	}
	switch kind {
	case kindServing:
		c.mu.Lock()
		c.serving[m.Source] = number
		c.showServing()
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
	case kindReply:
		if err := c.ledger.enter(entry{process, number}); err != nil {
			c.say(event{What: "wrong", Error: err.Error()})
		}
		c.settle(number, nil)
	}
}

// undelivered sorts what an instance that left has not handled from what has no known outcome.
func (c *client) undelivered(u status.Undelivered) {
	if u.Messages != uint64(len(u.Bodies)) {
		c.say(event{What: "wrong", Error: fmt.Sprintf("%d undelivered messages to %d, with %d bodies", u.Messages, u.Sink, len(u.Bodies))})
	}
	for i, body := range u.Bodies {
		_, _, number, err := parseService(body)
		if err != nil {
			c.say(event{What: "wrong", Error: err.Error()})
			continue
		}
		outcome := errNotHandled
		if i < len(u.Bodies)-int(u.NotHandled) {
			outcome = fmt.Errorf("the outcome at %d is unknown: %w", u.Sink, u.Err)
		}
		c.settle(number, outcome)
	}
}

// settle tells a request what became of its latest attempt.
func (c *client) settle(number uint64, outcome error) {
	c.mu.Lock()
	r := c.open[number]
	if r != nil && outcome == nil {
		delete(c.open, number)
	}
	c.mu.Unlock()
	if r == nil {
		return // an announcement, or an answer that came again: the ledger shows it
	}
	select {
	case r.outcome <- outcome:
	default:
		c.say(event{What: "wrong", Error: fmt.Sprintf("one attempt at request %d has two outcomes, of which one is: %v", number, outcome)})
	}
}

// do makes a request, and asks other instances until one answers.
func (c *client) do(ctx context.Context, r *request) {
	body := putService(kindRequest, c.terms.Process, r.number)
	for {
		id, inc, err := c.pick(ctx)
		if err == nil {
			asked := time.Now()
			err = c.attempt(ctx, r, id, inc, body)
			if took := time.Since(asked); took > slow {
				c.log.Info("slow", "request", r.number, "instance", id, "took", took, "err", err)
			}
		}
		if errors.Is(err, errNotHandled) {
			continue
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.duration = append(c.duration, time.Since(r.due))
		if err != nil {
			c.account.Failed++
			c.say(event{What: "wrong", Error: fmt.Sprintf("request %d failed: %v", r.number, err)})
			return
		}
		c.account.Answered++
		return
	}
}

// attempt asks one instance. The error matches errNotHandled if the request may go to another.
func (c *client) attempt(ctx context.Context, r *request, id ringdht.ID, inc uint64, body []byte) error {
	switch err := c.work.Send(ctx, id, body); {
	case err == nil:
	case errors.Is(err, ringdht.ErrLeft), errors.Is(err, ringdht.ErrNoSuchNode):
		c.forget(id, inc)
		c.mu.Lock()
		c.account.Refused[reason(err)]++
		c.mu.Unlock()
		return errNotHandled
	default:
		return err
	}
	select {
	case err := <-r.outcome:
		if errors.Is(err, errNotHandled) {
			c.forget(id, inc)
			c.mu.Lock()
			c.account.GivenBack++
			c.mu.Unlock()
		}
		return err
	case <-ctx.Done():
		return fmt.Errorf("no answer from %d: %w", id, context.Cause(ctx))
	}
}

// pick draws an instance. If there is none it waits.
func (c *client) pick(ctx context.Context) (ringdht.ID, uint64, error) {
	for waited := false; ; waited = true {
		c.mu.Lock()
		n, changed := len(c.serving), c.changed
		if n == 0 && !waited {
			c.account.Waited++
		}
		if n > 0 {
			n = rand.IntN(n)
			for id, inc := range c.serving {
				if n == 0 {
					c.mu.Unlock()
					return id, inc, nil
				}
				n--
			}
		}
		c.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, 0, fmt.Errorf("no instance: %w", context.Cause(ctx))
		}
	}
}

// run makes requests at a fixed rate, until stop is called. It makes up for times when this
// process did not run.
func (c *client) run(ctx context.Context, rate int) {
	defer close(c.stopped)
	every := time.Second / time.Duration(rate)
	for due := time.Now(); pause(ctx, time.Until(due)); due = due.Add(every) {
		c.mu.Lock()
		c.account.Made++
		r := &request{number: c.account.Made, due: due, outcome: make(chan error, 1)}
		c.open[r.number] = r
		c.mu.Unlock()
		c.wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			c.do(ctx, r)
		})
	}
}

func (c *client) report(ask command) {
	c.mu.Lock()
	a := c.account
	slices.Sort(c.duration)
	if n := len(c.duration); n > 0 {
		a.Longest, a.Usual = c.duration[n-1], c.duration[n/2]
	}
	if ask.Do == "mark" {
		c.duration = nil
	}
	c.say(event{What: "calls", Calls: &a})
	c.mu.Unlock()
	c.say(answer(ask, nil))
}

func (c *client) execute(ask command) {
	switch ask.Do {
	case "send":
		var ctx context.Context
		ctx, c.stop = context.WithCancel(context.Background())
		c.stopped = make(chan struct{})
		go c.run(ctx, ask.Rate)
		c.report(ask)
	case "calls", "mark":
		c.report(ask)
	case "stop":
		go func() {
			c.stop()
			<-c.stopped
			c.wg.Wait()
			c.report(ask)
		}()
	case "quit":
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := c.node.Leave(ctx); err != nil {
				c.say(event{What: "wrong", Error: err.Error()})
			}
			os.Exit(0)
		}()
	}
}
