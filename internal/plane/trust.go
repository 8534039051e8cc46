package plane

import "time"

// trust says whether readers may call the handlers of a node.
type trust struct {
	balance   time.Duration // what short calls might have taken, less what they took
	probation int           // calls to come that readers must not make
	next      int           // the next probation
}

const (
	quick      = 20 * time.Microsecond // on average; about what it takes to wake a goroutine and its thread
	maxBalance = time.Millisecond
	maxDebt    = 2 * lookInterval // no call that a reader goes on with afterwards takes longer

	firstProbation = 64
	nextProbation  = 1 << 10
	maxProbation   = 1 << 20
)

func newTrust() trust { return trust{probation: firstProbation, next: nextProbation} }

// given says whether readers may call handlers.
func (t *trust) given() bool { return t.probation == 0 && t.balance > 0 }

// earn takes note of a call, whoever made it.
func (t *trust) earn(took time.Duration) {
	t.balance = max(-maxDebt, min(t.balance+quick-took, maxBalance))
	t.probation = max(0, t.probation-1)
}

// lose takes note of a call that has held up a reader.
func (t *trust) lose() {
	t.probation = t.next
	t.next = min(2*t.next, maxProbation)
}
