package status

import "time"

// The bounds of what a registry remembers of the latest minutes.
const (
	HistoryStep = 2 * time.Second // the length of a Step
	MaxHistory  = 150             // of Snapshot.History: five minutes
	MaxGone     = 100             // of Snapshot.Gone
	GoneFor     = 5 * time.Minute // how long a member that is gone stays in Snapshot.Gone
)

// Step is what a ring did during one [HistoryStep].
//
// It is made of the nodes' heartbeats. What a node has counted since the heartbeat before
// is spread evenly over the time between the two. So a step is complete once all nodes have
// sent a heartbeat after its end. What a member had counted before its first heartbeat to
// this registry is in no step. Nor is what a node counted after its last heartbeat.
type Step struct {
	Time      time.Time `json:"time"`      // its beginning
	Members   int       `json:"members"`   // at its end; of the present step, now
	Sent      int64     `json:"sent"`      // messages, as in Counters
	Delivered int64     `json:"delivered"` // likewise
	Relayed   int64     `json:"relayed"`   // likewise
	Dropped   int64     `json:"dropped"`   // frames, see Dropped.Sum
}

// Gone is a member that has died or left, with the last figures that it reported.
type Gone struct {
	Member           // State is StateDead or StateLeft; Entries are those of the links it reported
	When   time.Time `json:"when"` // it died or left
	Why    string    `json:"why"`
}
