// Registry is a registry without a console, for a server: the ring sets itself up, and what an
// operator needs comes over HTTP.
//
//	cd deploy && go run ./registry -addr :12345 -http localhost:8080
//
// It serves the live page at /, and /healthz, /readyz and /metrics. Settings are flags or variables
// (-h lists them). SIGTERM ends it in good order: it tells the nodes, whose messages flow on.
//
// It is a program of its own because the metrics need Prometheus, and the module of ringdht does
// not. Of ringdht it uses the public packages only: copy it, with internal/service, for a registry
// of your own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/x/ringdht"
	ringprom "github.com/x/ringdht/contrib/prometheus"
	"github.com/x/ringdht/dashboard"
	"github.com/x/ringdht/deploy/internal/service"
)

func main() {
	os.Exit(service.Exit("registry", os.Stderr, run(service.Context(), os.Args[1:], os.Stdout, os.Stderr)))
}

// defaultValidity is the default of -validity.
const defaultValidity = 24 * time.Hour

// config is what the flags of a registry say.
type config struct {
	*service.Settings
	addr, state, plan, hosts  string
	advertise, joinFile       string
	codec                     *ringdht.Codec
	bits, maxPayload, entries int
	lease, grace              time.Duration
	validity                  time.Duration
	control, members, secure  bool
}

func parse(args []string, stdout io.Writer) (*config, error) {
	flags := flag.NewFlagSet("registry", flag.ContinueOnError)
	c := &config{Settings: service.Flags(flags, "localhost:8080"), codec: service.CodecFlag(flags)}
	flags.StringVar(&c.addr, "addr", ":12345", "`host:port` to listen on for nodes")
	flags.StringVar(&c.state, "state", os.Getenv("STATE_DIRECTORY"), "keep the ring's identity in this `directory`; empty for nowhere; systemd sets the default")
	flags.BoolVar(&c.secure, "secure", false, "encrypt the ring, and admit only nodes that have its join line")
	flags.DurationVar(&c.validity, "validity", defaultValidity, "how long nodes of a secure ring stay admitted while the registry is away")
	flags.StringVar(&c.advertise, "advertise", "", "`host:port` of the registry in the join line; by default this machine's name and the port of -addr")
	flags.StringVar(&c.joinFile, "join-file", "", "write the join line of a secure ring to this `file`, which only this user may read; by default join in the directory of -state")
	flags.StringVar(&c.plan, "plan", "classic", "the entries of tables, `classic or best` (fewest hops)")
	flags.StringVar(&c.hosts, "hosts", "", "`names` of this machine under which browsers may open the page, with commas")
	flags.IntVar(&c.bits, "bits", 16, "the ring has 2^`n` IDs")
	flags.IntVar(&c.maxPayload, "max-payload", 64<<10, "the longest message in `bytes`")
	flags.IntVar(&c.entries, "entries", 0, "entries of a routing table; `0` for log2 of the members")
	flags.DurationVar(&c.lease, "lease", 3*time.Second, "how long a node may be silent")
	flags.DurationVar(&c.grace, "grace", 0, "how long members of an earlier ring have to come back before new nodes may join; 0 for two leases")
	flags.BoolVar(&c.control, "control", false, "let the page set the ring up and start runs")
	flags.BoolVar(&c.members, "members", false, "metrics of each member too, some fifty series each")
	err := c.Parse(flags, args, stdout, "Registry admits nodes to a ring that sets itself up.")
	return c, err
}

// options returns the options of the registry, but for the log.
func (c *config) options() ([]ringdht.RegistryOption, error) {
	plan, known := map[string]ringdht.Plan{"classic": ringdht.Classic, "best": ringdht.FewestHops}[c.plan]
	if !known {
		return nil, service.Usagef("-plan (RINGDHT_PLAN): expected classic or best, not %q", c.plan)
	}
	opts := []ringdht.RegistryOption{
		ringdht.WithRing(c.Ring), ringdht.WithCodec(*c.codec), ringdht.WithBits(c.bits), ringdht.WithMaxPayload(c.maxPayload),
		ringdht.WithLease(c.lease), ringdht.WithGrace(c.grace), ringdht.WithSelfSetup(c.entries, plan),
	}
	if c.state != "" {
		opts = append(opts, ringdht.WithState(c.state))
	}
	switch {
	case !c.secure && c.validity != defaultValidity:
		return nil, service.Usagef("-validity (RINGDHT_VALIDITY) needs -secure (RINGDHT_SECURE): nodes of an open ring have no admissions")
	case !c.secure:
		return opts, nil
	case c.joinFile == "" && c.state == "":
		return nil, service.Usagef("-secure needs -join-file (RINGDHT_JOIN_FILE) or -state (RINGDHT_STATE): the join line must be kept somewhere")
	case c.joinFile == "":
		c.joinFile = filepath.Join(c.state, "join")
	}
	return append(opts, ringdht.WithSecurity(c.validity)), nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	c, err := parse(args, stdout)
	if err != nil {
		return err
	}
	opts, err := c.options()
	if err != nil {
		return err
	}
	log, web := c.Logger(stderr), service.NewServer()
	defer web.Close()
	r, err := ringdht.NewRegistry(append(opts, ringdht.WithLogger(log))...)
	if err != nil {
		return service.UsageError{Err: err}
	}
	defer r.Close() // it tells the nodes, while probes are still answered

	var metrics []ringprom.RegistryOption
	if c.members {
		metrics = append(metrics, ringprom.WithNodes())
	}
	web.Collect(ringprom.NewRegistryCollector(r, metrics...))
	if c.secure {
		web.TLS = c.certificate(log)
	}
	httpAt, err := web.Start(ctx, c.HTTP)
	if err != nil {
		return err
	}
	at, err := r.Listen(ctx, c.addr)
	if err != nil {
		return fmt.Errorf("-addr (RINGDHT_ADDR): %w", err)
	}
	page, err := c.page(at, r, log)
	if err != nil {
		return err
	}
	web.Mux.Handle("/", dashboard.Handler(r, page...)) // it shows the port, so not before
	web.Ready(r.ReadyNow)
	log.Info("registry listens", "version", service.VersionText(), "ring", c.Ring, "addr", at.String(), "http", httpAt, "state", c.state)

	<-ctx.Done()
	log.Info("registry ends; the nodes stay, and their messages flow on")
	web.Ready(func() error { return errors.New("it is ending") })
	return nil
}

// page returns the options of the live page of a registry that listens at an address.
func (c *config) page(at net.Addr, r *ringdht.Registry, log *slog.Logger) (opts []dashboard.Option, err error) {
	if c.secure {
		if opts, err = c.securePage(at, r, log); err != nil {
			return nil, err
		}
	} else {
		opts = append(opts, dashboard.WithJoin(c.join(nodeProgram(os.Args[0]), at)))
	}
	if self, err := os.Hostname(); err == nil {
		opts = append(opts, dashboard.WithHosts(self))
	}
	if host, _, err := net.SplitHostPort(c.HTTP); err == nil && host != "" {
		opts = append(opts, dashboard.WithHosts(host))
	}
	if c.hosts != "" {
		opts = append(opts, dashboard.WithHosts(strings.Split(c.hosts, ",")...))
	}
	if c.control {
		opts = append(opts, dashboard.WithControl())
	}
	return opts, nil
}
