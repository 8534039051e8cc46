package codec_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/x/ringdht/internal/codec"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
)

// A list of members fits into a frame, also if they say all that they may: a registry that could not tell it
// would have a ring that no node can join.
func TestLongestListFits(t *testing.T) {
	for _, c := range []control.Codec{codec.Msgpack{}, codec.JSON{}} {
		for _, letter := range []string{"x", "<", "&", `"`, `\`, "ä"} {
			var m control.Manifest
			for i := range control.MaxOthers {
				name := func(n, bytes int) string {
					number := fmt.Sprintf("%04d", n)
					return number + strings.Repeat(letter, (bytes-len(number))/len(letter))
				}
				var p control.Profile
				for n := range 4 {
					p.Tags = append(p.Tags, ring.Tag{Key: name(n, 6), Value: name(i, control.MaxTagBytes/4-6)})
				}
				for n := range 8 {
					p.Services = append(p.Services, name(n, control.MaxService))
				}
				if err := control.CheckInfo(name(i, control.MaxName), p.Tags, p.Services); err != nil {
					t.Fatal(err)
				}
				m.Others, m.Incs, m.Idle = append(m.Others, 1<<63), append(m.Incs, 1<<62), append(m.Idle, 1<<63)
				m.Names, m.ProfileOf, m.Profiles = append(m.Names, name(i, control.MaxName)), append(m.ProfileOf, 1024), append(m.Profiles, p)
			}
			b, err := control.Encode(c, control.TypeManifest, m)
			if err != nil || len(b) > wire.MaxLength/2 {
				t.Errorf("%T, names of %q: %d bytes, %v", c, letter, len(b), err)
			}
		}
	}
}
