//go:build linux

package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/rpc"
)

// caller is a process that calls random members at a fixed rate, and handles their calls.
type caller struct {
	terms    terms
	say      func(event)
	journal  *os.File
	node     *ringdht.Node
	endpoint *rpc.Endpoint
	calls    sync.WaitGroup

	// set by the command to send
	stop    context.CancelFunc
	stopped chan struct{}
}

// work is what callers ask each other for.
const work = rpc.Method[task, place]("work")

type task struct {
	Process, Number uint64
	Nap             time.Duration // how long to handle it
}

// place says which process has answered, and in which of its incarnations.
type place struct{ Process, Life uint64 }

// step is a line of a caller's journal, one write. So it survives the end of the process.
type step struct {
	What    string
	Process uint64 // the caller
	Number  uint64 // of the call
	ID      uint64 // of the callee
	Life    uint64 `json:",omitempty"` // of the callee, where it is known
	At      int64  `json:",omitempty"`
	Error   string `json:",omitempty"`
}

// The steps of calls.
const (
	begun      = "begun"
	handled    = "handled" // by the callee
	answered   = "answered"
	notHandled = "not handled"
	unknown    = "unknown"
	givenUp    = "given up"
	failed     = "failed" // in a way that should not be
)

func runCaller(t terms) {
	talk := &eventWriter{out: os.Stdout}
	c := &caller{terms: t, say: talk.say}
	if err := c.join(); err != nil {
		c.say(event{What: "failed", Error: err.Error()})
		os.Exit(1)
	}
	go c.watch()
	readCommands(os.Stdin, c.execute)
}

func (c *caller) join() (err error) {
	if c.journal, err = os.OpenFile(c.terms.Book, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	opts := []ringdht.NodeOption{ringdht.WithListen(c.terms.Listen), ringdht.WithLogger(logger())}
	if c.terms.AskID {
		opts = append(opts, ringdht.WithID(ringdht.ID(c.terms.ID)))
	}
	c.node = ringdht.NewNode(opts...)
	c.endpoint = rpc.New(c.node, "calls", rpc.WithConcurrency(64))
	work.Handle(c.endpoint, c.handle)
	if err := c.node.Join(ctx, c.terms.Registry); err != nil {
		return err
	}
	c.say(event{What: "joined", ID: uint64(c.node.ID()), Incarnation: c.node.Incarnation()})
	go func() {
		err := c.node.Ready(context.Background())
		c.say(event{What: "ready", Error: text(err)})
	}()
	return nil
}

// watch reports when the node has another incarnation.
func (c *caller) watch() {
	inc := c.node.Incarnation()
	for range time.Tick(sampling) {
		if i := c.node.Incarnation(); i != inc {
			inc = i
			c.say(event{What: "rejoined", ID: uint64(c.node.ID()), Incarnation: inc})
		}
	}
}

func (c *caller) note(s step) {
	s.At = time.Now().UnixNano()
	line, err := json.Marshal(s)
	if err == nil {
		_, err = c.journal.Write(append(line, '\n'))
	}
	if err != nil {
		c.say(event{What: "wrong", Error: err.Error()})
	}
}

func (c *caller) handle(ctx context.Context, t task) (place, error) {
	at := place{c.terms.Process, c.node.Incarnation()}
	c.note(step{What: handled, Process: t.Process, Number: t.Number, ID: uint64(c.node.ID()), Life: at.Life})
	time.Sleep(t.Nap) // also if its context ends: its answer must not do harm
	return at, nil
}

// call makes one call, and notes how it ends.
func (c *caller) call(to ringdht.ID, number uint64) {
	s := step{Process: c.terms.Process, Number: number, ID: uint64(to)}
	t := task{Process: s.Process, Number: number}
	ctx := context.Background() // it has to end without a deadline
	switch number % 20 {
	case 1:
		t.Nap = rand.N(500 * time.Millisecond)
	case 2:
		t.Nap = rand.N(2 * time.Second)
	case 3:
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, rand.N(200*time.Millisecond))
		defer cancel()
		t.Nap = rand.N(400 * time.Millisecond)
	}
	s.What = begun
	c.note(s)
	at, err := work.Call(ctx, c.endpoint, to, t)
	s.Error = text(err)
	switch {
	case err == nil:
		s.What, s.Life = answered, at.Life
		if at.Process == 0 {
			s.What = failed
		}
	case errors.Is(err, rpc.ErrUnknown) && !errors.Is(err, rpc.ErrNotHandled):
		if s.What = unknown; ctx.Err() != nil {
			s.What = givenUp
		}
	case errors.Is(err, rpc.ErrNotHandled):
		s.What = notHandled
	default:
		s.What = failed
	}
	c.note(s)
}

// run calls random members until ctx ends.
func (c *caller) run(ctx context.Context, rate int) {
	defer close(c.stopped)
	number := uint64(0)
	every := time.Second / time.Duration(rate)
	for due := time.Now(); pause(ctx, time.Until(due)); due = due.Add(every) {
		members, _ := c.endpoint.Service().Members()
		if len(members) == 0 {
			continue
		}
		number++
		to, n := members[rand.IntN(len(members))].ID, number
		c.calls.Go(func() { c.call(to, n) })
	}
}

// end makes no further calls, and waits for all that were made.
func (c *caller) end() {
	if c.stop != nil {
		c.stop()
		<-c.stopped
	}
	c.calls.Wait()
}

func (c *caller) execute(ask command) {
	switch ask.Do {
	case "send":
		var ctx context.Context
		ctx, c.stop = context.WithCancel(context.Background())
		c.stopped = make(chan struct{})
		go c.run(ctx, ask.Rate)
		c.say(answer(ask, nil))
	case "stop":
		go func() {
			c.end()
			c.say(answer(ask, nil))
		}()
	case "leave": // with calls under way, both ways
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), ask.Timeout)
			defer cancel()
			err := c.node.Leave(ctx)
			if ctx.Err() == nil {
				err = nil
			}
			c.end()
			c.say(answer(ask, err))
			os.Exit(0)
		}()
	case "quit":
		c.node.Close()
		c.say(answer(ask, nil))
		os.Exit(0)
	}
}
