package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/report"
	"github.com/x/ringdht/examples/internal/watch"
)

// patience bounds how long a typed message may wait for its sink.
const patience = 10 * time.Second

// messenger carries out the commands.
type messenger struct {
	node     *ringdht.Node
	registry string
	screen   *console.Screen
	json     bool
}

func (m *messenger) console() *console.Console {
	return &console.Console{
		Screen:   m.screen,
		JSON:     m.json,
		Nodes:    m.known,
		Commands: m.commands(),
		Notes:    "Messages that others send to this node are printed as they come.\n",
		Ended:    func() { m.screen.Say("End of input: staying in the overlay until interrupted.") },
	}
}

func (m *messenger) commands() []console.Command {
	return []console.Command{
		{Name: "print-counters-and-diagnostics", Short: "print", Run: m.print,
			Help:     "shows what this node has sent, received and relayed, and how its links do",
			More:     "Also how much of its buffers is in use, and what was dropped, by reason.",
			Examples: []string{"print-counters-and-diagnostics", "print", "p-c -json"}},
		{Name: "send", Args: "node text", Min: 2, Max: 2, Text: true, Run: m.send,
			Help: "sends a text to a node",
			More: "The node is given by its ID, or, if it is an entry of this node's table, by its address or a part of it such as :8080; " +
				"42* is the ID that begins so, if there is one only. With -json it is send -json node text: behind the node all is text.",
			Examples: []string{"send {a} hello there", "send -json {a} hello there"}},
		{Name: "trace", Args: "node", Min: 1, Max: 1, Run: m.trace,
			Help:     "shows the way to a node, hop by hop",
			More:     "Each node on the way answers, and the time is that until the answer came. See help send for how to name a node.",
			Examples: []string{"trace {a}", "trace {a} -json"}},
		{Name: "table", Run: m.table,
			Help:     "shows the routing table of this node",
			More:     "Its entries are the nodes that it has links to, clockwise.",
			Examples: []string{"table", "table -json"}},
		{Name: "list-known-nodes", Short: "nodes", Run: m.nodes,
			Help:     "lists the nodes that messages can be sent to",
			More:     "As far as this node has heard: in rings of more than 1,024 it knows a sample. It has the addresses of the entries of its table only.",
			Examples: []string{"list-known-nodes", "nodes -json"}},
		{Name: "watch", Args: "[seconds]", Max: 1, Run: m.watch,
			Help: "shows this node's throughput, links and buffers as they change",
			More: "On a terminal it fills the screen until Enter, q and Enter, Ctrl-C, or the seconds are over, and leaves it as it was; " +
				"a command that is typed is carried out after it. Messages that come meanwhile appear then. " +
				"Elsewhere, and with -json, it prints a line for each second.",
			Examples: []string{"watch 2", "watch 2 -json"}},
		{Name: "exit-overlay", Short: "exit", Run: func(context.Context, *console.Call) error { return console.ErrQuit },
			Help:     "leaves the ring and ends the program",
			More:     "What this node has accepted is delivered first.",
			Examples: []string{"exit-overlay"}},
	}
}

// known are the nodes that can be named: those of the table first, with their addresses,
// and this one last.
func (m *messenger) known() console.Nodes {
	nodes := slices.AppendSeq(console.Nodes{}, m.node.Table().Entries())
	entries := len(nodes)
	for _, id := range m.node.Members() {
		if !slices.ContainsFunc(nodes[:entries], func(p ringdht.Peer) bool { return p.ID == id }) {
			nodes = append(nodes, ringdht.Peer{ID: id})
		}
	}
	return append(nodes, m.node.Peer())
}

// receive prints what people send. It is the node's handler.
func (m *messenger) receive(_ context.Context, msg ringdht.Message) {
	m.report(newMessage(msg), fmt.Sprintf("Message from %d (%s): %s", msg.Source, console.Count(msg.Hops, "hop"), printable(msg.Body)))
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

// watchRegistry says when the registry is gone and when it is back, until the function that it
// returns is called.
func (m *messenger) watchRegistry() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
				return
			case <-m.node.Lost():
			}
			id, inc := m.node.ID(), m.node.Life()
			m.report(event{Event: eventLost, Registry: m.registry},
				fmt.Sprintf("The registry at %s is gone. Messages still flow, and this node looks for it.", m.registry))
			if !m.awaitRegistry(ctx) {
				return
			}
			if m.node.Life() == inc {
				m.report(event{Event: eventBack, Registry: m.registry}, fmt.Sprintf("The registry at %s is back.", m.registry))
			} else {
				m.report(m.event(eventRejoined), fmt.Sprintf("Node %d was taken for dead, and has joined again as node %d.", id, m.node.ID()))
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// awaitRegistry waits until the registry is back, and says why it refuses this node if it
// does: waiting does not help then.
func (m *messenger) awaitRegistry(ctx context.Context) bool {
	said := ""
	for {
		check, cancel := context.WithTimeout(ctx, checkInterval)
		err := m.node.Found(check)
		cancel()
		switch {
		case err == nil:
			return true
		case ctx.Err() != nil || errors.Is(err, ringdht.ErrClosed):
			return false
		case refused(err):
			if why := m.reason(err); why != said {
				said = why
				m.report(event{Event: eventLost, Registry: m.registry, Why: why}, fmt.Sprintf("The registry at %s refuses this node: %s", m.registry, why))
			}
		}
	}
}

// refused says that the registry has answered, and said no, and that waiting does not help.
func refused(err error) bool {
	for _, no := range []error{ringdht.ErrHandshake, ringdht.ErrRingFull, ringdht.ErrAddressTaken, ringdht.ErrIDTaken,
		ringdht.ErrHostMismatch, ringdht.ErrUnreachable, ringdht.ErrNotMember} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

// reason is what the registry said: the error of [ringdht.Node.Found] without what goes
// without saying.
func (m *messenger) reason(err error) string {
	text := strings.TrimSuffix(err.Error(), ": "+context.DeadlineExceeded.Error())
	if _, why, ok := strings.Cut(text, ringdht.ErrRegistryLost.Error()+" ("); ok {
		text = strings.TrimSuffix(why, ")")
	}
	text = strings.TrimPrefix(text, fmt.Sprintf("%v by %s: ", ringdht.ErrHandshake, m.registry))
	return console.Text(errors.New(strings.TrimPrefix(text, ringdht.ErrHandshake.Error()+": ")))
}

// checkInterval is how often it is looked whether the registry refuses this node.
const checkInterval = time.Second

// leave leaves the ring. As long as nothing is left undelivered it is no error that the
// registry does not confirm it in time: it may be gone, or be rebuilding the ring that was.
func (m *messenger) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, leaveTimeout, slow(leaveTimeout))
	defer cancel()
	err := m.node.Leave(ctx)
	if _, undelivered := errors.AsType[*ringdht.UndeliveredError](err); undelivered {
		return err
	}
	m.report(m.event(eventLeft), "exited overlay")
	return nil
}

