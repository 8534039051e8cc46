package demux

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/x/ringdht/internal/link"
)

// place is where a frame goes: by a way, to a stream (128 times its source, and its port), or to the
// casts.
type place struct {
	kind byte // 'w', 's' or 'c'
	n    int
}

// note adds a frame, as the reader of a link does.
func (d *Demux) note(at place, from, to int) int32 {
	switch at.kind {
	case 'w':
		return d.AddRelay(at.n, from, to)
	case 's':
		return d.AddSource(uint64(at.n/128), uint8(at.n%128), from, to)
	}
	return d.AddCast(from, to)
}

// noted returns the frames of each place, one by one, if each is as long as that.
func (d *Demux) noted(t *testing.T, length int) map[place][]int {
	all := make(map[place][]int)
	take := func(at place, spans []link.Span) {
		end := 0
		for _, s := range spans {
			if s.From%length != 0 || s.To%length != 0 || s.To <= s.From || s.From < end || s.From == end && end > 0 {
				t.Fatalf("%v has the spans %v", at, spans)
			}
			for end = s.From; end < s.To; end += length {
				all[at] = append(all[at], end)
			}
		}
	}
	for _, w := range d.Ways() {
		take(place{'w', w}, d.Relayed(w))
	}
	for i := range d.Sources() {
		source, port, spans := d.Source(i)
		take(place{'s', 128*int(source) + int(port)}, spans)
	}
	take(place{'c', 0}, d.Casts())
	return all
}

// Each frame is noted at its place, once and in order, adjacent ones as one span. A batch leaves
// nothing to the next one, and nothing allocates in the long run.
func TestEachFrameAtItsPlace(t *testing.T) {
	const length, ways, batches = 24, 5, 300
	var d Demux
	d.Clear()
	d.FitWays(ways)
	random := rand.New(rand.NewPCG(1, 2))
	for range batches {
		want := make(map[place][]int)
		last, stretch := place{}, int32(-1)
		for from := 0; from < length*random.IntN(200); from += length {
			at := last
			if stretch < 0 || random.IntN(2) == 0 {
				at = []place{{'w', random.IntN(ways)}, {'s', random.IntN(300)}, {'c', 0}}[random.IntN(3)]
			}
			if stretch >= 0 && at == last && random.IntN(2) == 0 {
				d.Extend(stretch, from+length)
			} else {
				stretch = d.note(at, from, from+length)
			}
			last = at
			want[at] = append(want[at], from)
		}
		got := d.noted(t, length)
		if len(got) != len(want) {
			t.Fatalf("%d places have frames, want %d", len(got), len(want))
		}
		for at, frames := range want {
			if !slices.Equal(got[at], frames) {
				t.Fatalf("%v has the frames %v, want %v", at, got[at], frames)
			}
		}
		d.Clear()
	}
	if n := testing.AllocsPerRun(10, func() {
		for from := range 100 {
			d.note(place{'w', from % ways}, from, from+1)
		}
		d.Relayed(0)
		d.Clear()
	}); n != 0 {
		t.Errorf("a batch allocates %v times", n)
	}
}

// One stream too many is refused, and those before it are not lost.
func TestMaxSources(t *testing.T) {
	var d Demux
	d.Clear()
	for i := range MaxSources {
		if d.AddSource(uint64(i/2), uint8(i%2), i, i+1) < 0 {
			t.Fatalf("stream %d is refused", i)
		}
	}
	if d.AddSource(MaxSources, 0, 300, 301) >= 0 || d.Sources() != MaxSources {
		t.Errorf("%d streams have a place", d.Sources())
	}
	d.AddCast(301, 302)
	d.ClearSources()
	if stretch := d.AddSource(MaxSources, 0, 300, 301); stretch < 0 || d.Sources() != 1 {
		t.Errorf("%d streams have a place", d.Sources())
	}
	if source, port, spans := d.Source(0); source != MaxSources || port != 0 || !slices.Equal(spans, []link.Span{{From: 300, To: 301}}) {
		t.Errorf("source %d has %v", source, spans)
	}
	if casts := d.Casts(); len(casts) != 1 {
		t.Errorf("the casts are %v", casts)
	}
}
