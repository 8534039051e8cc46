package handshake

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// slotTime is a time of the tests of slots, in milliseconds.
func slotTime(ms int) time.Time { return time.UnixMilli(int64(ms)) }

func TestWhichConnectionMakesRoom(t *testing.T) {
	fill := func(sources ...string) (*slots, []*slot) {
		s := &slots{most: len(sources), patience: 100 * time.Millisecond}
		var all []*slot
		for i, source := range sources {
			o, _ := s.take(source, slotTime(i))
			all = append(all, o)
		}
		return s, all
	}
	for name, c := range map[string]struct {
		sources []string
		source  string
		at      int
		work    []int // which do not wait
		want    int   // which makes room; -1 for none
	}{
		"another source gets in at once":              {[]string{"a", "a", "a"}, "b", 3, nil, 0},
		"even if all are at work":                     {[]string{"a", "a", "a"}, "b", 3, []int{0, 1, 2}, 0},
		"the source with most pays":                   {[]string{"a", "b", "b", "b", "a"}, "c", 5, nil, 1},
		"the same source has to wait":                 {[]string{"a", "a", "a"}, "a", 50, nil, -1},
		"until one was silent for long enough":        {[]string{"a", "a", "a"}, "a", 100, nil, 0},
		"which one that works is not":                 {[]string{"a", "a", "a"}, "a", 101, []int{0}, 1},
		"all work":                                    {[]string{"a", "a"}, "a", 1000, []int{0, 1}, -1},
		"no churn between equals":                     {[]string{"a", "a", "b"}, "b", 50, nil, -1},
		"the most silent of equals":                   {[]string{"a", "b", "c"}, "d", 102, []int{0}, 1},
		"strangers do not push each other at once":    {[]string{"a", "b", "c"}, "d", 50, nil, -1},
		"one that has most does not push a small one": {[]string{"a", "b", "b"}, "b", 200, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s, all := fill(c.sources...)
			for _, i := range c.work {
				all[i].work(all[i].since)
			}
			mine, instead := s.take(c.source, slotTime(c.at))
			switch {
			case c.want < 0 && (mine != nil || instead != nil):
				t.Error("it has a place")
			case c.want >= 0 && (mine == nil || instead != all[c.want]):
				t.Errorf("%+v makes room, not %+v", instead, all[c.want])
			}
		})
	}
}

// A connection that sends a byte now and then is as silent as one that sends none.
func TestSlowIsSilent(t *testing.T) {
	s := &slots{most: 2, patience: 100 * time.Millisecond}
	slow, _ := s.take("a", slotTime(0))
	for ms := 10; ms < 100; ms += 10 {
		slow.work(slotTime(ms))
		slow.await(slotTime(ms))
	}
	s.take("a", slotTime(90))
	if _, instead := s.take("a", slotTime(100)); instead != slow {
		t.Errorf("%+v makes room", instead)
	}
}

// In a long overload, less silence is enough.
func TestLongOverload(t *testing.T) {
	s := &slots{most: 100, patience: 100 * time.Millisecond}
	in := 0
	for ms := 0; ms < 2000; ms++ {
		if mine, _ := s.take("a", slotTime(ms)); mine != nil {
			in++
		}
	}
	// 100 at once, then 100 in each 100 ms for 500 ms, and one a millisecond then.
	if in < 1800 || in > 2000 {
		t.Errorf("%d got in", in)
	}
	for s.taken > 0 {
		s.release(s.bySource["a"][0])
	}
	for range 101 {
		s.take("a", slotTime(2000))
	}
	if _, instead := s.take("a", slotTime(2099)); instead != nil {
		t.Errorf("no patience after the overload: %v", instead.silence(slotTime(2099)))
	}
}

// After each event, no more than most are in, and none is lost or counted twice.
func TestSlotsAreAccountedFor(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := &slots{most: 1 + r.IntN(10), patience: 50 * time.Millisecond}
		var in []*slot
		for ms := range 500 {
			switch {
			case len(in) > 0 && r.IntN(3) == 0:
				i := r.IntN(len(in))
				s.release(in[i])
				s.release(in[i])
				in = append(in[:i], in[i+1:]...)
			case len(in) > 0 && r.IntN(3) == 0:
				in[r.IntN(len(in))].work(slotTime(ms))
			default:
				mine, instead := s.take(fmt.Sprint(r.IntN(4)), slotTime(ms))
				if instead != nil {
					for i := range in {
						if in[i] == instead {
							in = append(in[:i], in[i+1:]...)
							break
						}
					}
				}
				if mine != nil {
					in = append(in, mine)
				}
			}
			held := 0
			for source, all := range s.bySource {
				if held += len(all); len(all) == 0 {
					t.Fatalf("seed %d: %s is kept without a connection", seed, source)
				}
			}
			if s.taken != len(in) || held != len(in) || len(in) > s.most {
				t.Fatalf("seed %d: %d taken, %d held, %d in, at most %d", seed, s.taken, held, len(in), s.most)
			}
		}
	}
}
