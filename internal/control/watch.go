package control

import (
	"errors"
	"os"
	"time"
)

// Watch calls gone, on a goroutine of its own, if the connection ends before stop is
// called: for a receiver that has something else to wait for and gives that up then. It
// reads ahead; what comes, a message or the end, is what [Conn.Recv] returns next, so no
// Recv may be called before stop has returned. A connection over which more has come ahead
// than the message that was received last is not watched: its end lies behind that.
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
			if errors.Is(err, os.ErrDeadlineExceeded) { // it was told to end
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
