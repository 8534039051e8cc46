package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/page"
)

// defaultValidity is the default of -validity.
const defaultValidity = 24 * time.Hour

// settings are the program's arguments.
type settings struct {
	addr              string // where to listen
	bits, maxPayload  int
	ring, state       string
	grace, lease      time.Duration
	json, csv, strict bool
	secure            bool
	validity          time.Duration
	setup             *tables
	members           int // to wait for before the set-up
	page              *page.Flags
	codec             *ringdht.Codec
	level             slog.Leveler
}

// tables says which routing tables a set-up makes.
type tables struct {
	k    int // 0 for the default
	plan ringdht.Plan
}

func (s *settings) parse(args []string, stdout io.Writer) (err error) {
	flags := flag.NewFlagSet("registry", flag.ContinueOnError)
	flags.IntVar(&s.bits, "bits", 16, "the ring has 2^`n` IDs, n from 1 to 64")
	flags.IntVar(&s.maxPayload, "max-payload", 64<<10, "the `bytes` of the longest message of the ring, from 4 to 8388608")
	flags.StringVar(&s.ring, "ring", "ring", "the `name` of the ring; nodes of another ring are refused")
	flags.BoolVar(&s.secure, "secure", false, "encrypt the ring, and admit only nodes that have its join line, which is printed")
	flags.DurationVar(&s.validity, "validity", defaultValidity, "how long nodes of a secure ring stay admitted while the registry is away")
	flags.StringVar(&s.state, "state", "", "keep the ring's identity in this `directory`, and the key of a secure ring, so that a restarted registry knows its ring")
	flags.DurationVar(&s.grace, "grace", 0, "admit no new nodes for so long after the start: members of a ring whose registry died come back first")
	flags.DurationVar(&s.lease, "lease", 3*time.Second, "how long a node may be silent before it is declared dead")
	flags.BoolVar(&s.json, "json", false, "print results as JSON, one line for each command, and all else on stderr")
	flags.BoolVar(&s.csv, "csv", false, "print summaries as CSV, and all else on stderr")
	flags.BoolVar(&s.strict, "strict", false, "end with status 1 at the first command that fails, or run that is not exact")
	flags.Func("setup", "set the overlay up by itself, with `k` entries, auto for as many as are useful, or 'k best': with -wait when the nodes are there, otherwise from the first node on", func(text string) error {
		s.setup = new(tables)
		return s.setup.parse(text)
	})
	flags.IntVar(&s.members, "wait", 0, "wait for `n` nodes before -setup")
	console.VersionFlag(flags)
	s.page = page.AddFlags(flags)
	s.codec, s.level = console.CodecFlag(flags), console.LogFlag(flags, slog.LevelWarn)
	if err := console.Parse(flags, args, stdout, manual); err != nil {
		return err
	}
	switch {
	case flags.NArg() != 1:
		return console.Usagef("expected one argument, a port or host:port to listen on, got %d", flags.NArg())
	case s.json && s.csv:
		return console.Usagef("give -json or -csv, not both")
	case s.validity <= 0:
		return console.Usagef("-validity must be more than 0, not %v", s.validity)
	case !s.secure && s.validity != defaultValidity:
		return console.Usagef("-validity needs -secure: nodes of an open ring have no admissions")
	case s.members < 0:
		return console.Usagef("-wait must be at least 1, not %d", s.members)
	case s.members > 0 && s.setup == nil:
		return console.Usagef("-wait needs -setup: without it there is nothing to do when the nodes are there")
	}
	if err := s.page.Check(); err != nil {
		return err
	}
	s.addr, err = console.Address(flags.Arg(0), "")
	return err
}

// parse parses the value of -setup.
func (t *tables) parse(text string) (err error) {
	words := strings.Fields(text)
	if len(words) > 0 && words[0] == "auto" {
		words = words[1:]
	} else if len(words) == 0 {
		return fmt.Errorf("expected auto, a size, or a size and best")
	}
	t.k, t.plan, err = layout(words)
	return err
}

// command returns the command that makes these tables.
func (t *tables) command() string {
	line := "setup-overlay"
	if t.k > 0 {
		line += fmt.Sprint(" ", t.k)
	}
	if t.plan == ringdht.FewestHops {
		line += " best"
	}
	return line
}

// options returns the options of the registry.
func (s *settings) options() []ringdht.RegistryOption {
	opts := []ringdht.RegistryOption{
		ringdht.WithBits(s.bits), ringdht.WithMaxPayload(s.maxPayload), ringdht.WithCodec(*s.codec), ringdht.WithRing(s.ring),
		ringdht.WithGrace(s.grace), ringdht.WithLease(s.lease),
	}
	if s.state != "" {
		opts = append(opts, ringdht.WithState(s.state))
	}
	if s.secure {
		opts = append(opts, ringdht.WithSecurity(s.validity))
	}
	if s.setup != nil && s.members == 0 {
		opts = append(opts, ringdht.WithSelfSetup(s.setup.k, s.setup.plan))
	}
	return opts
}

// run reads commands until the end. With -wait it first sets the overlay up: by commands before
// those of a script, which may rely on it; and in the background where commands are typed.
func (o *operator) run(ctx context.Context, screen *console.Screen, s *settings, stdin io.Reader) error {
	c := o.console(screen, s.json)
	c.Strict = s.strict
	if s.members == 0 {
		return c.Run(ctx, stdin)
	}
	if !typed(stdin) {
		first := fmt.Sprintf("wait %d\n%s\n", s.members, s.setup.command())
		return c.Run(ctx, io.MultiReader(strings.NewReader(first), stdin))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := o.setUpWhenThere(ctx, screen, s); err != nil && ctx.Err() == nil {
			screen.Complain("%s", console.Text(err))
			if s.strict {
				cancel(err)
			}
		}
	}()
	err := c.Run(ctx, stdin)
	cause := context.Cause(ctx)
	cancel(nil)
	<-done
	if err == nil && s.strict && cause != nil && cause != ctx.Err() {
		err = cause
	}
	return err
}

// setUpWhenThere sets the overlay up when the nodes are there.
func (o *operator) setUpWhenThere(ctx context.Context, screen *console.Screen, s *settings) error {
	screen.Say("The overlay is set up when %s registered.", nodesAre(s.members))
	if err := o.registry.WaitMembers(ctx, s.members); err != nil {
		return err
	}
	audit, err := o.registry.Setup(ctx, s.setup.k, s.setup.plan)
	if err != nil {
		return err
	}
	screen.Say("%s registered.", nodesAre(len(o.registry.Members())))
	screen.Say("%s", audit)
	screen.Say("%s", readyText)
	return nil
}

// typed reports whether an input may be a terminal. It is a device, as is a null device, which
// has no commands.
func typed(in io.Reader) bool {
	f, ok := in.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
