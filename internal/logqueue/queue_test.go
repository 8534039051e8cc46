package logqueue

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// lines logs to a buffer without times.
func lines(b *bytes.Buffer, level slog.Level) slog.Handler {
	return slog.NewTextHandler(b, &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey && len(groups) == 0 {
			return slog.Attr{}
		}
		return a
	}})
}

// stuck is a handler whose methods all wait for a release.
type stuck struct {
	slog.Handler
	release <-chan struct{}
}

func (s stuck) Enabled(ctx context.Context, l slog.Level) bool {
	<-s.release
	return s.Handler.Enabled(ctx, l)
}

func (s stuck) WithAttrs(a []slog.Attr) slog.Handler {
	<-s.release
	return stuck{s.Handler.WithAttrs(a), s.release}
}

func (s stuck) WithGroup(g string) slog.Handler {
	<-s.release
	return stuck{s.Handler.WithGroup(g), s.release}
}

// mutable is a value that changes later.
type mutable struct{ s *string }

func (m mutable) LogValue() slog.Value { return slog.StringValue(*m.s) }

// A queue changes neither order, time, levels, attributes nor groups of records. Values are
// those of the time of logging.
func TestSameAsWithout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := func(l *slog.Logger) {
			text, body := "now", []byte("body")
			l.Debug("not wanted")
			l.Info("one", "v", mutable{&text}, slog.Group("g", "inner", mutable{&text}, "n", 1), "body", body)
			w := l.With("a", mutable{&text}).WithGroup("deep").With("b", 2)
			w.Warn("two", "err", fmt.Errorf("three"))
			w.With().WithGroup("").Error("four")
			text = "later"
			copy(body, "xxxx")
			time.Sleep(time.Minute)
			l.Info("five")
		}
		var want, got bytes.Buffer
		log(slog.New(slog.NewTextHandler(&want, nil)))
		release := make(chan struct{})
		logger, q := New(stuck{slog.NewTextHandler(&got, nil), release}, slog.LevelDebug, 1<<20)
		log(logger)
		close(release)
		synctest.Wait()
		q.Close()
		if got.Len() == 0 {
			t.Fatal("nothing was logged")
		}
		clean := func(b bytes.Buffer) (all string) {
			for line := range strings.Lines(b.String()) {
				_, line, _ = strings.Cut(line, " ")
				all += line
			}
			return all
		}
		if clean(want) != clean(got) || strings.Count(got.String(), "\n") != 4 {
			t.Errorf("got\n%swant\n%s", got.String(), want.String())
		}
		if strings.Contains(got.String(), "later") || strings.Contains(got.String(), "xxxx") {
			t.Error("a borrowed value was kept:", got.String())
		}
		times := strings.Fields(got.String())
		if first, last := times[0], strings.Fields(got.String()[strings.LastIndex(got.String(), "time="):])[0]; first == last {
			t.Error("records have the time at which the log took them:", first, last)
		}
	})
}

// Records without room are counted. The count is logged when the handler works again, of the
// levels that it wants.
func TestBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got bytes.Buffer
		release := make(chan struct{})
		const room = 10
		logger, q := New(stuck{lines(&got, slog.LevelInfo), release}, slog.LevelDebug, room*(overhead+len("x")))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 10_000 {
			logger.Info("x")
			logger.Debug("x")
		}
		synctest.Wait()
		if q.held > q.limit || len(q.records) > room+1 { // and the count of what was dropped
			t.Errorf("%d records of %d bytes are held, at most %d", len(q.records), q.held, q.limit)
		}
		release <- struct{}{} // one is taken, so there is room for one
		synctest.Wait()
		logger.Info("x")
		close(release)
		q.Close()
		runtime.ReadMemStats(&after)
		taken := strings.Count(got.String(), "msg=x")
		told := 0
		for line := range strings.Lines(got.String()) {
			n := 0
			if _, text, ok := strings.Cut(line, "records="); ok && strings.HasPrefix(line, "level=WARN") {
				fmt.Sscan(text, &n)
			}
			told += n
		}
		if taken+told != 10_001 || told < 9_900 {
			t.Errorf("%d were taken and %d told of as dropped, of 10,001:\n%s", taken, told, got.String())
		}
	})
}

