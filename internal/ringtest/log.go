package ringtest

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/x/ringdht"
)

// Log logs to the test, for the tests that read it.
type Log struct {
	Mu sync.Mutex
	B  strings.Builder
	Ch chan struct{}
}

func NewLog() *Log { return &Log{Ch: make(chan struct{}, 1)} }

func (l *Log) Write(p []byte) (int, error) {
	l.Mu.Lock()
	l.B.Write(p)
	l.Mu.Unlock()
	select {
	case l.Ch <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (l *Log) Option() ringdht.Option {
	return ringdht.WithLogger(slog.New(slog.NewTextHandler(l, nil)))
}

// WaitFor waits until a line contains all the words.
func (l *Log) WaitFor(t *testing.T, words ...string) {
	t.Helper()
	for deadline := time.After(time.Minute); ; {
		l.Mu.Lock()
		text := l.B.String()
		l.Mu.Unlock()
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
		case <-l.Ch:
		case <-deadline:
			t.Fatalf("no line with %q in the log:\n%s", words, text)
		}
	}
}
