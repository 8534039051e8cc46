package broadcast

import (
	"cmp"
	"slices"
)

// view is the list of members that a node goes by, itself included, by ascending ID. An ID is on
// it once.
type view []Member

func (v view) find(id uint64) (at int, ok bool) {
	return slices.BinarySearchFunc(v, id, func(m Member, id uint64) int { return cmp.Compare(m.ID, id) })
}

// has reports whether this incarnation is a member.
func (v view) has(m Member) bool {
	at, ok := v.find(m.ID)
	return ok && v[at] == m
}

func (v view) with(m Member) view {
	at, ok := v.find(m.ID)
	if ok {
		v[at] = m
		return v
	}
	return slices.Insert(v, at, m)
}

func (v view) without(m Member) view {
	if at, ok := v.find(m.ID); ok && v[at] == m {
		return slices.Delete(v, at, at+1)
	}
	return v
}

// split yields the children of a range, each with the limit of the range that it gets. The range is
// open at both ends, and empty from an ID to itself. The children are the members at positions 1, 2,
// 4, 8 and so on, counted from the range's begin. So they are a node's routing table entries if all
// nodes are members, and half of a range at most goes to one child.
func (v view) split(from, limit uint64, yield func(child Member, limit uint64)) {
	first, ok := v.find(from)
	if ok {
		first++
	}
	end, _ := v.find(limit)
	n := end - first
	if from > limit {
		n += len(v)
	}
	v.children(first, n, limit, yield)
}

// splitAll is split of the whole circle without the member at from.
func (v view) splitAll(from uint64, yield func(child Member, limit uint64)) {
	at, ok := v.find(from)
	n := len(v)
	if ok {
		at, n = at+1, n-1
	}
	v.children(at, n, from, yield)
}

func (v view) children(first, n int, limit uint64, yield func(child Member, limit uint64)) {
	for at := 1; at <= n; at *= 2 {
		end := limit
		if 2*at <= n {
			end = v[(first+2*at-1)%len(v)].ID
		}
		yield(v[(first+at-1)%len(v)], end)
	}
}
