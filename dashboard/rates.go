package dashboard

import (
	"slices"
	"time"

	"github.com/x/ringdht"
)

// rates is what a member does a second, out of its two latest reports.
type rates struct {
	heard              time.Time // the later of them
	status             ringdht.NodeStatus
	delivered, relayed int64
	links              []int64 // bytes, in the order of the status's links
}

// minReportGap is the time that rates are made over at the least, in seconds: a node that comes back
// sends a report between others, and what it did since the one before would be a burst.
const minReportGap = 0.2

// update takes a snapshot's word of the member. Most of the time there is none: members
// report more seldom than pages are told.
func (r *rates) update(m *ringdht.MemberStatus) {
	if m.Heard.Equal(r.heard) {
		return
	}
	took, was := max(minReportGap, m.Heard.Sub(r.heard).Seconds()), r.status
	first := r.heard.IsZero()
	r.heard, r.status = m.Heard, m.NodeStatus
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

// before is how many bytes had gone over a link, which was usually in the same place; none
// if it has been opened since then.
func before(was []ringdht.LinkStatus, i int, l ringdht.LinkStatus) int64 {
	if i >= len(was) || was[i].To != l.To {
		i = slices.IndexFunc(was, func(w ringdht.LinkStatus) bool { return w.To == l.To })
	}
	if i < 0 || was[i].Bytes > l.Bytes {
		return 0
	}
	return was[i].Bytes
}

// link is the rate of the link in this place.
func (r *rates) link(i int) int64 {
	if i < len(r.links) {
		return r.links[i]
	}
	return 0
}
