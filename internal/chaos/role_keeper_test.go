//go:build linux

package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/keys"
)

// keeper is a process that owns keys, and sends to keys of all. Everything that it does and is told is in
// its journal.
type keeper struct {
	terms   terms
	say     func(event)
	journal *os.File
	node    *ringdht.Node
	space   *keys.Space[tallied]
	stop    context.CancelFunc // nil: it does not send
	sending sync.WaitGroup
}

// keysOfAll is how many keys there are.
const keysOfAll = 40

// tallied is the state of a key.
type tallied struct {
	Count uint64
	Fill  []byte
}

// numbered is the N-th message of a process to a key.
type numbered struct {
	Process, N uint64
	Again      bool
}

const count = keys.Method[tallied, numbered, uint64]("count")

// keyStep is a line of a keeper's journal, one write.
type keyStep struct {
	What    string // begun, handled, answered, unknown, notHandled, failed
	Process uint64 // the source
	Key     string
	N       uint64
	Again   bool   `json:",omitempty"`
	Term    uint64 `json:",omitempty"` // handled: with the life, and the counter after it
	Life    uint64 `json:",omitempty"`
	Count   uint64 `json:",omitempty"`
	Error   string `json:",omitempty"`
}

func runKeeper(t terms) {
	talk := &eventWriter{out: os.Stdout}
	k := &keeper{terms: t, say: talk.say}
	if err := k.join(); err != nil {
		k.say(event{What: "failed", Error: err.Error()})
		os.Exit(1)
	}
	go k.watch()
	readCommands(os.Stdin, k.execute)
}

func (k *keeper) join() (err error) {
	if k.journal, err = os.OpenFile(k.terms.Book, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	opts := []ringdht.NodeOption{ringdht.WithListen(k.terms.Listen), ringdht.WithLogger(logger())}
	if k.terms.AskID {
		opts = append(opts, ringdht.WithID(ringdht.ID(k.terms.ID)))
	}
	k.node = ringdht.NewNode(opts...)
	k.space = keys.New[tallied](k.node, "tallies", keys.WithUnknown(k.unknown))
	count.Handle(k.space, k.handle)
	if err := k.node.Join(ctx, k.terms.Registry); err != nil {
		return err
	}
	k.say(event{What: "joined", ID: uint64(k.node.ID()), Incarnation: k.node.Incarnation()})
	go func() {
		err := k.node.Ready(context.Background())
		k.say(event{What: "ready", Error: text(err)})
	}()
	return nil
}

// watch reports when the node has another incarnation.
func (k *keeper) watch() {
	inc := k.node.Incarnation()
	for range time.Tick(sampling) {
		if i := k.node.Incarnation(); i != inc {
			inc = i
			k.say(event{What: "rejoined", ID: uint64(k.node.ID()), Incarnation: inc})
		}
	}
}

func (k *keeper) note(s keyStep) {
	line, err := json.Marshal(s)
	if err == nil {
		_, err = k.journal.Write(append(line, '\n'))
	}
	if err != nil {
		k.say(event{What: "wrong", Error: err.Error()})
	}
}

func (k *keeper) handle(ctx context.Context, key string, state *tallied, m numbered) (uint64, error) {
	if state.Fill == nil {
		state.Fill = make([]byte, 1000)
	}
	state.Count++
	k.note(keyStep{What: handled, Process: m.Process, Key: key, N: m.N, Again: m.Again, Term: keys.Term(ctx), Life: k.node.Incarnation(), Count: state.Count})
	if m.N%50 == 0 {
		time.Sleep(rand.N(50 * time.Millisecond)) // a move has to wait for it
	}
	return state.Count, nil
}

// unknown is told of messages of Send.
func (k *keeper) unknown(u keys.Unknown) {
	var m numbered
	if err := k.node.Codec().Decode(u.Body, &m); err != nil {
		k.say(event{What: "wrong", Error: err.Error()})
	}
	k.note(keyStep{What: unknown, Process: m.Process, Key: u.Key, N: m.N, Error: text(u.Err)})
}

// run sends to a key, bursts of Send and then a Call, until ctx ends. A Call that was answered says that
// all messages before have their outcomes.
func (k *keeper) run(ctx context.Context, key string, every time.Duration) {
	n := uint64(0)
	for due := time.Now(); pause(ctx, time.Until(due)); due = due.Add(every) {
		for burst := rand.IntN(4); burst >= 0; burst-- {
			n++
			s := keyStep{What: begun, Process: k.terms.Process, Key: key, N: n, Again: n%2 == 0}
			m := numbered{s.Process, n, s.Again}
			var opts []keys.SendOption
			if s.Again {
				opts = append(opts, keys.Again())
			}
			k.note(s)
			var err error
			if burst > 0 {
				if err = count.Send(context.Background(), k.space, key, m, opts...); err == nil {
					continue
				}
			} else if _, err = count.Call(context.Background(), k.space, key, m, opts...); err == nil {
				s.What = answered
			}
			s.Error = text(err)
			switch {
			case err == nil:
			case errors.Is(err, keys.ErrUnknown) && !errors.Is(err, keys.ErrNotHandled):
				s.What = unknown
			case errors.Is(err, keys.ErrNotHandled):
				s.What = notHandled
			default:
				s.What = failed
			}
			k.note(s)
		}
		if ctx.Err() == nil && time.Since(due) > every { // it has waited
			due = time.Now()
		}
	}
}

// end sends nothing more, and waits for all outcomes.
func (k *keeper) end() error {
	if k.stop == nil {
		return nil
	}
	k.stop()
	k.sending.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := k.space.Flush(ctx); err != nil && !errors.Is(err, keys.ErrUnknown) && !errors.Is(err, ringdht.ErrClosed) {
		return fmt.Errorf("flushing: %w; %+v", err, k.space.Counters())
	}
	return nil
}

func (k *keeper) execute(ask command) {
	switch ask.Do {
	case "send":
		var ctx context.Context
		ctx, k.stop = context.WithCancel(context.Background())
		for i := range keysOfAll {
			k.sending.Go(func() { k.run(ctx, fmt.Sprint("key-", i), keysOfAll*time.Second/time.Duration(ask.Rate)) })
		}
		k.say(answer(ask, nil))
	case "stop":
		go func() { k.say(answer(ask, k.end())) }()
	case "leave":
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), ask.Timeout)
			defer cancel()
			err := k.end()
			if left := k.node.Leave(ctx); ctx.Err() != nil {
				err = errors.Join(err, left)
			}
			k.say(answer(ask, err))
			os.Exit(0)
		}()
	case "quit":
		k.node.Close()
		time.Sleep(100 * time.Millisecond) // for what WithUnknown is told
		k.say(answer(ask, nil))
		os.Exit(0)
	}
}
