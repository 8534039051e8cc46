package node

import (
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/plane"
	"github.com/x/ringdht/status"
)

// Status is the status of the present incarnation.
func (n *Node) Status() status.Node {
	inc := n.inc.Load()
	s := inc.status()
	s.Runs = inc.traffic.status()
	self := inc.described()
	s.Name, s.Tags, s.Services = self.Name, self.Tags, self.Services
	return s
}

// status is what heartbeats carry of the status.
func (inc *incarnation) status() status.Node {
	p := inc.plane.Status()
	local, table := inc.local.Load(), inc.table.Load()
	members := local.Members
	if members == 0 {
		members = control.Int(inc.self.Members)
	}
	s := status.Node{
		Peer: status.Peer{ID: status.ID(inc.self.ID), Addr: inc.n.address()}, Incarnation: inc.self.Incarnation, Identity: string(local.Identity), Epoch: table.epoch, Members: members,
		Counters: p.Counters, Hops: untilZeros(p.Hops[:]),
		Latency: status.Histogram{Counts: untilZeros(p.Latency[:]), Sum: p.LatencySum},
		Links:   make([]status.Link, 0, len(table.peers)),
		Streams: status.Streams{Outgoing: p.Outgoing, Incoming: p.Incoming, InFlight: p.InFlight, Window: p.Window},
		Limits:  inc.n.cfg.Limits,
	}
	if inc.begun() {
		s.Keys = inc.n.keyStatus(inc.self.Incarnation)
	}
	if inc.begun() && inc.n.security != nil {
		c := inc.n.security
		s.Secure, s.Key, s.AdmittedUntil = true, c.public.String(), c.until()
	}
	at := make(map[status.ID]plane.LinkStatus, len(p.Links))
	for _, link := range p.Links {
		at[status.ID(link.ID)] = link
	}
	for _, e := range table.peers {
		link, up := at[e.ID]
		s.Links = append(s.Links, status.Link{To: e.ID, Up: up, Bytes: link.Bytes, Queued: link.Queued})
	}
	return s
}

// untilZeros copies a row without the zeros at its end.
func untilZeros(all []int64) []int64 {
	n := len(all)
	for n > 0 && all[n-1] == 0 {
		n--
	}
	return append([]int64{}, all[:n]...)
}

// The rows of package status and of package plane have the same length.
var (
	_ [status.MaxHopCount + 1]int64  = plane.Status{}.Hops
	_ [status.HistogramBuckets]int64 = plane.Status{}.Latency
)
