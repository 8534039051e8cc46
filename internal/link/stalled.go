package link

import (
	"errors"
	"fmt"
	"time"
)

// ErrStalled means that a peer has sent part of a frame, and the rest did not come.
var ErrStalled = errors.New("link: a frame was begun and not finished")

// MinProgress is how many bytes of an unfinished frame must arrive in each period of
// [Reader.Stalled]. A link that is slower is of no use to a ring: with the shortest messages
// it would carry less than 128 in a lease.
const MinProgress = 4 << 10

// progress is what is known of the frame that a reader waits for.
type progress struct {
	frame  int64         // see Reader.half; 0: the reader does not wait within a frame
	bytes  int64         // read when the period began
	since  time.Duration // when the period began
	looked time.Duration // when Stalled was last called
}

// Stalled returns an error that matches [ErrStalled] if the reader has waited for the rest of
// one frame for as long as limit, and fewer than [MinProgress] bytes have come meanwhile. Time
// in which the caller does not read does not count, nor does time in which Stalled was not
// called for as long as limit: this process was suspended, and the bytes may lie unread.
//
// now is the time since a moment of the caller's choice. Call it a few times in each limit, from one
// goroutine. So no deadline moves with a message.
func (r *Reader) Stalled(now, limit time.Duration) error {
	p := &r.progress
	frame, bytes := r.half.Load(), r.bytes.Load()
	anew := frame != p.frame || now-p.looked >= limit
	p.looked = now
	switch {
	case frame == 0:
		p.frame = 0
	case anew || bytes-p.bytes >= MinProgress:
		p.frame, p.bytes, p.since = frame, bytes, now
	case now-p.since >= limit:
		return fmt.Errorf("%w: %d bytes of it came, and in the last %v fewer than %d", ErrStalled, bytes-frame+1, limit, MinProgress)
	}
	return nil
}
