// Chat is a chat of all members of a ring. There is no server: the registry admits members, and what
// they say goes from one to the other.
//
//	go run ./examples/registry -setup auto 12345
//	go run ./examples/chat -name ann localhost:12345
//	go run ./examples/chat -name bob localhost:12345
//
// In a secure ring give the join line in the place of host:port, or in the variable RINGDHT_JOIN,
// since other users of a machine can see arguments. A line that is typed goes to all in the room.
// These begin with a slash:
//
//	/room NAME   goes to another room; each begins with the latest line that was said there
//	/who         lists the members that chat, in all rooms
//	/quit        leaves the ring, as Ctrl-C and Ctrl-D do
package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"

	"github.com/x/ringdht"
	"github.com/x/ringdht/status"
	"github.com/x/ringdht/topic"
)

const (
	service  = "chat"           // of all nodes that chat
	patience = time.Second      // then the program says what it waits for
	grace    = 10 * time.Second // to leave in order
)

// line is what a member says in a room. The node's codec carries it, msgpack by default.
type line struct {
	Name string // a line may outlive its member, so it has the name
	Text string
	Said time.Time
}

func main() {
	name := flag.String("name", os.Getenv("USER"), "your `name`, which no other member has")
	room := flag.String("room", "lobby", "the `room` to begin in")
	flag.Parse()
	at := cmp.Or(flag.Arg(0), os.Getenv("RINGDHT_JOIN"))
	if *name == "" || at == "" || flag.NArg() > 1 {
		fmt.Fprintln(os.Stderr, "usage: chat -name NAME HOST:PORT, where a registry listens, or the join line of a secure ring")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, at, *name, *room, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "chat:", err)
		os.Exit(1)
	}
}

// run chats until the input ends, /quit is typed, or ctx ends. Then it leaves the ring in order:
// all members have what was said.
func run(ctx context.Context, at, name, room string, in io.Reader, out io.Writer) error {
	c := &chat{node: ringdht.NewNode(ringdht.WithName(name)), name: name, out: out}
	defer c.node.Close() // after Leave it does nothing
	// What a node serves is made before Join. Here is the place for a service of one's own, too.
	c.lines = topic.New[line](c.node, service, topic.WithRetained())
	slowly := time.AfterFunc(patience, func() {
		c.print("* waiting for the registry: a new one lets earlier members come back first")
	})
	err := c.node.Join(ctx, at)
	slowly.Stop()
	if err != nil {
		return ended(ctx, err)
	}
	err = c.talk(ctx, room, in)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	return errors.Join(err, c.node.Leave(end))
}

// chat is one member, in one room at a time.
type chat struct {
	node  *ringdht.Node
	lines *topic.Topic[line] // its subjects are the rooms
	name  string

	// Of the goroutine that calls talk.
	room  string
	leave func() // leaves the room; nil before the first

	mu  sync.Mutex
	out io.Writer // guarded by mu
}

func (c *chat) talk(ctx context.Context, room string, in io.Reader) error {
	ctx, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer stop()
	slowly := time.AfterFunc(patience, func() {
		if why := c.node.ReadyNow(); why != nil { // such as a ring that is not set up
			c.print("* waiting: %v", why)
		}
	})
	err := c.node.Ready(ctx)
	slowly.Stop()
	if err != nil {
		return ended(ctx, err)
	}
	if err := c.enter(ctx, room); err != nil {
		return ended(ctx, err)
	}
	defer func() { c.leave() }()
	watching.Go(func() {
		defer stop() // it has ended by itself if the node is over, such as by Registry.Expel
		c.watch(ctx)
	})

	typed := make(chan string)
	go func() { // ends with the process: nothing interrupts a read from a terminal
		defer close(typed)
		s := bufio.NewScanner(in)
		for s.Scan() {
			select {
			case typed <- s.Text():
			case <-ctx.Done():
				return
			}
		}
		if err := s.Err(); err != nil { // such as a line of more than 64 KiB
			c.print("* the input cannot be read any further: %v", err)
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case text, ok := <-typed:
			if !ok || text == "/quit" {
				return nil
			}
			if err := ended(ctx, c.obey(ctx, text)); err != nil {
				c.print("* %v", err) // such as a line that is too long
			}
		}
	}
}

// ended is nil if err only says that ctx has ended.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// obey carries out what was typed.
func (c *chat) obey(ctx context.Context, text string) error {
	command, rest, _ := strings.Cut(text, " ")
	switch {
	case text == "":
		return nil
	case command == "/room" && rest != "":
		return c.enter(ctx, rest)
	case command == "/who":
		c.list()
		return nil
	case strings.HasPrefix(command, "/"):
		c.print("* /room NAME, /who or /quit; any other line goes to all in the room")
		return nil
	}
	return c.lines.Publish(ctx, c.room, line{c.name, text, time.Now()})
}

// enter goes to a room, and shows what is said there until the next room.
func (c *chat) enter(ctx context.Context, room string) error {
	said, err := c.lines.Subscribe(ctx, room) // when it returns, no further line is missed
	if err != nil {
		return err
	}
	if c.leave != nil {
		c.leave()
	}
	c.print("* you are in the room %s", room)
	var showing sync.WaitGroup
	showing.Go(func() {
		for m := range said.All(ctx) {
			if m.Missed > 0 {
				c.print("* %d lines were missed here: this terminal was too slow", m.Missed)
			}
			if m.Source != c.node.ID() { // what was typed is on the terminal already
				c.print("%s %s: %s", m.Value.Said.Local().Format("15:04"), m.Value.Name, m.Value.Text)
			}
		}
	})
	c.room, c.leave = room, func() { said.Close(); showing.Wait() }
	return nil
}

// watch shows the members that come and go. It begins with those that are here already.
func (c *chat) watch(ctx context.Context) {
	for e := range c.node.Watch(ctx) {
		switch {
		case !slices.Contains(e.Services, service): // a node of another program
		case e.Self && e.Change == status.MemberDied:
			c.print("* the ring took this node for dead: your latest lines may be lost")
		case e.Self:
			c.print("* you are %s, node %d", e.Name, e.ID)
		case e.Change == status.MemberPresent:
			c.print("* %s is here", e.Name)
		case e.Change == status.MemberEnded:
			c.print("* %s is gone", e.Name)
		default:
			c.print("* %s %s", e.Name, e.Change) // joined, left, died
		}
	}
}

// list shows the members that chat.
func (c *chat) list() {
	names := []string{c.name}
	for _, m := range c.node.Members() {
		if slices.Contains(m.Services, service) {
			names = append(names, m.Name)
		}
	}
	slices.Sort(names)
	c.print("* here: %s", strings.Join(names, ", "))
}

// print prints a line. What comes from others might move the cursor, so only letters, marks and
// the like are shown.
func (c *chat) print(format string, args ...any) {
	text := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, fmt.Sprintf(format, args...))
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintln(c.out, text)
}
