package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/report"
)

// patience bounds how long a typed message may wait for its sink.
const patience = 10 * time.Second

// messenger carries out the commands.
type messenger struct {
	node     *ringdht.Node
	registry string
	screen   *console.Screen
}

func (m *messenger) console() *console.Console {
	return &console.Console{
		Screen: m.screen,
		Commands: []console.Command{
			{Name: "print-counters-and-diagnostics", Short: "print", Run: m.print,
				Help: "shows what this node has sent, received and relayed"},
			{Name: "send", Args: "id text", Min: 2, Max: 2, Text: true, Run: m.send,
				Help: "sends a text to the node with this ID"},
			{Name: "trace", Args: "id", Min: 1, Max: 1, Run: m.trace,
				Help: "shows the way to the node with this ID, hop by hop"},
			{Name: "table", Run: m.table,
				Help: "shows the routing table of this node"},
			{Name: "exit-overlay", Short: "exit", Run: func(context.Context, []string) error { return console.ErrQuit },
				Help: "leaves the ring and ends the program"},
		},
		Notes: "Messages that others send to this node are printed as they come.\n",
		Ended: func() { m.screen.Say("End of input: staying in the overlay until interrupted.") },
	}
}

// receive prints what people send. It is the node's handler.
func (m *messenger) receive(_ context.Context, msg ringdht.Message) {
	m.screen.Print(fmt.Sprintf("Message from %d (%s): %s", msg.Source, console.Count(msg.Hops, "hop"), printable(msg.Body)))
}

// printable is a message as it is, if it is one line of text, and quoted if not:
// it comes from elsewhere and might move the cursor.
func printable(body []byte) string {
	text := string(body)
	if utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return text
	}
	return strconv.Quote(text)
}

// watch says when the registry is gone and when it is back, until the function that it
// returns is called.
func (m *messenger) watch() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
				return
			case <-m.node.Lost():
			}
			id, life := m.node.ID(), m.node.Life()
			m.screen.Say("The registry at %s is gone. Messages still flow, and this node looks for it.", m.registry)
			if m.node.Found(ctx) != nil {
				return
			}
			if m.node.Life() == life {
				m.screen.Say("The registry at %s is back.", m.registry)
			} else {
				m.screen.Say("Node %d was taken for dead, and has joined again as node %d.", id, m.node.ID())
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// leave leaves the ring. A registry that is gone already is no error then.
func (m *messenger) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	err := m.node.Leave(ctx)
	if _, undelivered := errors.AsType[*ringdht.UndeliveredError](err); err != nil && (undelivered || !errors.Is(err, ringdht.ErrRegistryLost)) {
		return err
	}
	m.screen.Print("exited overlay")
	return nil
}

func (m *messenger) print(context.Context, []string) error {
	state := "registry at " + m.registry
	select {
	case <-m.node.Lost():
		state += ", which is gone"
	default:
	}
	t := m.node.Table()
	overlay := "the overlay is not set up yet"
	if t.Epoch() > 0 {
		entries := "entries"
		if t.Len() == 1 {
			entries = "entry"
		}
		overlay = fmt.Sprintf("epoch %d, %d routing table %s, %s in all", t.Epoch(), t.Len(), entries,
			console.Count(len(m.node.Members())+1, "node"))
	}
	m.screen.Print(fmt.Sprintf("Node %d at %s, %s\nOverlay: %s\n%s", m.node.ID(), m.node.Peer().Addr, state, overlay,
		report.Counters(m.node.Counters())))
	return nil
}

func (m *messenger) send(ctx context.Context, args []string) error {
	to, err := console.ID(args[0])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = m.screen.While(func() error { return m.node.Send(ctx, to, []byte(args[1])) }, func() string {
		return fmt.Sprintf("sending: waiting for node %d", to)
	})
	if err != nil {
		return err
	}
	m.screen.Say("Sent to %d.", to)
	return nil
}

func (m *messenger) trace(ctx context.Context, args []string) error {
	to, err := console.ID(args[0])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var hops []ringdht.Hop
	err = m.screen.While(func() (err error) {
		hops, err = m.node.Trace(ctx, to)
		return err
	}, func() string { return "tracing: waiting for answers" })
	if err == nil || len(hops) > 0 {
		m.screen.Print(report.Trace(m.node.ID(), to, hops))
	}
	return err
}

func (m *messenger) table(context.Context, []string) error {
	t := m.node.Table()
	if t.Epoch() == 0 {
		return errors.New("there is no routing table yet: the registry hands them out with setup-overlay")
	}
	m.screen.Print(report.Table(m.node.Peer(), t))
	return nil
}
