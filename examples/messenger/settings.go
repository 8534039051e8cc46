package main

import (
	"errors"
	"flag"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/serve"
)

// settings are the program's arguments.
type settings struct {
	registry                console.Entrance
	advertise, listen, ring string
	id                      *ringdht.ID
	name                    string
	tags                    map[string]string
	wait                    time.Duration
	json, strict            bool
	probes                  *string // where to serve them
	codec                   *ringdht.Codec
	level                   slog.Leveler
}

func (s *settings) parse(args []string, stdin io.Reader, stdout io.Writer) (err error) {
	flags := flag.NewFlagSet("messenger", flag.ContinueOnError)
	flags.StringVar(&s.advertise, "advertise", "", "`host:port` at which others reach this node, if it differs from where the node connects from")
	flags.Func("id", "the `ID` that this node asks for, if it should be the same at each start (default: the registry draws one)", func(text string) error {
		id, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return errors.New("expected a whole number below 2^64")
		}
		s.id = (*ringdht.ID)(&id)
		return nil
	})
	flags.StringVar(&s.name, "name", "", "the `name` of this node, which no other node may have")
	flags.Func("tag", "`key=value` tells all nodes something of this one; may be given again", func(text string) error {
		key, value, ok := strings.Cut(text, "=")
		if _, again := s.tags[key]; !ok || again {
			return errors.New("expected key=value, each key once")
		}
		if s.tags == nil {
			s.tags = make(map[string]string)
		}
		s.tags[key] = value
		return nil
	})
	join := flags.String("join", "", "the join line of a secure ring, in place of host:port: the `line` itself, @file for one that has it, or - for the first line of the input")
	flags.BoolVar(&s.json, "json", false, "print results and events as JSON, a line each, and all else on stderr")
	flags.StringVar(&s.listen, "listen", ":0", "`host:port` to listen on for other nodes")
	flags.StringVar(&s.ring, "ring", "ring", "the `name` of the ring to join")
	flags.BoolVar(&s.strict, "strict", false, "end with status 1 at the first command that fails")
	flags.DurationVar(&s.wait, "wait", 30*time.Second, "how long to wait for a registry that is not there yet, and how long send and trace wait until the overlay is set up")
	console.VersionFlag(flags)
	s.probes = serve.Flag(flags, "/healthz and /readyz")
	// watchRegistry reports a lost registry; a warning would repeat it.
	s.codec, s.level = console.CodecFlag(flags), console.LogFlag(flags, slog.LevelError)
	if err := console.Parse(flags, args, stdout, manual); err != nil {
		return err
	}
	where := *join
	switch {
	case flags.NArg() == 1 && (where == "" || where == os.Getenv("RINGDHT_JOIN")): // the argument was typed, and counts
		where = flags.Arg(0)
	case flags.NArg() != 0 || where == "":
		return console.Usagef("expected one argument, the host:port of the registry or a join line, got %d", flags.NArg()+min(len(where), 1))
	}
	if s.wait < 0 {
		return console.Usagef("-wait must be at least 0, not %v", s.wait)
	}
	s.registry, err = console.ParseEntrance(where, stdin)
	return err
}

// options returns the options of the node.
func (s *settings) options() []ringdht.NodeOption {
	opts := []ringdht.NodeOption{ringdht.WithTraffic(), ringdht.WithCodec(*s.codec), ringdht.WithRing(s.ring), ringdht.WithListen(s.listen)}
	if s.advertise != "" {
		opts = append(opts, ringdht.WithAdvertise(s.advertise))
	}
	if s.id != nil {
		opts = append(opts, ringdht.WithID(*s.id))
	}
	return append(opts, ringdht.WithName(s.name), ringdht.WithTags(s.tags))
}

// listensBeyondLoopback reports whether processes on other machines may reach this node.
func (s *settings) listensBeyondLoopback() bool {
	host, _, err := net.SplitHostPort(s.listen)
	ip := net.ParseIP(host)
	return err == nil && host != "localhost" && (ip == nil || !ip.IsLoopback())
}

// openText says what an open ring means.
const openText = "This ring is open: any process that reaches this node's port can send in any node's name. A registry with -secure closes it."
