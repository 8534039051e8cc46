package status

// NodeRuns is what a node has counted of traffic runs in its present incarnation.
//
// The figures of a run whose account is exact are, to the unit, those of the node's row in the
// registry's [Summary]. That also holds for a run that was stopped. If nodes were lost, the
// registry may know more of the messages whose outcome this node does not know.
//
// A node learns that a run has begun when it is asked to send. One that only relays learns of it
// at the end, when the registry asks for its figures.
type NodeRuns struct {
	// Latest is the run under way, or the latest one. It stays as it is until the node hears of
	// the next.
	Latest NodeRun `json:"latest"`
	// All has the sums over all runs since the node joined, Latest included, and Count is their
	// number. As with [Counters], a node that joins again as a new incarnation counts from 0.
	Count int64      `json:"count"`
	All   RunFigures `json:"all"`
}

// NodeRun is one node's part in a traffic run.
type NodeRun struct {
	Number   uint64 `json:"number"`    // from 1; 0 if the node knows of no run
	UnderWay bool   `json:"under_way"` // the registry has not collected the figures yet
	Sending  bool   `json:"sending"`   // the node sends, or waits until all that it sent is delivered
	RunFigures
}

// RunFigures are numbers of messages of traffic runs, and sums of the values that they carry.
// While a node sends, Sent and SumSent may lag by 255 messages or 16 KiB.
type RunFigures struct {
	Sent        int64 `json:"sent"`         // messages accepted for other nodes, without those that came back
	Received    int64 `json:"received"`     // messages from other nodes
	Relayed     int64 `json:"relayed"`      // messages passed on for other nodes
	Unknown     int64 `json:"unknown"`      // sent messages of unknown outcome: their streams ended
	SumSent     int64 `json:"sum_sent"`     // of the values of the messages that Sent counts
	SumReceived int64 `json:"sum_received"` // likewise
	SumUnknown  int64 `json:"sum_unknown"`  // likewise
	Hops        int64 `json:"hops"`         // the links that all received messages have crossed
	MaxHops     int   `json:"max_hops"`     // the most of them
	Wasted      int64 `json:"wasted"`       // relays, here and elsewhere, of copies that ended here: see Summary.Wasted
}

// MeanHops is the mean number of links that a received message has crossed; 0 without any.
func (f RunFigures) MeanHops() float64 {
	if f.Received == 0 {
		return 0
	}
	return float64(f.Hops) / float64(f.Received)
}

// Add adds the figures of another run.
func (f *RunFigures) Add(g RunFigures) {
	f.Sent += g.Sent
	f.Received += g.Received
	f.Relayed += g.Relayed
	f.Unknown += g.Unknown
	f.SumSent += g.SumSent
	f.SumReceived += g.SumReceived
	f.SumUnknown += g.SumUnknown
	f.Hops += g.Hops
	f.MaxHops = max(f.MaxHops, g.MaxHops)
	f.Wasted += g.Wasted
}
