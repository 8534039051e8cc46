package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/report"
	"github.com/x/ringdht/keys"
	"github.com/x/ringdht/status"
)

// keyCommands returns the commands about services with keys.
func (o *operator) keyCommands() []console.Command {
	return []console.Command{
		{Name: "keys", Args: "[service]", Max: 1, Beside: true, Run: o.keys,
			Help: "lists the services with keys, or the owners of one and its moves",
			More: "A service with keys is one of package keys: each key has one owner, which the registry decides. Moves are timed from the " +
				"decision until the next owner holds the arc. Messages to a key wait meanwhile. With -json one service also has its arcs.",
			Examples: []string{"keys", "keys counter", "keys -json"}},
		{Name: "owner", Args: "service key", Min: 2, Max: 2, Text: true, Beside: true, Run: o.owner,
			Help:     "names the node that owns a key of a service",
			More:     "The key is the rest of the line. The answer is what the registry has decided; while the key's arc moves, it also names the next owner.",
			Examples: []string{"owner counter alice"}},
	}
}

// keyService finds a service with keys.
func keyService(s *status.Snapshot, name string) (*status.KeyService, error) {
	for i := range s.Keys {
		if s.Keys[i].Service == name {
			return &s.Keys[i], nil
		}
	}
	return nil, fmt.Errorf("no node opens keys of a service %s: keys lists the services", strconv.Quote(name))
}

func (o *operator) keys(_ context.Context, c *console.Call) error {
	s := o.registry.Snapshot()
	if len(c.Args) == 1 {
		k, err := keyService(s, c.Args[0])
		if err != nil {
			return err
		}
		o.show(c, report.KeysDocument{KeyService: *k, All: k.Arcs}, report.KeyOwners(s, k, c.Screen.Columns()))
		return nil
	}
	text := "No node opens keys.\n"
	if len(s.Keys) > 0 {
		text = report.Keys(s.Keys, c.Screen.Columns())
	}
	o.show(c, append([]status.KeyService{}, s.Keys...), text)
	return nil
}

func (o *operator) owner(_ context.Context, c *console.Call) error {
	k, err := keyService(o.registry.Snapshot(), c.Args[0])
	if err != nil {
		return err
	}
	d := report.OwnerDocument{Service: k.Service, Key: c.Args[1], Point: keys.Point(c.Args[1])}
	arc, held := k.Arc(d.Point)
	if !held {
		return fmt.Errorf("no node owns %s: messages to it wait for an owner", strconv.Quote(d.Key))
	}
	d.Owner, d.Term = k.Owners[arc.Owner].MemberInfo, arc.Term
	if arc.Receiver >= 0 {
		d.To = &k.Owners[arc.Receiver].MemberInfo
	}
	o.tell(c, d, d.String())
	return nil
}
