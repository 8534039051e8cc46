package console

import (
	"bytes"
	"errors"
	"flag"
	"strings"
	"testing"
	"time"
)

const envUsage = "\nusage: desk [flags] host:port\n\nServes.\n"

// settings are flags of several kinds.
func settings() (flags *flag.FlagSet, lease *time.Duration, payload *int, control *bool) {
	flags = flag.NewFlagSet("desk", flag.ContinueOnError)
	return flags, flags.Duration("lease", time.Second, ""), flags.Int("max-payload", 7, ""), flags.Bool("control", false, "")
}

// The command line wins, then the environment, then the default. An empty variable is none.
func TestEnvironment(t *testing.T) {
	t.Setenv("RINGDHT_LEASE", "2s")
	t.Setenv("RINGDHT_MAX_PAYLOAD", "99")
	t.Setenv("RINGDHT_CONTROL", "")
	t.Setenv("RINGDHT_ADDR", "ring:1")
	t.Setenv("RINGDHT_UNKNOWN", "of another program")
	flags, lease, payload, control := settings()
	if err := Parse(flags, []string{"-lease", "5s"}, nil, envUsage); err != nil {
		t.Fatal(err)
	}
	if *lease != 5*time.Second || *payload != 99 || *control || flags.NArg() != 1 || flags.Arg(0) != "ring:1" {
		t.Errorf("lease %v, payload %d, control %t, arguments %q", *lease, *payload, *control, flags.Args())
	}

	t.Setenv("RINGDHT_CONTROL", "true")
	flags, lease, _, control = settings()
	if err := Parse(flags, []string{"other:2"}, nil, envUsage); err != nil {
		t.Fatal(err)
	}
	if *lease != 2*time.Second || !*control || flags.NArg() != 1 || flags.Arg(0) != "other:2" {
		t.Errorf("lease %v, control %t, arguments %q", *lease, *control, flags.Args())
	}

	// A program without arguments ignores the address.
	flags, _, _, _ = settings()
	if err := Parse(flags, nil, nil, "\nusage: desk [flags]\n\nServes a host:port.\n"); err != nil || flags.NArg() != 0 {
		t.Errorf("%v, arguments %q", err, flags.Args())
	}
}

// A variable for -version would end the program before it has done anything.
func TestVersionIsNoSetting(t *testing.T) {
	t.Setenv("RINGDHT_VERSION", "v1.2.3")
	flags, _, _, _ := settings()
	flags.Bool("version", false, "")
	if err := Parse(flags, nil, nil, envUsage); err != nil {
		t.Error(err)
	}
}

// The error names the variable, for values that cannot be parsed, and for those that are out of
// range.
func TestWrongEnvironment(t *testing.T) {
	for _, c := range []struct{ variable, value, want string }{
		{"RINGDHT_LEASE", "soon", `the variable RINGDHT_LEASE: invalid value "soon": parse error`},
		{"RINGDHT_MAX_PAYLOAD", "1k", `the variable RINGDHT_MAX_PAYLOAD: invalid value "1k": parse error`},
		{"RINGDHT_ADDR", "host:port", `the variable RINGDHT_ADDR: expected a port or host:port with a port from 0 to 65535, got "host:port"`},
	} {
		t.Run(c.variable, func(t *testing.T) {
			t.Setenv(c.variable, c.value)
			flags, _, _, _ := settings()
			err := Parse(flags, nil, nil, envUsage)
			if _, usage := errors.AsType[UsageError](err); !usage || err.Error() != c.want {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
	t.Setenv("RINGDHT_LEASE", "1ns")
	var stderr bytes.Buffer
	Exit("desk", &stderr, UsageError("-lease: 1ns is too short"))
	if got := stderr.String(); got != "desk: -lease: 1ns is too short; RINGDHT_LEASE is set (desk -h prints the manual)\n" {
		t.Error(got)
	}
}

// The manual says how settings are named, and of the address only if there is one.
func TestManualHasEnvironment(t *testing.T) {
	for _, manual := range []string{envUsage, "usage: desk [flags]\n"} {
		flags, _, _, _ := settings()
		var out bytes.Buffer
		if err := Parse(flags, []string{"-h"}, &out, manual); !errors.Is(err, flag.ErrHelp) {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "RINGDHT_MAX_PAYLOAD") || strings.Contains(out.String(), "RINGDHT_ADDR") != takesAddress(manual) {
			t.Error(out.String())
		}
	}
}
