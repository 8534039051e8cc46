package dashboard

import (
	"math"
	"math/bits"
	"slices"
	"strconv"

	"github.com/x/ringdht/status"
)

// keyPart is a service of the part keys.
type keyPart struct {
	Service    string  `json:"service"`
	Recovering bool    `json:"recovering"`
	Sources    int     `json:"sources"`
	Arcs       int     `json:"arcs"`
	Free       float64 `json:"free"`
	Moving     int     `json:"moving"`
	Moved      int64   `json:"moved"`
	Void       int64   `json:"void"`
	Half       int64   `json:"half"`    // ns, within which half of the moves have ended
	Most       int64   `json:"most"`    // likewise 99 %
	Longest    int64   `json:"longest"` // ns
	Keys       int64   `json:"keys"`
	Handled    int64   `json:"handled"`
	Refused    int64   `json:"refused"`
	Unknown    int64   `json:"unknown"`
	Owners     [][]any `json:"owners"`
	OwnersAll  int     `json:"owners_all"`
	Moves      [][]any `json:"moves"`
}

// arcPart is a service of the part arcs: the ring of its keys in sectors.
type arcPart struct {
	Owners  []string `json:"owners"`
	Sectors []int    `json:"sectors"`
}

// The bounds of what the page gets of keys. The snapshot has all.
const (
	maxKeyServices = 8
	maxKeyOwners   = 100
	maxKeyMoves    = 20
	keySectors     = 720
)

// keysOf returns the parts keys and arcs.
func keysOf(s *status.Snapshot) (all []keyPart, arcs []arcPart) {
	all, arcs = []keyPart{}, []arcPart{}
	figures := make(map[uint64][]status.NodeKeys, len(s.Members))
	for i := range s.Members {
		figures[s.Members[i].Incarnation] = s.Members[i].Keys
	}
	for i := range s.Keys[:min(len(s.Keys), maxKeyServices)] {
		k := &s.Keys[i]
		p := keyPart{
			Service: k.Service, Recovering: k.Recovering, Sources: k.Sources, Arcs: k.ArcCount, Free: k.Free, Moving: k.Moving, Moved: k.Moved, Void: k.Void,
			Half: int64(min(k.MoveTimes.Quantile(0.5), k.LongestMove)), Most: int64(min(k.MoveTimes.Quantile(0.99), k.LongestMove)), Longest: int64(k.LongestMove),
			Keys: k.Total.Keys, Handled: k.Total.Handled, Refused: k.Total.Refusals, Unknown: k.Total.Unknown,
			Owners: [][]any{}, OwnersAll: len(k.Owners),
		}
		for _, o := range k.Owners[:min(len(k.Owners), maxKeyOwners)] {
			var f status.KeyCounters
			if j := slices.IndexFunc(figures[o.Incarnation], func(f status.NodeKeys) bool { return f.Service == k.Service }); j >= 0 {
				f = figures[o.Incarnation][j].KeyCounters
			}
			p.Owners = append(p.Owners, []any{o.ID.String(), o.Name, o.Share, o.Arcs, f.Keys, f.Handled})
		}
		p.Moves = movesOf(k)
		all = append(all, p)
		arcs = append(arcs, arcsOf(k))
	}
	return all, arcs
}

// movesOf adds up the listed moves from one owner to another. Those with the oldest come first.
func movesOf(k *status.KeyService) [][]any {
	type pair struct{ from, to status.ID }
	type sum struct {
		moves int
		share float64
		since int64
	}
	sums, pairs := make(map[pair]*sum), []pair{}
	for _, m := range k.Moves {
		at := pair{m.From.ID, m.To.ID}
		if sums[at] == nil {
			sums[at] = &sum{since: millis(m.Since)} // the oldest move comes first
			pairs = append(pairs, at)
		}
		sums[at].moves++
		sums[at].share += m.Share
	}
	rows := [][]any{}
	for _, at := range pairs[:min(len(pairs), maxKeyMoves)] {
		rows = append(rows, []any{at.from.String(), at.to.String(), sums[at].moves, sums[at].share, sums[at].since})
	}
	return rows
}

// arcsOf divides the ring of keys into sectors. A sector has the owner of its middle, but an arc that
// moves is in each sector that it touches, so that none is too small to be seen.
func arcsOf(k *status.KeyService) arcPart {
	p := arcPart{Owners: make([]string, len(k.Owners)), Sectors: []int{}}
	for i := range k.Owners {
		p.Owners[i] = strconv.FormatUint(uint64(k.Owners[i].ID), 10)
	}
	type sector struct{ owner, receiver int }
	var all [keySectors]sector
	for i := range all {
		all[i] = sector{-1, -1}
		if a, held := k.Arc(uint64(i)*(math.MaxUint64/keySectors) + math.MaxUint64/keySectors/2); held {
			all[i] = sector{a.Owner, a.Receiver}
		}
	}
	for _, a := range k.Arcs {
		if a.Receiver < 0 {
			continue
		}
		for i := sectorOf(a.First); i <= sectorOf(a.Last); i++ {
			if all[i].receiver < 0 {
				all[i] = sector{a.Owner, a.Receiver}
			}
		}
	}
	for i, s := range all {
		if n := len(p.Sectors); i > 0 && s == all[i-1] {
			p.Sectors[n-1]++
		} else {
			p.Sectors = append(p.Sectors, s.owner, s.receiver, 1)
		}
	}
	return p
}

// sectorOf is the sector that has a point.
func sectorOf(point uint64) int {
	high, _ := bits.Mul64(point, keySectors)
	return int(high)
}
