package main

import (
	"testing"
	"time"
)

// A pause is told once, soon after it. Beats without a pause tell nothing.
func TestPulse(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var p pulse
	after := func(d time.Duration) time.Time { now = now.Add(d); return now }
	for range 100 {
		p.beat(after(beat))
	}
	if d := p.pause(after(beat)); d != 0 {
		t.Errorf("a pause of %v", d)
	}
	if d := p.pause(after(8 * time.Second)); d != 8*time.Second {
		t.Errorf("asked before the first beat after it: %v", d)
	}
	if d := p.pause(after(beat)); d != 0 {
		t.Errorf("told again: %v", d)
	}
	p.beat(after(3 * time.Second))
	p.beat(after(beat))
	if d := p.pause(after(beat)); d != 3*time.Second {
		t.Errorf("asked after some beats: %v", d)
	}
	p.beat(after(5 * time.Second))
	for range 100 {
		p.beat(after(beat))
	}
	if d := p.pause(after(beat)); d != 0 {
		t.Errorf("long ago: %v", d)
	}
}
