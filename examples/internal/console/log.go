package console

import (
	"log/slog"
	"time"
)

// Logger returns a logger that writes to a screen's stderr. On a terminal, where a person reads
// it between commands, the lines wrap by words, the time is without the date, and the start of a
// life (incarnation), a number of 19 digits, is left out. Elsewhere they are slog's lines.
func Logger(s *Screen, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if s.err.terminal {
		options.ReplaceAttr = brief
	}
	return slog.New(slog.NewTextHandler(s.Errors(), options))
}

func brief(groups []string, a slog.Attr) slog.Attr {
	switch {
	case a.Key == slog.TimeKey && len(groups) == 0:
		return slog.String(slog.TimeKey, a.Value.Time().Format(time.TimeOnly))
	case a.Key == "incarnation":
		return slog.Attr{}
	}
	return a
}
