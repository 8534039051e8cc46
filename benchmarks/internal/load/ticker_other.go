//go:build !linux

package load

import "time"

// ticker is a time.Ticker. Delays include its lateness.
type ticker struct{ t *time.Ticker }

func newTicker() (ticker, error) { return ticker{time.NewTicker(tick)}, nil }

func (t ticker) wait() error {
	<-t.t.C
	return nil
}

func (t ticker) stop() { t.t.Stop() }
