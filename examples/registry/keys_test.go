package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/report"
	"github.com/x/ringdht/keys"
	"github.com/x/ringdht/status"
)

const add = keys.Method[int64, int64, int64]("add")

// owner is a node with the keys of the service counter.
type owner struct {
	*ringdht.Node
	space *keys.Space[int64]
}

// joinOwners adds owners until the test ends.
func joinOwners(t *testing.T, addr string, count int, opts ...ringdht.NodeOption) []*owner {
	t.Helper()
	all := make([]*owner, count)
	for i := range all {
		n := ringdht.NewNode(append(opts, ringdht.WithTraffic())...)
		o := &owner{Node: n, space: keys.New[int64](n, "counter")}
		add.Handle(o.space, func(_ context.Context, _ string, count *int64, by int64) (int64, error) {
			*count += by
			return *count, nil
		})
		if err := n.Join(t.Context(), addr); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close() })
		all[i] = o
	}
	return all
}

// The registry program lists services with keys, and names the owner of a key: the node whose handler
// gets it, also after that has left.
func TestKeys(t *testing.T) {
	t.Parallel()
	p, addr := start(t)
	p.Type("keys", "owner counter alice", "keys counter")
	p.Expect(`^No node opens keys\.$`)
	p.ExpectError(`^no node opens keys of a service "counter": keys lists the services$`)
	p.ExpectError(`^no node opens keys of a service "counter"`)

	owners := joinOwners(t, addr, 1, ringdht.WithName("first"))
	owners = append(owners, joinOwners(t, addr, 1, ringdht.WithName("second"))...)
	p.Type("setup 1")
	p.Expect(`^Registry now ready`)
	for i := range 40 {
		if _, err := add.Call(t.Context(), owners[i%2].space, fmt.Sprint("key ", i), 1); err != nil {
			t.Fatal(err)
		}
	}
	holder := func(key string) *owner {
		t.Helper()
		for _, o := range owners {
			for here := range o.space.Here() {
				if here == key {
					return o
				}
			}
		}
		t.Fatalf("no node has %s", key)
		return nil
	}
	named := make(map[*owner]bool)
	for i := range 40 {
		key := fmt.Sprint("key ", i)
		o := holder(key)
		named[o] = true
		p.Type("owner counter " + key)
		info := o.Status()
		p.Expect(fmt.Sprintf(`^%s is held by node %d \(%s\) at %s, under term \d+\. Its point is %d\.$`,
			key, info.ID, info.Name, regexp.QuoteMeta(info.Addr), keys.Point(key)))
	}
	if len(named) != 2 {
		t.Errorf("40 keys have %d owners", len(named))
	}
	p.Type("keys")
	p.Expect(`^service  owners +sources +arcs +keys`)
	p.Expect(`^counter +2 +0 +\d+ +`)
	p.Type("keys counter")
	p.Expect(`^ *owner +name +address +share`)
	for range owners {
		p.Expect(`^ *\d+\*? +(first|second) +:\d+ +\d+(\.\d)? % +\d+`)
	}

	gone := holder("key 0")
	if err := gone.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := owners[0]
	if left == gone {
		left = owners[1]
	}
	p.Type("owner counter key 0")
	p.Expect(fmt.Sprintf(`^key 0 is held by node %d .*\n`, left.ID()))

	a := &answers{t: t, p: p, at: len(p.Stdout())}
	var d report.OwnerDocument
	p.Type("owner -json counter key 0")
	if line := a.next(&d); d.Owner.ID != left.ID() || d.Owner.Addr == "" || d.Point != keys.Point("key 0") || d.Term == 0 || d.To != nil || d.Key != "key 0" {
		t.Errorf("owner: %s", line)
	}
	var all []status.KeyService
	p.Type("keys -json")
	if line := a.next(&all); len(all) != 1 || all[0].Service != "counter" || len(all[0].Owners) != 1 || all[0].Moved == 0 || all[0].Free != 0 || strings.Contains(line, "all_arcs") {
		t.Errorf("keys: %s", line)
	}
	var one report.KeysDocument
	p.Type("keys counter -json")
	if line := a.next(&one); one.Service != "counter" || len(one.All) != one.ArcCount || one.ArcCount == 0 || one.All[0].Term == 0 {
		t.Errorf("keys counter: %s", line)
	}
}
