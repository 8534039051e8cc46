package ring

import "slices"

// Report is what an audit found.
type Report struct {
	Nodes, Entries int // members; entries in the largest table
	Sinks          int // sinks that were checked; Nodes unless the ring is larger than the sample
	Pairs          int // pairs of source and sink that were checked
	Unreachable    int // pairs whose route does not arrive
	BadFrom, BadTo uint64
	MeanHops       float64 // over the pairs that arrive
	MaxHops        int
	MaxFrom, MaxTo uint64 // a pair that takes MaxHops
	MinRelayed     int    // fewest routes relayed by one node; routes from or to it do not count
	MaxRelayed     int    // most routes relayed by one node
	MaxRelay       uint64 // a node that relays MaxRelayed
	MeanRelayed    float64
	Relayed        []int // by each node, in the order of the IDs
}

// AuditSample is how many sinks [Audit] checks in a ring that is larger. Checking all pairs
// costs the square of the nodes: 10,000 would hold up a set-up for seconds.
const AuditSample = 2048

// Audit is [Walk] with [AuditSample] sinks.
func Audit(mask uint64, ids []uint64, tables [][]uint64) Report {
	return Walk(mask, ids, tables, AuditSample)
}

// AuditStubs is [Audit] for a ring with stubs: lastHops has those to which each member is the last
// hop. A route through a stub does not arrive.
func AuditStubs(mask uint64, ids []uint64, tables, lastHops [][]uint64) Report {
	return walk(mask, ids, tables, lastHops, AuditSample)
}

// Walk walks the routes from all members to all members, or to about sinks of them in a
// larger ring. It uses the tables as they were handed out, and the same [ClosestPreceding]
// as the nodes. ids ascend; tables[i] holds the entries of ids[i], in clockwise order from
// it.
//
// A route only moves towards its sink. So for each sink it visits the sources from the
// nearest to the farthest, counter-clockwise: the next hop of each was visited before.
func Walk(mask uint64, ids []uint64, tables [][]uint64, sinks int) Report {
	return walk(mask, ids, tables, nil, sinks)
}

func walk(mask uint64, ids []uint64, tables, lastHops [][]uint64, sinks int) Report {
	n := len(ids)
	r := Report{Nodes: n}
	for _, t := range tables {
		r.Entries = max(r.Entries, len(t))
	}
	at := make(map[uint64]int, n)
	for i, id := range ids {
		at[id] = i
	}
	stub := make([]bool, n)
	for _, list := range lastHops {
		for _, id := range list {
			if i, ok := at[id]; ok {
				stub[i] = true
			}
		}
	}
	next := make([]int, n)
	hops := make([]int, n)
	through := make([]int, n) // routes to the present sink that start at, or pass, this node
	relayed := make([]int, n)
	stride := max(1, (n+sinks-1)/sinks)
	total := 0
	for d := 0; d < n; d += stride {
		r.Sinks++
		hops[d] = 0
		for back := 1; back < n; back++ {
			s := (d - back + n) % n
			r.Pairs++
			next[s], hops[s] = -1, -1
			if i := ClosestPreceding(mask, ids[s], ids[d], tables[s]); i >= 0 {
				// A wrong table may name a node that is not a member, or point backwards.
				// Then the route does not arrive.
				if e, ok := at[tables[s][i]]; ok && (d-e+n)%n < back && hops[e] >= 0 && !stub[e] {
					next[s], hops[s] = e, hops[e]+1
				}
			} else if lastHops != nil && slices.Contains(lastHops[s], ids[d]) {
				next[s], hops[s] = d, 1
			}
			if hops[s] < 0 {
				if r.Unreachable == 0 {
					r.BadFrom, r.BadTo = ids[s], ids[d]
				}
				r.Unreachable++
				continue
			}
			total += hops[s]
			if hops[s] > r.MaxHops {
				r.MaxHops, r.MaxFrom, r.MaxTo = hops[s], ids[s], ids[d]
			}
		}
		for i := range through {
			through[i] = 1
		}
		for back := n - 1; back > 0; back-- {
			s := (d - back + n) % n
			if hops[s] < 0 {
				continue
			}
			relayed[s] += through[s] - 1
			through[next[s]] += through[s]
		}
	}
	if arrived := r.Pairs - r.Unreachable; arrived > 0 {
		r.MeanHops = float64(total) / float64(arrived)
	}
	if n > 0 {
		r.Relayed = relayed
		r.MinRelayed = slices.Min(relayed)
		r.MaxRelayed = slices.Max(relayed)
		r.MaxRelay = ids[slices.Index(relayed, r.MaxRelayed)]
		sum := 0
		for _, c := range relayed {
			sum += c
		}
		r.MeanRelayed = float64(sum) / float64(n)
	}
	return r
}