// slow is why a wait has ended.
func slow(limit time.Duration) error { return fmt.Errorf("no answer within %v", limit) }

func (m *messenger) print(_ context.Context, c *console.Call) error {
	s, t := m.node.Status(), m.node.Table()
	overlay := "the overlay is not set up yet"
	if t.Epoch() > 0 {
		entries := "entries"
		if t.Len() == 1 {
			entries = "entry"
		}
		overlay = fmt.Sprintf("epoch %d, %d routing table %s, %s in all", t.Epoch(), t.Len(), entries,
			console.Count(len(m.node.Members())+1, "node"))
	}
	addrs := make(map[ringdht.ID]string)
	for e := range t.Entries() {
		addrs[e.ID] = e.Addr
	}
	c.Show(diagnostics{s, m.registry, m.lost()}, fmt.Sprintf("Node %d at %s, %s\nOverlay: %s\n%s%s%s", s.ID, s.Addr, m.where(), overlay,
		report.Counters(s.Counters), report.Links(s.Links, func(id ringdht.ID) string { return addrs[id] }), report.Streams(&s)))
	return nil
}

// lost says that the registry is gone.
func (m *messenger) lost() bool {
	select {
	case <-m.node.Lost():
		return true
	default:
		return false
	}
}

// where is where the registry is, and whether it is.
func (m *messenger) where() string {
	if m.lost() {
		return "registry at " + m.registry + ", which is gone"
	}
	return "registry at " + m.registry
}

func (m *messenger) send(ctx context.Context, c *console.Call) error {
	to, err := c.Node(0)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, slow(patience))
	defer cancel()
	err = c.Screen.While(func() error {
		return m.whenReady(ctx, func() error { return m.node.Send(ctx, to, []byte(c.Args[1])) })
	}, func() string {
		return fmt.Sprintf("sending: waiting for node %d", to)
	})
	if err != nil {
		return err
	}
	c.Show(sent{to, len(c.Args[1])}, fmt.Sprintf("Sent to %d.", to))
	return nil
}

// whenReady does what needs a routing table. A node that has just joined a live ring gets
// one in a moment, for which the first command of a script waits; and a ring may be set up
// at the same moment.
func (m *messenger) whenReady(ctx context.Context, do func() error) error {
	err := do()
	if !errors.Is(err, ringdht.ErrNotReady) {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	if m.node.Ready(wait) != nil && m.node.Table().Epoch() == 0 {
		return err
	}
	return do()
}

// readyTime is how long a command waits for that.
const readyTime = 2 * time.Second

func (m *messenger) trace(ctx context.Context, c *console.Call) error {
	to, err := c.Node(0)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, slow(patience))
	defer cancel()
	from := m.node.ID()
	var hops []ringdht.Hop
	err = c.Screen.While(func() error {
		return m.whenReady(ctx, func() (err error) {
			hops, err = m.node.Trace(ctx, to)
			return err
		})
	}, func() string { return "tracing: waiting for answers" })
	switch text := report.Trace(from, to, hops); {
	case err == nil:
		c.Show(report.TraceDocument{From: from, To: to, Hops: append([]ringdht.Hop{}, hops...)}, text)
	case len(hops) > 0: // as far as it came
		c.Screen.Say("%s", text)
	}
	return err
}

func (m *messenger) table(_ context.Context, c *console.Call) error {
	t := m.node.Table()
	if t.Epoch() == 0 {
		return errors.New("there is no routing table yet: the registry hands them out with setup-overlay")
	}
	c.Show(report.NewRoutesDocument(m.node.Peer(), t), report.Table(m.node.Peer(), t))
	return nil
}

func (m *messenger) nodes(_ context.Context, c *console.Call) error {
	nodes := m.known()
	slices.SortFunc(nodes, func(a, b ringdht.Peer) int { return cmp.Compare(a.ID, b.ID) })
	c.Show(nodes, report.Peers(nodes))
	return nil
}

func (m *messenger) watch(ctx context.Context, c *console.Call) error {
	seconds := 0
	if len(c.Args) > 0 {
		var err error
		if seconds, err = console.Number("seconds", c.Args[0], 1); err != nil {
			return err
		}
	}
	return c.Watch(ctx, watch.NewNode(func() watch.Sample {
		return watch.Sample{Time: time.Now(), Status: m.node.Status(), Registry: m.registry, Lost: m.lost(), Peers: slices.Collect(m.node.Table().Entries())}
	}), seconds, nil)
}
