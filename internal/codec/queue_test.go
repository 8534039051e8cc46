package codec_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/x/ringdht/internal/codec"
	"github.com/x/ringdht/internal/control"
)

// The queue of a session has room for what a member is told of services in a ring of 10,000: of many
// services that all members handle. docs/scale.md has the figures.
func TestListsOfServicesFitIntoTheQueue(t *testing.T) {
	const members = 10_000
	for _, x := range []struct {
		codec    control.Codec
		name     int // bytes
		bits     int // of IDs
		each     int // bytes, at most
		services int // that fit, at least
	}{
		{codec.Msgpack{}, 0, 16, 14, 127},
		{codec.Msgpack{}, 0, 64, 20, 127},
		{codec.Msgpack{}, control.MaxName, 64, 86, 36},
		{codec.JSON{}, 0, 16, 30, 100},
		{codec.JSON{}, control.MaxName, 64, 111, 28},
	} {
		sum := 0
		for left := members; left > 0; left -= control.MaxOthers {
			var h control.Handlers
			for i := range min(left, control.MaxOthers) {
				id := ^uint64(0)>>(64-x.bits) - uint64(left-i)
				h.Added, h.Incarnations = append(h.Added, id), append(h.Incarnations, 1_800_000_000_000_000_000+uint64(i))
				h.ProfileOf = append(h.ProfileOf, 1)
				if x.name > 0 {
					h.Names = append(h.Names, strings.Repeat("n", x.name))
				}
			}
			h.ListEpoch, h.Service, h.Profiles = 1<<40, strings.Repeat("s", 64), []control.Profile{{Services: []string{strings.Repeat("s", 64)}}}
			frame, err := control.Encode(x.codec, control.TypeHandlers, h)
			if err != nil {
				t.Fatal(err)
			}
			sum += len(frame)
		}
		what := fmt.Sprintf("%T, IDs of %d bits, names of %d bytes", x.codec, x.bits, x.name)
		t.Logf("%s: %d bytes for %d members of a service, %.1f each; the queue has room for %d services", what, sum, members, float64(sum)/members, control.SendLimit/sum)
		if sum > x.each*members || control.SendLimit/sum < x.services {
			t.Errorf("%s: %d bytes for a service, and room for %d", what, sum, control.SendLimit/sum)
		}
	}
}
