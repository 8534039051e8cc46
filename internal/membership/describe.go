package membership

import (
	"slices"

	"github.com/x/ringdht/internal/ring"
	shown "github.com/x/ringdht/status"
)

// Describer makes what programs see of members. Members with the same tags and services share them.
type Describer struct {
	profiles map[ring.Profile]shown.MemberInfo
}

// Describe makes what programs see of a member. info may be nil.
func (d *Describer) Describe(ref ring.Ref, addr string, info *ring.Info) shown.MemberInfo {
	m := d.profile(info)
	m.Peer, m.Incarnation, m.Name = shown.Peer{ID: shown.ID(ref.ID), Addr: addr}, ref.Incarnation, info.NameOf()
	return m
}

func (d *Describer) profile(info *ring.Info) shown.MemberInfo {
	p := info.Profile()
	if p == (ring.Profile{}) {
		return shown.MemberInfo{}
	}
	m, known := d.profiles[p]
	if !known {
		m.Services = info.Services()
		for _, t := range info.Tags() {
			if m.Tags == nil {
				m.Tags = make(map[string]string)
			}
			m.Tags[t.Key] = t.Value
		}
		if d.profiles == nil {
			d.profiles = make(map[ring.Profile]shown.MemberInfo)
		}
		d.profiles[p] = m
	}
	return m
}

// Describe makes what a program sees of a member, with its address if this node has been told it.
func (l *NodeView) Describe(ref ring.Ref, info *ring.Info) shown.MemberInfo {
	return l.Describer()(ref, info)
}

// Describer is Describe for many members, which share what they have in common.
func (l *NodeView) Describer() func(ring.Ref, *ring.Info) shown.MemberInfo {
	var d Describer
	return func(ref ring.Ref, info *ring.Info) shown.MemberInfo { return d.Describe(ref, l.addr(ref), info) }
}

// addr is the address of a member to which the node has a link, or should have one. Announcements
// carry no addresses.
func (l *NodeView) addr(ref ring.Ref) string {
	for _, list := range [][]ring.Peer{l.Entries, l.Successors, l.Hold, l.Stubs} {
		if i := slices.IndexFunc(list, func(p ring.Peer) bool { return p.Ref() == ref }); i >= 0 {
			return list[i].Addr
		}
	}
	return ""
}
