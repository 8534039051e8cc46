package handshake

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// repeats lets a warning of each kind into the log once in a while, and counts those
// between: what others do, a scan or a node that is set up wrongly, must not fill a log.
type warnLimiter struct {
	mu    sync.Mutex
	kinds map[string]*warning
}

type warning struct {
	since time.Time // one was logged
	more  int       // since then
}

// A kind is logged once in repeatEvery. Kinds beyond maxKinds share one, since their
// texts may be made by others.
const (
	RepeatEvery = 10 * time.Second
	maxKinds    = 64
)

// take says whether a warning is to be logged, and how many of its kind were not before it.
func (r *warnLimiter) allow(kind string, now time.Time) (log bool, before int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.kinds[kind]
	if k == nil && len(r.kinds) >= maxKinds {
		for name, old := range r.kinds { // those that have not been logged for long, and have nothing to tell
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

// WarnOften logs a warning, or counts it if one of its kind was logged a moment ago.
func (c *Config) WarnOften(kind, msg string, args ...any) {
	log, before := c.warnings.allow(msg+": "+kind, time.Now())
	if !log {
		return
	}
	if before > 0 {
		args = append(args, slog.Int("unlogged before", before))
	}
	c.Log.Log(context.Background(), slog.LevelWarn, msg, args...)
}
