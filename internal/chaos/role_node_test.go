//go:build linux

package chaos

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/status"
)

// member is a process with a node.
type member struct {
	terms    terms
	say      func(event)
	book     *book
	node     *ringdht.Node
	arrivals arrivalLog
	sender   *sender
}

func runNode(t terms) {
	talk := &eventWriter{out: os.Stdout}
	m := &member{terms: t, say: talk.say, arrivals: arrivalLog{all: make(map[uint64]*arrivals)}}
	if err := m.join(); err != nil {
		m.say(event{What: "failed", Error: err.Error()})
		os.Exit(1)
	}
	go m.watch()
	readCommands(os.Stdin, m.execute)
}

func (m *member) join() (err error) {
	if m.book, err = createBook(m.terms.Book); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	opts := []ringdht.NodeOption{ringdht.WithListen(m.terms.Listen), ringdht.WithLogger(logger())}
	if m.terms.AskID {
		opts = append(opts, ringdht.WithID(ringdht.ID(m.terms.ID)))
	}
	m.node = ringdht.NewNode(opts...)
	load := m.node.Service("load")
	load.Handle(m.handle)
	load.OnUndelivered(m.undelivered)
	m.sender = newSender(m.terms.Process, m.node, load, m.book)
	if err := m.node.Join(ctx, m.terms.Registry); err != nil {
		return err
	}
	m.say(event{What: "joined", ID: uint64(m.node.ID()), Incarnation: m.node.Incarnation()})
	go func() {
		err := m.node.Ready(context.Background())
		m.say(event{What: "ready", Error: text(err)})
	}()
	return nil
}

func (m *member) handle(_ context.Context, msg ringdht.Message) {
	h, err := parse(msg.Body)
	if err != nil {
		m.book.noteCorrupt(uint64(msg.Source), 0)
		return
	}
	m.book.noteReceived(uint64(msg.Source), 0, h)
	m.arrivals.arrived(h.process, h.at, time.Now().UnixNano())
}

// undelivered notes the messages that the library reports as undelivered.
func (m *member) undelivered(u status.Undelivered) {
	if u.Messages != uint64(len(u.Bodies)) {
		m.say(event{What: "wrong", Error: fmt.Sprintf("%d undelivered messages to %d, with %d bodies", u.Messages, u.Sink, len(u.Bodies))})
	}
	for _, body := range u.Bodies {
		h, err := parse(body)
		if err != nil || h.process != m.terms.Process || h.sink != uint64(u.Sink) {
			m.say(event{What: "wrong", Error: fmt.Sprintf("an undelivered message to %d that this node never sent: %v, %v", u.Sink, h, err)})
			continue
		}
		m.book.noteUndelivered(h.process, h.sink, h.n)
	}
}

// watch reports the state of the node, and when it has a new incarnation.
func (m *member) watch() {
	id, inc := m.node.ID(), m.node.Incarnation()
	for range time.Tick(sampling) {
		if i, l := m.node.ID(), m.node.Incarnation(); i != id || l != inc {
			id, inc = i, l
			m.say(event{What: "rejoined", ID: uint64(id), Incarnation: inc})
		}
		m.say(event{What: "progress", State: m.state()})
	}
}

func (m *member) state() *state {
	s := &state{Epoch: m.node.Table().Epoch()}
	m.sender.report(s)
	m.arrivals.report(s)
	return s
}

// execute executes a command. Slow commands get a goroutine of their own.
func (m *member) execute(c command) {
	switch c.Do {
	case "send":
		m.sender.start(c.Rate, c.Payload, c.Drawn)
		m.say(answer(c, nil))
	case "stop":
		go func() {
			m.sender.stop()
			m.say(answer(c, nil))
		}()
	case "mark":
		m.arrivals.start(c.Mark, c.At, c.Keep)
	case "state":
		m.say(event{What: "progress", Ask: c.Ask, State: m.state()})
		m.say(answer(c, nil))
	case "flush":
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), c.Timeout)
			defer cancel()
			err := m.node.Flush(ctx)
			if ctx.Err() == nil {
				err = nil // the book has the undelivered messages
			}
			m.say(answer(c, err))
		}()
	case "leave":
		go func() {
			m.sender.stop()
			ctx, cancel := context.WithTimeout(context.Background(), c.Timeout)
			defer cancel()
			err := m.node.Leave(ctx)
			if ctx.Err() == nil {
				err = nil
			}
			m.say(answer(c, err))
			os.Exit(0)
		}()
	case "quit":
		m.sender.stop()
		m.node.Close()
		m.say(answer(c, nil))
		os.Exit(0)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
