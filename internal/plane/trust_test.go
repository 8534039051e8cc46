package plane

import (
	"testing"
	"time"
)

// calls makes so many calls of one length, and says after how many trust was first
// given, 0 if it never was.
func (t *trust) calls(n int, took time.Duration) (given int) {
	for i := range n {
		t.earn(took)
		if t.given() && given == 0 {
			given = i + 1
		}
	}
	return given
}

func TestTrustIsEarned(t *testing.T) {
	tr := newTrust()
	if n := tr.calls(1000, time.Microsecond); n != firstProbation {
		t.Errorf("given after %d quick calls, want %d", n, firstProbation)
	}
	if tr.calls(1, time.Hour); tr.calls(int(maxDebt/quick), 0) != 0 || tr.calls(1, 0) == 0 {
		t.Errorf("a call of an hour was not paid back, or that took too long: %+v", tr)
	}
	if tr.calls(200, 2*quick); tr.given() {
		t.Error("given to slow ones")
	}
	if n := tr.calls(1000, 0); n == 0 || n > int(maxDebt/quick)+1 {
		t.Errorf("given again after %d quick calls", n)
	}
	if tr.calls(100_000, quick-1); !tr.given() {
		t.Error("not given to those that are just quick enough")
	}
	if tr = newTrust(); tr.calls(100_000, quick+1) != 0 {
		t.Error("given to those that are not")
	}
}

// Calls that last now and then, too short to be found, are not made by readers more often
// than quick ones make up for.
func TestTrustIsOnAverage(t *testing.T) {
	const long = maxDebt - quick
	tr, byReaders, calls := newTrust(), time.Duration(0), 0
	for i := range 1_000_000 {
		took := time.Duration(0)
		if i%60 == 0 {
			took = long
		}
		if tr.given() {
			byReaders += took
		}
		tr.earn(took)
		calls++
	}
	if byReaders > quick*time.Duration(calls)+maxBalance {
		t.Errorf("readers were held up for %v in %d calls", byReaders, calls)
	}
}

// Of a million calls a score can hold up readers.
func TestTrustIsLost(t *testing.T) {
	tr := newTrust()
	want := firstProbation
	for next := nextProbation; ; next *= 2 {
		if n := tr.calls(want+1, 0); n != want {
			t.Fatalf("given after %d calls, want %d", n, want)
		}
		tr.lose()
		if tr.given() {
			t.Fatal("not lost")
		}
		if want = next; want == maxProbation {
			break
		}
	}
	if tr.calls(maxProbation, 0); !tr.given() {
		t.Error("lost for ever")
	}
	if tr.lose(); tr.probation != maxProbation {
		t.Errorf("the latest probation is for %d calls, want %d", tr.probation, maxProbation)
	}
}
