package ringtest

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/x/ringdht"
)

// Log keeps what members log, for tests that read it.
type Log struct {
	mu      sync.Mutex
	text    strings.Builder
	written chan struct{}
}

// NewLog returns an empty log.
func NewLog() *Log { return &Log{written: make(chan struct{}, 1)} }

// Option returns the option of members that write to the log.
func (l *Log) Option() ringdht.Option {
	return ringdht.WithLogger(slog.New(slog.NewTextHandler(l, nil)))
}

// Write appends to the log.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	l.text.Write(p)
	l.mu.Unlock()
	select {
	case l.written <- struct{}{}:
	default:
	}
	return len(p), nil
}

// Text returns what was written so far.
func (l *Log) Text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// WaitFor waits until one line contains all the words.
func (l *Log) WaitFor(t *testing.T, words ...string) {
	t.Helper()
	for deadline := time.After(time.Minute); ; {
		text := l.Text()
	lines:
		for line := range strings.Lines(text) {
			for _, w := range words {
				if !strings.Contains(line, w) {
					continue lines
				}
			}
			return
		}
		select {
		case <-l.written:
		case <-deadline:
			t.Fatalf("no line with %q in the log:\n%s", words, text)
		}
	}
}
