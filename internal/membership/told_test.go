package membership

import (
	"testing"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// A node takes nothing from a registry that it could not count on from, or that no registry says.
func TestToldNonsense(t *testing.T) {
	l := &NodeView{Self: ring.Ref{ID: 5, Incarnation: 9}, Bits: 8, Epoch: 3}
	peer := func(id uint64) []ring.Peer { return []ring.Peer{{ID: id, Incarnation: 1, Addr: "h:1"}} }
	many := make([]uint64, control.MaxOthers+1)
	for name, m := range map[string]control.Manifest{
		"":                            {Epoch: 4, Entries: peer(7), Successors: peer(7), Others: []uint64{7}},
		"the last epoch":              {Epoch: 1<<64 - 1},
		"a set-up of nothing":         {Epoch: 4, Size: -1},
		"too many members":            {Epoch: 4, Others: many},
		"too many idle ones":          {Epoch: 4, Idle: many},
		"too many incarnations":       {Epoch: 4, Incs: many},
		"a member beyond the space":   {Epoch: 4, Others: []uint64{7, 256}},
		"an entry beyond the space":   {Epoch: 4, Entries: peer(256)},
		"a held link to itself":       {Epoch: 4, Hold: peer(5)},
		"a held link beyond":          {Epoch: 4, Hold: peer(1 << 63)},
		"the last incarnation":        {Epoch: 4, Incarnation: 1<<64 - 1},
		"a member's last incarnation": {Epoch: 4, Others: []uint64{7}, Incs: []uint64{1<<64 - 1}},
		"too many successors":         {Epoch: 4, Successors: make([]ring.Peer, ring.MaxTable+1)},
		"too many links to hold":      {Epoch: 4, Hold: make([]ring.Peer, maxLinks+1)},
		"too many detours":            {Epoch: 4, Detours: make([]control.Detour, maxLinks+1)},
		"a detour beyond the space":   {Epoch: 4, Detours: []control.Detour{{To: 7, ID: 300}}},
		"entries out of order":        {Epoch: 4, Entries: append(peer(9), peer(7)...)},
		"an epoch that is not newer":  {Epoch: 3},
		"an entry that is the node":   {Epoch: 4, Entries: peer(5)},
		"a successor beyond":          {Epoch: 4, Successors: peer(999)},
		"the epoch after the largest": {Epoch: maxToldEpoch + 1},
	} {
		if _, err := l.Manifest(m); (err == nil) != (name == "") {
			t.Errorf("manifest with %s: %v", name, err)
		}
	}
	for name, u := range map[string]control.Update{
		"":                  {Epoch: 4, Gone: []ring.Ref{{ID: 7, Incarnation: 1}}},
		"the last epoch":    {Epoch: 1<<64 - 1},
		"a death beyond":    {Epoch: 4, Gone: []ring.Ref{{ID: 256}}},
		"too large a table": {Epoch: 4, Entries: ring.MaxTable + 1},
		"a negative table":  {Epoch: 4, Entries: -1},
	} {
		if _, err := l.Update(u); (err == nil) != (name == "") {
			t.Errorf("update with %s: %v", name, err)
		}
	}
	for name, a := range map[string]control.Announce{
		"":                      {Epoch: 4, Added: []uint64{7}, Incarnations: []uint64{5}, Left: []ring.Ref{{ID: 9, Incarnation: 1}}},
		"the last epoch":        {Epoch: 1<<64 - 1},
		"too many newcomers":    {Epoch: 4, Added: many},
		"too many idle ones":    {Epoch: 4, Idle: many},
		"too many incarnations": {Epoch: 4, Incarnations: many},
		"a newcomer beyond":     {Epoch: 4, Added: []uint64{256}},
		"the last incarnation":  {Epoch: 4, Added: []uint64{7}, Incarnations: []uint64{1<<64 - 1}},
		"a leaver beyond":       {Epoch: 4, Left: []ring.Ref{{ID: 256}}},
		"a death beyond":        {Epoch: 4, Gone: []ring.Ref{{ID: 256}}},
	} {
		if err := l.CheckAnnounce(&a); (err == nil) != (name == "") {
			t.Errorf("announcement with %s: %v", name, err)
		}
	}
}

// A view says whether it has all members, and which incarnations are members.
func TestViewKnowsMembers(t *testing.T) {
	l := &NodeView{Self: ring.Ref{ID: 5, Incarnation: 9}, Bits: 8}
	if l.KnowsAll() {
		t.Error("all are known before the first table")
	}
	l, err := l.Manifest(control.Manifest{
		Epoch: 4, Members: 3, Others: []uint64{7, 8}, Incs: []uint64{70, 0},
		Entries: []ring.Peer{{ID: 20, Incarnation: 1}}, Hold: []ring.Peer{{ID: 21, Incarnation: 1}},
		Detours: []control.Detour{{To: 7, ID: 22, Incarnation: 1}}, Successors: []ring.Peer{{ID: 23, Incarnation: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[ring.Ref]bool{
		{ID: 7, Incarnation: 70}: true, {ID: 7, Incarnation: 71}: false, {ID: 8, Incarnation: 99}: true, {ID: 9, Incarnation: 1}: false,
		{ID: 20, Incarnation: 1}: true, {ID: 20, Incarnation: 2}: false, {ID: 21, Incarnation: 1}: true, {ID: 22, Incarnation: 1}: true, {ID: 23, Incarnation: 1}: true,
	} {
		if l.Has(ref) != want {
			t.Errorf("%v is a member: %v", ref, !want)
		}
	}
	if !l.KnowsAll() {
		t.Error("two others of three members are not all")
	}
	if l = l.Announce(control.Announce{Members: 5, Added: []uint64{30}}, nil); l.KnowsAll() {
		t.Error("three others of five members are all")
	}
}
