package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/report"
	"github.com/x/ringdht/examples/internal/table"
	"github.com/x/ringdht/examples/internal/watch"
	"github.com/x/ringdht/status"
)

// patience bounds how long a command may wait for its sink, once the overlay is set up.
const patience = 10 * time.Second

// messenger executes the commands. Those that send and wait are in send.go.
type messenger struct {
	node     *ringdht.Node
	texts    *ringdht.Service // of the node
	entrance console.Entrance
	registry string // its address
	screen   *console.Screen
	json     bool
	wait     time.Duration // for the registry, and for the set-up
	pulse    pulse
}

func (m *messenger) console() *console.Console {
	return &console.Console{
		Screen: m.screen,
		JSON:   m.json,
		Nodes:  m.known,
		Named:  m.named,
		Known:  m.names,
		Elsewhere: console.Elsewhere{Program: "the registry", Names: []string{
			"list-messaging-nodes", "setup-overlay", "start", "stop", "summary", "list-routing-tables", "list-nodes",
			"show-node", "list-degraded-pairs", "list-events", "list-runs", "audit", "keys", "owner"}},
		Commands: m.commands(),
		Notes:    "Messages to this node are printed as they arrive.\n",
		Ended:    func() { m.screen.Say("End of input: this node stays in the ring until it is interrupted (Ctrl-C).") },
		Losing:   m.losing,
	}
}

// losing says what ends with the program.
func (m *messenger) losing() string {
	if m.node.Table().Len() == 0 {
		return ""
	}
	return "This node is part of the overlay. Ctrl-C again, or exit-overlay, leaves it."
}

func (m *messenger) commands() []console.Command {
	return []console.Command{
		{Name: "print-counters-and-diagnostics", Short: "print", Run: m.print,
			Help: "shows the packets sent, received and relayed by this node, and the sums of values sent and received; and the state of its links",
			More: "The figures of traffic runs are of the run under way or the latest one, and of all. Below them are the counts of messages " +
				"of all kinds, how full the buffers are, and what was dropped, by reason.",
			Examples: []string{"print-counters-and-diagnostics", "print", "p-c -json"}},
		{Name: "send", Args: "node text", Min: 2, Max: 2, Text: true, Run: m.send,
			Help: "sends a text to a node",
			More: "Give the node by its name, by its ID, or by the start of its ID and a *, such as 42*. If it is an entry of this node's table, " +
				"its address or a part of it, such as :8080, is enough. With JSON type send -json node text: everything after the node is text. " +
				"Before the overlay is set up it waits for that, for as long as the flag -wait says.",
			Examples: []string{"send {a} hello there", "send -json {a} hello there"}},
		{Name: "trace", Args: "node", Min: 1, Max: 1, Run: m.trace,
			Help:     "shows the route to a node, hop by hop",
			More:     "Each node on the route answers; the time is how long its answer took. See help send for how to name a node, and when it waits.",
			Examples: []string{"trace {a}", "trace {a} -json"}},
		{Name: "wait", Args: "[n]", Max: 1, Run: m.await,
			Help:     "waits until the overlay is set up and this node can send; wait n also until it knows n nodes",
			More:     "It is for scripts. The n nodes include this one.",
			Examples: []string{"wait", "wait 2"}},
		{Name: "table", Run: m.table,
			Help:     "shows the routing table of this node",
			More:     "Its entries are the nodes to which it has links, clockwise.",
			Examples: []string{"table", "table -json"}},
		{Name: "list-known-nodes", Short: "nodes", Run: m.nodes,
			Help:     "lists the nodes to which messages can be sent",
			More:     "In rings of more than 1,024 nodes it is a sample. A node knows only the addresses of the entries of its table.",
			Examples: []string{"list-known-nodes", "nodes -json"}},
		{Name: "watch", Args: "[seconds]", Max: 1, Run: m.watch,
			Help: "shows this node's throughput, links and buffers as they change",
			More: "On a terminal it fills the screen until Enter, q and Enter, Ctrl-C, or the end of the seconds, and then restores it. " +
				"A command that is typed also ends it, and runs. Messages that arrive meanwhile are printed after it. " +
				"Without a terminal, and with -json, it prints a line each second.",
			Examples: []string{"watch 2", "watch 2 -json"}},
		{Name: "exit-overlay", Short: "exit", Also: []string{"quit"}, Ends: true, Run: func(context.Context, *console.Call) error { return console.ErrQuit },
			Help:     "leaves the ring and ends the program",
			More:     "It first waits until all messages that this node has sent are delivered.",
			Examples: []string{"exit-overlay"}},
	}
}

