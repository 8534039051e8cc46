package dashboard

import (
	"slices"
	"time"

	"github.com/x/ringdht/status"
)

// rates holds a member's rates per second, computed from its two latest reports.
type rates struct {
	heard              time.Time // when the later report came
	status             status.Node
	delivered, relayed int64
	links              []int64 // bytes, in the order of status.Links
}

// minReportGap is the shortest time, in seconds, over which a rate is computed. A node that
// reconnects sends an extra report soon after the last; over that short time its traffic
// would look like a burst.
const minReportGap = 0.2

// update takes the member's status out of a snapshot. Usually it is unchanged, since members
// report less often than pages are updated.
func (r *rates) update(m *status.Member) {
	if m.Heard.Equal(r.heard) {
		return
	}
	took, was := max(minReportGap, m.Heard.Sub(r.heard).Seconds()), r.status
	first := r.heard.IsZero()
	r.heard, r.status = m.Heard, m.Node
	if cap(r.links) < len(m.Links) {
		r.links = make([]int64, len(m.Links))
	}
	r.links = r.links[:len(m.Links)]
	clear(r.links)
	r.delivered, r.relayed = 0, 0
	if first {
		return
	}
	per := func(now, was int64) int64 { return int64(float64(max(0, now-was)) / took) }
	r.delivered = per(m.Counters.Delivered, was.Counters.Delivered)
	r.relayed = per(m.Counters.Relayed, was.Counters.Relayed)
	for i, l := range m.Links {
		r.links[i] = per(l.Bytes, before(was.Links, i, l))
	}
}

// before returns how many bytes had gone over a link at the report before: 0 if the link was
// opened since. The link is usually at the same index.
func before(was []status.Link, i int, l status.Link) int64 {
	if i >= len(was) || was[i].To != l.To {
		i = slices.IndexFunc(was, func(w status.Link) bool { return w.To == l.To })
	}
	if i < 0 || was[i].Bytes > l.Bytes {
		return 0
	}
	return was[i].Bytes
}

// link returns the rate of the link at this index.
func (r *rates) link(i int) int64 {
	if i < len(r.links) {
		return r.links[i]
	}
	return 0
}
