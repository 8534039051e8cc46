package handshake

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
)

// panicLog is the log of a node that was given none. It writes panics in handlers and callbacks,
// and nothing else. The library continues after a panic, so without a record a message whose
// handler panicked would look like one that was handled.
type panicLog struct{ w io.Writer }

// PanicLog returns a logger that writes panics to w.
func PanicLog(w io.Writer) *slog.Logger { return slog.New(panicLog{w}) }

func (panicLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

func (p panicLog) Handle(_ context.Context, r slog.Record) error {
	var about bytes.Buffer
	var stack string
	panicked := false
	for a := range r.Attrs {
		switch a.Key {
		case "panic":
			panicked = true
			fmt.Fprintf(&about, ": %v", a.Value)
		case "stack":
			stack = a.Value.String()
		default:
			fmt.Fprintf(&about, ", %s %v", a.Key, a.Value)
		}
	}
	if !panicked {
		return nil
	}
	_, err := fmt.Fprintf(p.w, "%s ringdht: %s%s\n\n%s\n", r.Time.Format("2006/01/02 15:04:05"), r.Message, &about, stack)
	return err
}

func (p panicLog) WithAttrs([]slog.Attr) slog.Handler { return p }
func (p panicLog) WithGroup(string) slog.Handler      { return p }
