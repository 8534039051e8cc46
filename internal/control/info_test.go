package control

import (
	"strings"
	"testing"

	"github.com/x/ringdht/internal/ring"
)

// What a member may say of itself is short, one line, and in one form.
func TestCheckInfo(t *testing.T) {
	tags := func(n int, value string) (all []ring.Tag) {
		for i := range n {
			all = append(all, ring.Tag{Key: string(rune('!' + i)), Value: value})
		}
		return all
	}
	services := func(n, length int) (all []string) {
		for i := range n {
			all = append(all, strings.Repeat("s", length-1)+string(rune('!'+i)))
		}
		return all
	}
	for _, c := range []struct {
		name     string
		tags     []ring.Tag
		services []string
		wrong    string // the error begins with it
	}{
		{"", nil, nil, ""},
		{strings.Repeat("x", MaxName), tags(64, strings.Repeat("v", 15)), services(90, 22), ""},
		{"ein-Würfel", []ring.Tag{{Key: "a", Value: ""}, {Key: "b", Value: "two words"}}, []string{"two words"}, ""},
		{strings.Repeat("x", MaxName+1), nil, nil, "name"},
		{"two words", nil, nil, "name"},
		{"a\x00", nil, nil, "name"},
		{"\xff", nil, nil, "name"},
		{"a\u202eb", nil, nil, "name"},
		{"", tags(65, ""), nil, "tags"},
		{"", tags(64, strings.Repeat("v", 16)), nil, "tags"},
		{"", []ring.Tag{{Key: "", Value: "v"}}, nil, "tags"},
		{"", []ring.Tag{{Key: "a b"}}, nil, "tags"},
		{"", []ring.Tag{{Key: "a", Value: "\n"}}, nil, "tags"},
		{"", []ring.Tag{{Key: "b"}, {Key: "a"}}, nil, "tags"},
		{"", []ring.Tag{{Key: "a"}, {Key: "a"}}, nil, "tags"},
		{"", nil, services(128, 1), "services"},
		{"", nil, services(90, 23), "services"},
		{"", nil, services(1, MaxService+1), "services"},
		{"", nil, []string{""}, "services"},
		{"", nil, []string{"a", "a"}, "services"},
		{"", nil, []string{"\x1b"}, "services"},
	} {
		err := CheckInfo(c.name, c.tags, c.services)
		if (err == nil) != (c.wrong == "") || err != nil && (!strings.HasPrefix(err.Error(), c.wrong) || len(err.Error()) > 400) {
			t.Errorf("%q, %d tags, %d services: %v", c.name, len(c.tags), len(c.services), err)
		}
	}
}
