package status

import "time"

// The bounds of [Snapshot].Gone.
const (
	MaxGone = 100             // members
	GoneFor = 5 * time.Minute // how long one stays there
)

// Gone is a member that has died or left, with the last figures that it reported.
type Gone struct {
	Member           // State is StateDead or StateLeft; Entries are those of the links it reported
	When   time.Time `json:"when"` // it died or left
	Why    string    `json:"why"`
}