// known returns the nodes that can be named: the entries of the table first, with their
// addresses, and this node last.
func (m *messenger) known() console.Nodes {
	nodes := slices.AppendSeq(console.Nodes{}, m.node.Table().Entries())
	entries := len(nodes)
	for _, member := range m.node.Members() {
		if !slices.ContainsFunc(nodes[:entries], func(p ringdht.Peer) bool { return p.ID == member.ID }) {
			nodes = append(nodes, ringdht.Peer{ID: member.ID})
		}
	}
	return append(nodes, m.node.Peer())
}

// named finds the node that has a name. In a large ring it asks the registry.
func (m *messenger) named(name string) (ringdht.ID, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), slowAnswer)
	defer cancel()
	found, err := m.node.Lookup(ctx, name)
	return found.ID, err == nil
}

// names lists the names of nodes that this node knows.
func (m *messenger) names() (names []string) {
	for _, member := range append(m.node.Members(), m.node.Self()) {
		if member.Name != "" {
			names = append(names, member.Name)
		}
	}
	return names
}

// receive prints a message. It is the service's handler.
func (m *messenger) receive(_ context.Context, msg ringdht.Message) {
	m.report(newMessage(msg), fmt.Sprintf("Message from %d (%s): %s", msg.Source, console.Count(msg.Hops, "hop"), printable(msg.Body)))
}

// printable returns a message unchanged if it is one line of text, and quoted otherwise: it
// comes from another machine and could move the cursor.
func printable(body []byte) string {
	text := string(body)
	if utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return text
	}
	return strconv.Quote(text)
}

// leave leaves the ring. If all messages are delivered, a registry that does not confirm in
// time is no error: it may be gone, or it may be rebuilding the membership.
func (m *messenger) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, leaveTimeout, slow(leaveTimeout))
	defer cancel()
	err := m.node.Leave(ctx)
	if _, undelivered := errors.AsType[*status.UndeliveredError](err); undelivered {
		return err
	}
	m.report(m.event(eventLeft), "exited overlay")
	return nil
}

// slow returns the cause of a timeout.
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
	width := c.Screen.Columns()
	head := table.Wrap(fmt.Sprintf("Node %d%s at %s, %s\nOverlay: %s\n", s.ID, named(s.Name), s.Addr, m.where(), overlay), width)
	c.Show(diagnostics{s, m.registry, m.lost()}, head+report.Figures(s.Runs, width)+report.Counters(s.Counters)+
		report.Links(s.Links, func(id ringdht.ID) string { return addrs[id] }, width)+report.Streams(&s, width))
	return nil
}

// named is what stands behind an ID.
func named(name string) string {
	if name == "" {
		return ""
	}
	return " (" + name + ")"
}

// lost reports whether the connection to the registry is lost.
func (m *messenger) lost() bool {
	select {
	case <-m.node.Disconnected():
		return true
	default:
		return false
	}
}

// where says where the registry is, and whether it can be reached.
func (m *messenger) where() string {
	if m.lost() {
		return "registry at " + m.registry + ", which cannot be reached"
	}
	return "registry at " + m.registry
}

func (m *messenger) table(_ context.Context, c *console.Call) error {
	t := m.node.Table()
	if t.Epoch() == 0 {
		return errors.New("there is no routing table yet: run setup-overlay at the registry")
	}
	c.Show(report.NewRoutesDocument(m.node.Peer(), t), report.Table(m.node.Peer(), t, c.Screen.Columns()))
	return nil
}

func (m *messenger) nodes(_ context.Context, c *console.Call) error {
	nodes := append(m.node.Members(), m.node.Self())
	slices.SortFunc(nodes, func(a, b status.MemberInfo) int { return cmp.Compare(a.ID, b.ID) })
	text := report.Peers(nodes, c.Screen.Columns())
	if slices.ContainsFunc(nodes, func(m status.MemberInfo) bool { return m.Addr == "" }) {
		text += table.Wrap("This node knows the hosts of its table's entries, and of those next to it.\n", c.Screen.Columns())
	}
	c.Show(nodes, text)
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
