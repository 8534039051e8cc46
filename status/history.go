package status

import "time"

// The bounds of [Snapshot].History: five minutes.
const (
	HistoryStep = 2 * time.Second // the length of a Step
	MaxHistory  = 150             // steps
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
