package membership

import (
	"fmt"
	"slices"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// listing is members as a Manifest or an Announce lists them, in rows of the same order. What no
// member has takes no bytes.
type listing struct {
	ids, incs []uint64
	idle      []uint64 // of ids
	names     []string
	profileOf []uint64
	profiles  []control.Profile
}

// list makes a listing.
func list(members []*member) (l listing) {
	places := make(map[ring.Profile]uint64)
	for i, m := range members {
		l.ids, l.incs = append(l.ids, m.ID), append(l.incs, m.Incarnation)
		if !m.Traffic {
			l.idle = append(l.idle, m.ID)
		}
		if m.info == nil {
			continue
		}
		if m.info.Name != "" {
			l.names = append(l.names, make([]string, i-len(l.names))...)
			l.names = append(l.names, m.info.Name)
		}
		if p := m.info.Profile(); p != (ring.Profile{}) {
			if places[p] == 0 {
				l.profiles = append(l.profiles, control.Profile{Tags: m.info.Tags(), Services: m.info.Services()})
				places[p] = uint64(len(l.profiles))
			}
			l.profileOf = append(l.profileOf, make([]uint64, i-len(l.profileOf))...)
			l.profileOf = append(l.profileOf, places[p])
		}
	}
	return l
}

// members reads a listing. Rows may be too short.
func (l listing) members() []ring.Listed {
	all := make([]ring.Listed, len(l.ids))
	var idle map[uint64]struct{}
	if len(l.idle) > 0 {
		idle = make(map[uint64]struct{}, len(l.idle))
	}
	for _, id := range l.idle {
		idle[id] = struct{}{}
	}
	unnamed := make([]*ring.Info, len(l.profiles)) // by profile: of all members that have no name
	for i, id := range l.ids {
		m := &all[i]
		m.ID, m.Incarnation = id, at(l.incs, i)
		_, m.Idle = idle[id]
		name, p := at(l.names, i), at(l.profileOf, i)
		switch {
		case p == 0 && name == "", p > uint64(len(l.profiles)):
		case p == 0:
			m.Info = ring.NewInfo(name, nil, nil)
		case unnamed[p-1] == nil:
			unnamed[p-1] = ring.NewInfo("", l.profiles[p-1].Tags, l.profiles[p-1].Services)
			fallthrough
		default:
			m.Info = unnamed[p-1].Named(name)
		}
	}
	return all
}

// at is an element of a row, or zero beyond its end.
func at[T any](row []T, i int) (v T) {
	if i < len(row) {
		v = row[i]
	}
	return v
}

// check says what is wrong with what a listing says of members.
func (l listing) check() error {
	for _, name := range l.names {
		if err := control.CheckName(name); err != nil {
			return err
		}
	}
	for _, p := range l.profiles {
		if err := control.CheckInfo("", p.Tags, p.Services); err != nil {
			return err
		}
	}
	for _, p := range l.profileOf {
		if p > uint64(len(l.profiles)) {
			return fmt.Errorf("a member has profile %d of %d", p, len(l.profiles))
		}
	}
	return nil
}

func manifestListing(m *control.Manifest) listing {
	return listing{m.Others, m.Incs, m.Idle, m.Names, m.ProfileOf, m.Profiles}
}

func announceListing(a *control.Announce) listing {
	return listing{a.Added, a.Incarnations, a.Idle, a.Names, a.ProfileOf, a.Profiles}
}

// claimList takes note of the list epoch that a member knows which comes back to a new registry.
func (a *Authority) claimList(r Request) {
	if r.Epoch > 0 && len(a.listClaims) < maxKnownDead {
		a.listClaims = append(a.listClaims, r.ListEpoch)
	}
}

// resumeListEpoch counts on from the list epochs that the members know which are back: the members that
// have not come back are on no list of this registry. A claim that is far beyond the others does not
// count.
func (a *Authority) resumeListEpoch(now Time) {
	a.announcedCount = len(a.listed)
	for _, m := range a.byID {
		if m.announced {
			a.announcedCount++
		}
	}
	clear(a.wholes)
	claims := a.listClaims
	if a.listClaims = nil; len(claims) == 0 {
		return
	}
	slices.Sort(claims)
	most := claims[(len(claims)-1)/2] + maxCounted
	for _, c := range claims {
		if c <= most {
			a.listEpoch = max(a.listEpoch, c)
		}
	}
	a.listEpoch += listStep(uint64(now))
}

// listStep is a random step from 1 to 2^30, made from a number that another registry does not have. The
// latest list epoch that an earlier registry has told may be known to no member that is back, and another
// registry may have counted on from the same one.
func listStep(from uint64) uint64 { return 1 + from*0x9E3779B97F4A7C15>>34 }
