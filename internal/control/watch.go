package control

import (
	"errors"
	"os"
	"time"
)

// Watch calls gone, on a goroutine of its own, if the connection ends before stop is
// called. It is for a receiver that waits for something else, and gives that up when the
// connection ends.
//
// Watch reads ahead. [Conn.Recv] returns next what it has read, a message or the end, so
// Recv must not be called before stop has returned. A connection with more messages that
// were read already is not watched, since its end lies behind them.
func (c *Conn) Watch(gone func()) (stop func()) {
	if len(c.batch) > 0 {
		return func() {}
	}
	c.conn.SetReadDeadline(time.Time{})
	done := make(chan struct{})
	stopping := make(chan struct{})
	go func() {
		defer close(done)
		batch, err := c.r.Next()
		select {
		case <-stopping:
			if errors.Is(err, os.ErrDeadlineExceeded) { // stop ended the read
				return
			}
		default:
		}
		if c.batch, c.ended = batch, err; err != nil {
			gone()
		}
	}()
	return func() {
		close(stopping)
		c.conn.SetReadDeadline(time.Unix(1, 0))
		<-done
		c.conn.SetReadDeadline(time.Time{})
	}
}
