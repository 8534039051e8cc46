package node

import (
	"fmt"

	"github.com/x/ringdht/internal/plane"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

// checkLimits checks that the limits have room for the messages of this ring.
func checkLimits(l status.Limits, maxPayload int) error {
	frame := wire.HeaderSize + maxPayload
	for _, b := range []struct {
		name       string
		have, need int
	}{
		{"SendBuffer", l.SendBuffer, frame},
		{"ReceiveBuffer", l.ReceiveBuffer, 4 * frame}, // messages out of order must leave room for the next in order
		{"HandlerBacklog", l.HandlerBacklog, frame},
		{"LinkQueue", l.LinkQueue, frame},
	} {
		if b.have < b.need {
			return fmt.Errorf("WithLimits: this ring has messages of up to %d bytes, for which %s must be at least %d, it is %d",
				maxPayload, b.name, b.need, b.have)
		}
	}
	return nil
}

func planeLimits(l status.Limits) plane.Limits {
	return plane.Limits{
		SendBuffer: l.SendBuffer, ReceiveBuffer: l.ReceiveBuffer, HandlerBacklog: l.HandlerBacklog,
		LinkQueue: l.LinkQueue, LinkLow: l.LinkQueue / 16, Handlers: l.Handlers, Streams: l.Streams,
	}
}
