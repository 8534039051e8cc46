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
	if tr.calls(1, time.Hour); !tr.given() && tr.calls(1, 0) == 0 {
		t.Error("one call of any length, which may have been the machine's doing, costs more than all that was earned")
	}
	if tr.calls(200, 2*quick); tr.given() {
		t.Error("given to slow ones")
	}
	if n := tr.calls(1000, 0); n == 0 || n > int(maxBalance/quick)+1 {
		t.Errorf("given again after %d quick calls", n)
	}
	if tr.calls(100_000, quick-1); !tr.given() {
		t.Error("not given to those that are just quick enough")
	}
	if tr = newTrust(); tr.calls(100_000, quick+1) != 0 {
		t.Error("given to those that are not")
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
