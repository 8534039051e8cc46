package console

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"syscall"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/table"
)

// UsageError says which argument was expected, of a command or a program.
type UsageError string

func (e UsageError) Error() string { return string(e) }

// Usagef returns a [UsageError].
func Usagef(format string, args ...any) error { return UsageError(fmt.Sprintf(format, args...)) }

// Text returns an error as one line, with flags and commands in place of the library's names,
// and without control characters: part of the text may come from a registry.
func Text(err error) string {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	return table.Plain(words.Replace(text))
}

// Exit prints the error that ends a program, if any, and returns the exit status: 0 without
// an error or after the manual, 2 for a usage error, 1 for any other.
func Exit(program string, stderr io.Writer, err error) int {
	switch _, usage := errors.AsType[UsageError](err); {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case usage:
		fmt.Fprintln(stderr, fold(stderr, fmt.Sprintf("%s: %s%s (%s -h prints the manual)", program, Text(err), variables(Text(err)), program)))
		return 2
	default:
		fmt.Fprintln(stderr, fold(stderr, program+": "+strings.TrimPrefix(Text(err), program+": ")+remedy(err)))
		return 1
	}
}

// remedy says what to do if a program cannot listen at an address. The system's errors do not.
func remedy(err error) string {
	op, ok := errors.AsType[*net.OpError](err)
	switch {
	case !ok || op.Op != "listen":
		return ""
	case errors.Is(op, syscall.EADDRINUSE):
		return ": another program listens there, perhaps this one in another window: end it, or choose another port"
	case errors.Is(op, syscall.EACCES):
		return ": choose a port above 1023"
	case errors.Is(op, syscall.EADDRNOTAVAIL):
		return ": this machine does not have that address: give a port alone to listen at all of its addresses"
	}
	return ""
}

// Parse parses a program's arguments. With -h it prints the manual on stdout, with -version
// the version, and returns [flag.ErrHelp]. Any other error is a [UsageError].
func Parse(flags *flag.FlagSet, args []string, stdout io.Writer, manual string) error {
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		if _, err := io.WriteString(stdout, manualText(stdout, flags, manual)); err != nil {
			return fmt.Errorf("output is lost: %w", err)
		}
		return err
	case err != nil:
		return UsageError(err.Error())
	case versionAsked(flags):
		if _, err := fmt.Fprintln(stdout, version(flags.Name())); err != nil {
			return fmt.Errorf("output is lost: %w", err)
		}
		return flag.ErrHelp
	}
	for _, arg := range flags.Args() {
		if len(arg) > 1 && arg[0] == '-' {
			return Usagef("put the flag %s before the address", arg)
		}
	}
	return environment(flags, takesAddress(manual))
}

// CodecFlag defines the flag -codec and returns a pointer to its value.
func CodecFlag(flags *flag.FlagSet) *ringdht.Codec {
	codec := new(ringdht.Codec)
	*codec = ringdht.Msgpack()
	flags.Func("codec", "the encoding, `msgpack or json`; the same for the whole ring (default msgpack)", func(name string) error {
		for _, c := range []ringdht.Codec{ringdht.Msgpack(), ringdht.JSON()} {
			if c.Name() == name {
				*codec = c
				return nil
			}
		}
		return errors.New("expected msgpack or json")
	})
	return codec
}

// LogFlag defines the flag -log and returns a pointer to its value.
func LogFlag(flags *flag.FlagSet, level slog.Level) *slog.LevelVar {
	v := new(slog.LevelVar)
	v.Set(level)
	text := strings.ToLower(level.String())
	flags.Func("log", "the lowest `level` to log to stderr: debug, info, warn or error (default "+text+")", func(name string) error {
		var l slog.Level
		if err := l.UnmarshalText([]byte(name)); err != nil {
			return errors.New("expected debug, info, warn or error")
		}
		v.Set(l)
		return nil
	})
	return v
}

// Address parses host:port, or a port alone, for which it returns host:port with the given
// host.
func Address(text, host string) (string, error) {
	port := text
	if strings.Contains(text, ":") {
		var err error
		if host, port, err = net.SplitHostPort(text); err != nil {
			return "", Usagef("expected a port or host:port, got %q", text)
		}
	}
	n, err := strconv.ParseUint(port, 10, 16) // it accepts no sign
	if err != nil {
		return "", Usagef("expected a port or host:port with a port from 0 to 65535, got %q", text)
	}
	return net.JoinHostPort(host, strconv.FormatUint(n, 10)), nil
}

// Number parses a whole number that is at least least.
func Number(name, text string, least int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < least {
		return 0, Usagef("%s must be a whole number of at least %d, not %q", name, least, text)
	}
	return n, nil
}

// Count returns a number with a noun in singular or plural.
func Count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
