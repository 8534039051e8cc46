package console

import (
	"strings"
	"testing"

	"github.com/x/ringdht"
)

func TestFind(t *testing.T) {
	nodes := Nodes{
		{ID: 42, Addr: "10.0.0.1:8080"}, {ID: 4217, Addr: "10.0.0.2:8080"}, {ID: 4300, Addr: "127.0.0.1:9000"},
		{ID: 7, Addr: "a.example.org:80"}, {ID: 8, Addr: "a.b.example.org:80"}, {ID: 9, Addr: "[::1]:81"}, {ID: 10},
	}
	for _, c := range []struct {
		text string
		want ringdht.ID
		err  string
	}{
		{"42", 42, ""}, {"421", 421, ""}, {"18446744073709551615", 1<<64 - 1, ""}, // digits are an ID, known or not
		{"421*", 4217, ""}, {"43*", 4300, ""}, {"7*", 7, ""},
		{"10.0.0.1:8080", 42, ""}, {"10.0.0.2", 4217, ""}, {":9000", 4300, ""}, {"localhost:9000", 4300, ""},
		{"a.example.org", 7, ""}, {"a.b", 8, ""}, {"a.b:80", 8, ""}, {"a:80", 7, ""}, {"::1", 9, ""}, {"[::1]", 9, ""}, {"[::1]:81", 9, ""},
		{"42*", 0, `"42*" is ambiguous: it can be 42 (10.0.0.1:8080) or 4217 (10.0.0.2:8080)`},
		{"*", 0, `"*" is ambiguous: it can be 42 (10.0.0.1:8080), 4217 (10.0.0.2:8080), 4300 (127.0.0.1:9000) or one of 4 more`},
		{":8080", 0, `":8080" is ambiguous: it can be 42 `}, {":80", 0, `":80" is ambiguous: it can be 7 (a.example.org:80) or 8 `},
		{"10.0.0", 0, "no node matches"}, {":808", 0, "no node matches"}, {"you", 0, "no node matches"}, {"-1", 0, "no node matches"},
		{"", 0, "no node matches"}, {":", 0, "no node matches"}, {"99*", 0, "no node matches"}, {"localhost:80", 0, "no node matches"},
	} {
		id, err := nodes.Find(c.text)
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) || id != c.want {
			t.Errorf("%q: %d and %v, want %d and %q", c.text, id, err, c.want, c.err)
		}
	}
}

// Find accepts each name that is shown.
func TestNames(t *testing.T) {
	for _, c := range []struct {
		nodes string // id@address
		want  string
		host  string
	}{
		{"5@127.0.0.1:80 42@127.0.0.1:81", "5@:80 42@:81", "127.0.0.1"},
		{"5@10.0.0.1:80 42@10.0.0.2:80", "5@10.0.0.1:80 42@10.0.0.2:80", ""},
		{"5@a.x.org:80 6@b.x.org:80 7@10.0.0.2:80", "5@a:80 6@b:80 7@10.0.0.2:80", ""},
		{"5@a.x.org:80 6@a.b.x.org:80", "5@a:80 6@a.b:80", ""},
		{"5@a.x.org:80 6@a.y.org:80", "5@a.x:80 6@a.y:80", ""},
		{"5@a:80 6@b.x.org:80", "5@a:80 6@b.x.org:80", ""},
		{"5@[::1]:80 6@[::1]:81", "5@:80 6@:81", "::1"},
		{"12345678@h:1 12345679@h:2", "12345678@:1 12345679@:2", "h"},
		{"18446744073709551615@h:1 18446744073709551614@h:2 5446744073709551614@h:3", "18446744073709551615@:1 18446744073709551614@:2 5446*@:3", "h"},
		{"184467440737095@h:1 184477440737095@h:2 1844@h:3", "18446*@:1 18447*@:2 1844@:3", "h"},
		{"5@", "5@", ""},
		{"", "", ""},
	} {
		var nodes Nodes
		for f := range strings.FieldsSeq(c.nodes) {
			id, addr, _ := strings.Cut(f, "@")
			n, err := (Nodes{}).Find(id)
			if err != nil {
				t.Fatal(err)
			}
			nodes = append(nodes, ringdht.Peer{ID: n, Addr: addr})
		}
		names := nodes.Names()
		var got []string
		for _, p := range nodes {
			id, addr := names.ID(p.ID), names.Addr(p)
			got = append(got, id+"@"+addr)
			for _, name := range []string{id, addr} {
				if found, err := nodes.Find(name); name != "" && (err != nil || found != p.ID) {
					t.Errorf("%s: %q is %d, %v", c.nodes, name, found, err)
				}
			}
		}
		if strings.Join(got, " ") != c.want || names.Host() != c.host {
			t.Errorf("%s: %s at %q", c.nodes, got, names.Host())
		}
	}
	none := Nodes{}.Names()
	if none.ID(7) != "7" || none.Addr(ringdht.Peer{Addr: "a:1"}) != "a:1" {
		t.Error("unknown nodes have no names")
	}
}

// An ID may have belonged to another node before: that node's events are not shown with the
// address of the node that has the ID now.
func TestNamesOfThePast(t *testing.T) {
	names := Nodes{{ID: 5, Addr: "h:80"}, {ID: 6, Addr: "h:81"}}.Names()
	if got := names.Addr(ringdht.Peer{ID: 5, Addr: "h:79"}); got != "h:79" {
		t.Errorf("the node that is gone was at %s", got)
	}
	if got := names.Addr(ringdht.Peer{ID: 5, Addr: "h:80"}); got != ":80" {
		t.Errorf("the node is at %s", got)
	}
}