// Close waits for a slow handler, within limits, and not for a stuck one.
func TestClose(t *testing.T) {
	for _, c := range []struct {
		name      string
		each      time.Duration // what the log takes for a record
		before    time.Duration // how long it has had the first at Close
		atMost    time.Duration
		all, ever bool // whether Close may return only when all is out; and whether the log ever goes on
	}{
		{"quick", 0, 0, 0, true, true},
		{"slow", 100 * time.Millisecond, 0, time.Second, true, true},
		{"too slow", 900 * time.Millisecond, 0, maxClose + maxRecord, false, true},
		{"stands still", time.Hour, 0, maxRecord, false, false},
		{"stood still", time.Hour, time.Minute, 0, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				n := 0
				logger, q := New(hook{slog.NewTextHandler(new(bytes.Buffer), nil), func() {
					time.Sleep(c.each)
					mu.Lock()
					n++
					mu.Unlock()
				}}, slog.LevelDebug, 1<<20)
				for range 10 {
					logger.Info("x")
				}
				synctest.Wait()
				time.Sleep(c.before)
				start := time.Now()
				for range 2 {
					q.Close()
				}
				if d := time.Since(start); d > c.atMost {
					t.Errorf("Close took %v, at most %v", d, c.atMost)
				}
				mu.Lock()
				if c.all && n != 10 {
					t.Errorf("%d of 10 records are out", n)
				}
				was := n
				mu.Unlock()
				logger.Info("x")
				time.Sleep(2 * time.Hour)
				mu.Lock()
				defer mu.Unlock()
				if n > was+1 {
					t.Errorf("%d more were logged after Close", n-was)
				}
			})
		})
	}
}

type hook struct {
	slog.Handler
	f func()
}

func (h hook) Handle(context.Context, slog.Record) error { h.f(); return nil }

// A handler that ends its goroutine gets the next record nevertheless.
func TestGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		logger, q := New(hook{lines(new(bytes.Buffer), 0), func() { n++; runtime.Goexit() }}, slog.LevelDebug, 1<<20)
		for range 3 {
			logger.Info("x")
			synctest.Wait()
		}
		q.Close()
		if n != 3 {
			t.Error(n)
		}
	})
}

// Records from many goroutines are logged once each. In virtual time Close does not give up on a busy
// machine.
func TestConcurrent(t *testing.T) { synctest.Test(t, concurrent) }

func concurrent(t *testing.T) {
	var got bytes.Buffer
	logger, q := New(lines(&got, slog.LevelInfo), slog.LevelDebug, 1<<26)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			l := logger.With("g", g)
			for i := range 1000 {
				l.Info("x", "i", i)
			}
		})
	}
	wg.Wait()
	q.Close()
	next := make(map[int]int)
	for line := range strings.Lines(got.String()) {
		var g, i int
		if _, err := fmt.Sscanf(line, "level=INFO msg=x g=%d i=%d", &g, &i); err != nil || next[g] != i {
			t.Fatalf("%q: %v, want %d", line, err, next[g])
		}
		next[g]++
	}
	for g := range 8 {
		if next[g] != 1000 {
			t.Error(g, next[g])
		}
	}
}

// Logging below the level, or to a discarding handler, allocates nothing.
func TestDiscard(t *testing.T) {
	logger, q := New(slog.DiscardHandler, slog.LevelDebug, 1<<20)
	if n := testing.AllocsPerRun(100, func() { logger.Error("x", "n", 1) }); n > 0 {
		t.Error(n, "allocations")
	}
	q.Close()
	logger, _ = New(lines(new(bytes.Buffer), 0), slog.LevelError, 1<<20)
	if n := testing.AllocsPerRun(100, func() { logger.Warn("x", "n", 1) }); n > 0 {
		t.Error(n, "allocations")
	}
}
