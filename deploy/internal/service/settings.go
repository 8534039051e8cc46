// Package service has what the programs of this module have in common: settings from flags and the
// environment, a log, probes and metrics over HTTP, and an end by a signal.
package service

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strings"

	"github.com/x/ringdht"
)

// Version is set by the linker. Without it the version is that of the module or the commit.
var Version string

// Settings are the flags that all programs have.
type Settings struct {
	HTTP  string // where to serve probes and metrics; empty for nowhere
	Ring  string
	level slog.LevelVar
	json  bool
	probe string
}

// ErrDone ends a program that has done all: it was asked for its version, its manual, or a probe.
var ErrDone = errors.New("done")

// UsageError is an error of the settings.
type UsageError struct{ Err error }

func (e UsageError) Error() string { return e.Err.Error() }

// Unwrap returns the error without its kind.
func (e UsageError) Unwrap() error { return e.Err }

// Usagef returns a [UsageError].
func Usagef(format string, args ...any) error { return UsageError{Err: fmt.Errorf(format, args...)} }

// CodecFlag defines -codec and returns a pointer to its value.
func CodecFlag(flags *flag.FlagSet) *ringdht.Codec {
	codec := ringdht.Msgpack()
	flags.Func("codec", "the encoding, `msgpack or json`; the same for the whole ring (default msgpack)", func(name string) error {
		for _, codec = range []ringdht.Codec{ringdht.Msgpack(), ringdht.JSON()} {
			if codec.Name() == name {
				return nil
			}
		}
		return errors.New("expected msgpack or json")
	})
	return &codec
}

// Flags defines the flags that all programs have. http is the default of -http.
func Flags(flags *flag.FlagSet, http string) *Settings {
	s := &Settings{}
	flags.StringVar(&s.HTTP, "http", http, "serve /healthz, /readyz and /metrics at `host:port`; empty for nowhere; there is no authentication")
	flags.StringVar(&s.Ring, "ring", "ring", "the `name` of the ring")
	flags.TextVar(&s.level, "log", &s.level, "the lowest `level` to log: debug, info, warn or error")
	flags.BoolVar(&s.json, "log-json", false, "log lines of JSON")
	flags.StringVar(&s.probe, "probe", "", "ask the running program at -http for this `path`, /healthz or /readyz, and exit with status 0 or 1")
	return s
}

// Parse takes flags from the command line, and those that are not there from the environment:
// -max-payload from RINGDHT_MAX_PAYLOAD. An empty variable counts as unset. It returns [ErrDone] if
// nothing is left to do.
func (s *Settings) Parse(flags *flag.FlagSet, args []string, stdout io.Writer, about string) error {
	version := flags.Bool("version", false, "print the version and exit")
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(stdout, "%s\n\nusage: %s [flags]\n\nA flag that is not given takes its value from the environment: -max-payload from\nRINGDHT_MAX_PAYLOAD, and so on. An empty variable counts as unset.\n\n", about, flags.Name())
		flags.SetOutput(stdout)
		flags.PrintDefaults()
		return ErrDone
	case err != nil:
		return UsageError{Err: err}
	case flags.NArg() > 0:
		return Usagef("expected flags only, got %q", flags.Arg(0))
	case *version:
		fmt.Fprintln(stdout, flags.Name(), VersionText())
		return ErrDone
	}
	if err := environment(flags); err != nil {
		return err
	}
	if s.HTTP != "" {
		if _, _, err := net.SplitHostPort(s.HTTP); err != nil {
			return Usagef("-http (RINGDHT_HTTP): %q is not host:port", s.HTTP)
		}
	}
	if s.probe == "" {
		return nil
	}
	if err := probe(s.HTTP, s.probe, stdout); err != nil {
		return err
	}
	return ErrDone
}

// environment sets the flags that were not given.
func environment(flags *flag.FlagSet) (err error) {
	given := map[string]bool{"probe": true, "version": true} // these are no settings
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	flags.VisitAll(func(f *flag.Flag) {
		name := "RINGDHT_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value := os.Getenv(name)
		if given[f.Name] || value == "" || err != nil {
			return
		}
		if wrong := flags.Set(f.Name, value); wrong != nil {
			err = Usagef("the variable %s: invalid value %q: %w", name, value, wrong)
		}
	})
	return err
}

// Logger returns the log.
func (s *Settings) Logger(w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: &s.level}
	if s.json {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// VersionText is the version of the program.
func VersionText() string {
	if Version != "" {
		return Version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return info.Main.Version
}

// optionNames replaces the library's names by flags and variables.
var optionNames = strings.NewReplacer(
	"ringdht: ", "",
	"WithAdvertise", "-advertise (RINGDHT_ADVERTISE)", "WithBits", "-bits (RINGDHT_BITS)", "WithGrace", "-grace (RINGDHT_GRACE)",
	"WithLease", "-lease (RINGDHT_LEASE)", "WithListen", "-listen (RINGDHT_LISTEN)", "WithMaxPayload", "-max-payload (RINGDHT_MAX_PAYLOAD)",
	"WithRing", "-ring (RINGDHT_RING)", "WithSecurity (-secure)", "-secure (RINGDHT_SECURE)", "(WithSecurity, -secure)", "(-secure, RINGDHT_SECURE)", "WithSecurity: ", "-validity (RINGDHT_VALIDITY): ", "WithSecurity", "-secure (RINGDHT_SECURE)", "WithSelfSetup", "-entries (RINGDHT_ENTRIES)", "WithState", "-state (RINGDHT_STATE)",
)

// Exit prints the error that ends a program, if any, and returns the status: 0 for none, 2 for a
// wrong setting, 1 for others.
func Exit(program string, stderr io.Writer, err error) int {
	if err == nil || errors.Is(err, ErrDone) {
		return 0
	}
	fmt.Fprintf(stderr, "%s: %s\n", program, optionNames.Replace(err.Error()))
	if _, usage := errors.AsType[UsageError](err); usage {
		return 2
	}
	return 1
}
