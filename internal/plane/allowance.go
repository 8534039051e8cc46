package plane

import (
	"sync"

	"github.com/x/ringdht/internal/wire"
)

// allowance is a number of bytes that a source may admit without checking all that bounds its
// stream: the windows, its share of the send buffer, what waits for its link, and when to ask.
// They were checked when the allowance was granted, and its bytes were charged then. Every other
// use of the stream ends the allowance first, so that it finds accounts that are up to date.
//
// For that reason the stream's lock is part of it. Only this file touches mu: lock ends the
// allowance, and lockAndAdmit ends it unless it covers the message. Both return with the lock
// held, in every case, and unlock releases it.
type allowance struct {
	mu            sync.Mutex
	granted, left int // bytes of frames
}

// lock locks the stream and ends its allowance.
func (o *outbound) lock() {
	o.mu.Lock()
	o.endAllowance()
}

func (o *outbound) unlock() { o.mu.Unlock() }

// lockAndAdmit locks the stream and admits a message if the allowance covers it. If not, it ends
// the allowance.
func (o *outbound) lockAndAdmit(port uint8, body []byte) (admitted bool) {
	o.mu.Lock()
	if o.spend(port, body) {
		return true
	}
	o.endAllowance()
	return false
}

// spend admits a message that the allowance covers. An allowance holds for the routes for which
// it was granted: with others the link to the sink may be another. It needs mu.
func (o *outbound) spend(port uint8, body []byte) bool {
	if wire.HeaderSize+len(body) > o.left || o.chosenFrom != o.p.Routes() {
		return false
	}
	n := o.s.Admit(port, body) // less, if the message joins a bundle
	o.left -= n
	o.extend(n)
	return true
}

// endAllowance accounts for what was spent. It needs mu.
func (o *outbound) endAllowance() {
	o.bytes += o.granted - o.left
	o.granted, o.left = 0, 0
}

// grant allows as much as may be admitted now, after a message that was. It needs mu.
func (o *outbound) grant() {
	if o.link != nil && o.ticking {
		o.granted = max(0, min(o.s.Allowance(), o.p.SendBuffer/4-o.bytes, o.charged-o.bytes, o.reserved-o.size()))
		o.left = o.granted
	}
}
