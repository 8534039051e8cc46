package memnet

import (
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"slices"
	"testing"
	"time"
)

// lucky writes count times over the nth connection from host a to host b, in either direction, and
// returns the fates. It calls disturb before.
func lucky(t *testing.T, seed uint64, nth, count int, disturb func(t *testing.T, n *Network)) (there, back []Fate) {
	bubble(t, func(t *testing.T) {
		n := New(seed)
		var all []Fate
		n.Watch(func(f Fate) { all = append(all, f) })
		if disturb != nil {
			disturb(t, n)
		}
		var a, b net.Conn
		for range nth + 1 {
			a, b = pair(t, n, "a", "b")
		}
		n.Drop("", "", 0.5)
		n.Delay("", "", time.Second, time.Second)
		for i := range count {
			write(t, a, fmt.Sprint(i))
			write(t, b, fmt.Sprint(i))
		}
		for _, f := range all {
			switch {
			case f.From != "a" || f.To != "b" || f.Conn != uint64(nth):
			case f.Back:
				back = append(back, f)
			default:
				there = append(there, f)
			}
		}
	})
	return there, back
}

// The fate of a Write depends only on the seed, the hosts, the number of the connection, the direction and
// the number of the Write.
func TestLuckRepeats(t *testing.T) {
	const count = 64
	there, back := lucky(t, 1, 0, count, nil)
	if len(there) != count || len(back) != count {
		t.Fatalf("told of %d and %d writes, not of %d", len(there), len(back), count)
	}
	for name, disturb := range map[string]func(t *testing.T, n *Network){
		"nothing": nil,
		"other connections": func(t *testing.T, n *Network) {
			for _, hosts := range [][2]string{{"a", "c"}, {"b", "a"}, {"c", "b"}, {"a", "bb"}, {"aa", "b"}} {
				x, _ := pair(t, n, hosts[0], hosts[1])
				write(t, x, "something")
			}
		},
		"ports taken": func(t *testing.T, n *Network) {
			for range 5 {
				for _, host := range []string{"a", "b"} {
					if _, err := n.Host(host).Listen(t.Context(), ":0"); err != nil {
						t.Fatal(err)
					}
				}
			}
		},
		"failed dials": func(t *testing.T, n *Network) {
			if _, err := n.Host("a").Dial(t.Context(), "b:1"); err == nil {
				t.Fatal("there is nothing to dial")
			}
		},
		"other faults before": func(t *testing.T, n *Network) {
			n.Drop("a", "b", 1)
			n.Delay("", "b", time.Minute, time.Hour)
		},
	} {
		x, y := lucky(t, 1, 0, count, disturb)
		if !slices.Equal(x, there) || !slices.Equal(y, back) {
			t.Errorf("%s made a difference", name)
		}
	}
	longer, _ := lucky(t, 1, 0, 2*count, nil)
	if !slices.Equal(longer[:count], there) {
		t.Error("later writes made a difference")
	}
	// Each of these is another draw.
	draws := map[string][]Fate{"there": there, "back": back}
	draws["another seed"], _ = lucky(t, 2, 0, count, nil)
	draws["the second connection"], draws["and its way back"] = lucky(t, 1, 1, count, nil)
	again, _ := lucky(t, 1, 1, count, nil)
	if !slices.Equal(again, draws["the second connection"]) {
		t.Error("the second connection does not repeat")
	}
	names := slices.Sorted(maps.Keys(draws))
	for i, x := range names {
		for _, y := range names[:i] {
			same := 0
			for j := range count {
				if draws[x][j].Late == draws[y][j].Late {
					same++
				}
			}
			if same > 0 {
				t.Errorf("%d of %d writes of %s and %s took equally long", same, count, x, y)
			}
		}
	}
}

// A fault that begins or ends between Writes does not shift the fates of later ones.
func TestLuckIsCountedInWrites(t *testing.T) {
	fates := func(faulty func(i int) bool) (all []Fate) {
		bubble(t, func(t *testing.T) {
			n := New(1)
			n.Watch(func(f Fate) { all = append(all, f) })
			a, b := pair(t, n, "a", "b")
			go io.Copy(io.Discard, b)
			for i := range 20 {
				if faulty(i) {
					n.Drop("a", "b", 0.5)
					n.Delay("a", "b", 0, time.Second)
				} else {
					n.Heal()
				}
				write(t, a, "x")
			}
		})
		return all
	}
	always := fates(func(int) bool { return true })
	some := fates(func(i int) bool { return i%3 > 0 })
	for i, f := range some {
		if i%3 == 0 {
			if f.Lost || f.Late != 0 {
				t.Errorf("write %d: %+v without a fault", i, f)
			}
		} else if f != always[i] {
			t.Errorf("write %d: %+v, or %+v", i, f, always[i])
		}
	}
}

// Watch reports what happens.
func TestWatchTellsTheTruth(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := New(5)
		var last Fate
		n.Watch(func(f Fate) { last = f })
		a, b := pair(t, n, "a", "b")
		n.Drop("a", "b", 0.5)
		n.Delay("a", "b", time.Second, time.Minute)
		arrived := 0
		for i := range 40 {
			start := time.Now()
			write(t, a, "x")
			if last.Write != uint64(i) || last.Size != 1 || last.From != "a" || last.To != "b" || last.Back {
				t.Fatalf("write %d: %+v", i, last)
			}
			if last.Lost {
				continue
			}
			arrived++
			read(t, b, "x")
			at(t, start, last.Late)
		}
		if arrived < 10 || arrived > 30 {
			t.Errorf("%d of 40 arrived", arrived)
		}
	})
}

// Fates are fair: the rate of losses is the requested one, and jitter is uniform.
func TestLuckIsFair(t *testing.T) {
	for _, drop := range []float64{0, 0.01, 0.3, 1} {
		lost, late := 0, 0.0
		const hosts, conns, writes = 5, 20, 200
		for i := range hosts * conns {
			h := half{seed: directionSeed(9, "a", fmt.Sprint(i%hosts), uint64(i/hosts), i%2 == 0)}
			h.faults = faults{drop: drop, jitter: time.Second}
			for range writes {
				gone, d := h.drawNext()
				if gone {
					lost++
				}
				late += d.Seconds()
			}
		}
		const all = hosts * conns * writes
		if off := float64(lost) - drop*all; math.Abs(off) > 4*math.Sqrt(all*drop*(1-drop)) {
			t.Errorf("drop %v: lost %d of %d", drop, lost, all)
		}
		if mean := late / all; math.Abs(mean-0.5) > 0.01 {
			t.Errorf("mean of the jitter %v", mean)
		}
	}
}

// No two directions of two connections have the same fates.
func TestLuckIsNobodyElses(t *testing.T) {
	seen := make(map[uint64]string)
	for _, hosts := range [][2]string{{"a", "b"}, {"b", "a"}, {"a", "c"}, {"ab", "c"}, {"a", "bc"}, {"abc", "d"}, {"", "ab"}} {
		for nth := range uint64(50) {
			for _, back := range []bool{false, true} {
				for seed := range uint64(3) {
					which := fmt.Sprint(seed, hosts, nth, back)
					dir := directionSeed(seed, hosts[0], hosts[1], nth, back)
					if other := seen[dir]; other != "" {
						t.Errorf("%s and %s have the same seed", which, other)
					}
					seen[dir] = which
				}
			}
		}
	}
}
