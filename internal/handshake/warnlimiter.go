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
	since time.Time // when one was last logged
	more  int       // how many were not logged since then
}

// A kind is logged once in RepeatEvery. Kinds beyond maxKinds share one, because others may make up
// their texts.
const (
	RepeatEvery = 10 * time.Second
	maxKinds    = 64
)

// allow reports whether to log a warning, and how many of its kind were not logged before it.
func (r *warnLimiter) allow(kind string, now time.Time) (log bool, before int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.kinds[kind]
	if k == nil && len(r.kinds) >= maxKinds {
		for name, old := range r.kinds { // the old ones of which nothing is left to report
			if now.Sub(old.since) >= RepeatEvery && old.more == 0 {
				delete(r.kinds, name)
			}
		}
		if len(r.kinds) >= maxKinds {
			kind = "others"
			k = r.kinds[kind]
		}
	}
	switch {
	case k == nil:
		if r.kinds == nil {
			r.kinds = make(map[string]*warning)
		}
		r.kinds[kind] = &warning{since: now}
		return true, 0
	case now.Sub(k.since) < RepeatEvery:
		k.more++
		return false, 0
	}
	before, k.since, k.more = k.more, now, 0
	return true, before
}

// WarnOften logs a warning, or only counts it if one of its kind was logged a moment ago.
func (c *Config) WarnOften(kind, msg string, args ...any) {
	c.logOften(slog.LevelWarn, kind, msg, args...)
}

// logOften is WarnOften for any level.
func (c *Config) logOften(level slog.Level, kind, msg string, args ...any) {
	log, before := c.warnings.allow(msg+": "+kind, time.Now())
	if !log {
		return
	}
	if before > 0 {
		args = append(args, slog.Int("unlogged before", before))
	}
	c.Log.Log(context.Background(), level, msg, args...)
}
