package handshake

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// warnLimiter lets a warning of each kind into the log once in RepeatEvery, and counts those
// between. What others cause, such as a port scan or a misconfigured node, must not fill a log.
type warnLimiter struct {
	mu    sync.Mutex
	kinds map[string]*warning
}

// warning is a kind of warning.
type warning struct {
	msg   string    // whose kind it is
	since time.Time // when one was last logged
	more  int       // how many were not logged since then
}

// A kind is logged once in RepeatEvery. Others may make up the texts of kinds. So of one message, the
// kinds beyond maxKindsOf share one. So do those beyond maxKinds of all messages.
const (
	RepeatEvery = 10 * time.Second
	maxKindsOf  = 8
	maxKinds    = 64
)

// allow reports whether to log a message of a kind, and how many of its kind were not logged before
// it.
func (r *warnLimiter) allow(msg, kind string, now time.Time) (log bool, before int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := msg + ": " + kind
	k := r.kinds[name]
	if k == nil && !r.hasRoom(msg, now) {
		name = msg + ": others"
		if k = r.kinds[name]; k == nil && len(r.kinds) >= 2*maxKinds {
			name = "others"
			k = r.kinds[name]
		}
	}
	switch {
	case k == nil:
		if r.kinds == nil {
			r.kinds = make(map[string]*warning)
		}
		r.kinds[name] = &warning{msg: msg, since: now}
		return true, 0
	case now.Sub(k.since) < RepeatEvery:
		k.more++
		return false, 0
	}
	before, k.since, k.more = k.more, now, 0
	return true, before
}

// hasRoom reports whether a message may have another kind. It drops the old kinds of which nothing is
// left to report. It needs mu.
func (r *warnLimiter) hasRoom(msg string, now time.Time) bool {
	of := 0
	for _, k := range r.kinds {
		if k.msg == msg {
			of++
		}
	}
	if of < maxKindsOf && len(r.kinds) < maxKinds {
		return true
	}
	for name, old := range r.kinds {
		if now.Sub(old.since) >= RepeatEvery && old.more == 0 {
			delete(r.kinds, name)
			if old.msg == msg {
				of--
			}
		}
	}
	return of < maxKindsOf && len(r.kinds) < maxKinds
}

// WarnOften logs a warning, or only counts it if one of its kind was logged a moment ago.
func (c *Config) WarnOften(kind, msg string, args ...any) {
	c.logOften(slog.LevelWarn, kind, msg, args...)
}

// InfoOften is [Config.WarnOften] for what is no reason for a warning.
func (c *Config) InfoOften(kind, msg string, args ...any) {
	c.logOften(slog.LevelInfo, kind, msg, args...)
}

// logOften is WarnOften for any level.
func (c *Config) logOften(level slog.Level, kind, msg string, args ...any) {
	log, before := c.warnings.allow(msg, kind, time.Now())
	if !log {
		return
	}
	if before > 0 {
		args = append(args, slog.Int("unlogged before", before))
	}
	c.Log.Log(context.Background(), level, msg, args...)
}
